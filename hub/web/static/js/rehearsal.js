// A rehearsal that goes on: its bar, and then its result, without loading the page again.
import "./plain.js";
import { fragment, parse, replace } from "./page.js";

const EVERY_MS = 700;

const box = () => document.getElementById("ensayo");
const isGoing = () => ["waiting", "running"].includes(box().dataset.state);

async function look() {
  const html = await fragment(`/reglas/ensayos/${box().dataset.rehearsal}/avance`).catch(() => null);
  if (html) replace(parse(html), "ensayo");
  if (isGoing()) setTimeout(look, EVERY_MS);
}

if (isGoing()) setTimeout(look, EVERY_MS);
