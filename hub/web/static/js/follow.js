// Work that goes on behind a page: its bar, and then its result, without loading the page again.
import "./plain.js";
import { fragment, parse, replace } from "./page.js";

const EVERY_MS = 700;

const box = () => document.querySelector("[data-follow]");
const isGoing = () => ["waiting", "running"].includes(box().dataset.state);

async function look() {
  const { id, dataset } = box();
  const html = await fragment(dataset.follow).catch(() => null);
  if (html) replace(parse(html), id);
  if (isGoing()) setTimeout(look, EVERY_MS);
  else if (box().dataset.next) location.replace(box().dataset.next);
}

if (isGoing()) setTimeout(look, EVERY_MS);
else if (box().dataset.next) location.replace(box().dataset.next);
