// The inspection form. A draft is on disk with every touch; photos as soon as they are taken.
import { uuid7 } from "./ids.js";
import * as outbox from "./outbox.js";
import { copy, el, isoDay, make, option, show, toast } from "./page.js";
import * as permits from "./permits.js";
import * as person from "./person.js";
import { asUrl, capture } from "./photo.js";
import * as place from "./place.js";
import { seal, unseal } from "./seal.js";
import * as store from "./store.js";

const NEEDED = ["trade", "permit_state", "result"];
const SAID = { trade: "el rubro", permit_state: "el permiso", result: "el resultado" };
const MAX_PHOTOS = 6;
// What the register says, as the form calls it; a withdrawn permit is none.
const BY_STANDING = { valid: "valid", expired: "expired", not_yet: "expired", suspended: "none", revoked: "none" };

const form = el("ficha");
let id = uuid7();
let folio = "";  // of the record that is being corrected
let isPointChosen = false;
let isBusy = false;

const value = (name) => form.elements[name]?.value ?? "";
const operation = () => person.me?.load?.operations.find((one) => one.id === value("operation_id")) ?? null;

export function start() {
  form.addEventListener("input", changed);
  form.addEventListener("change", changed);
  form.addEventListener("submit", save);
  el("operativo").addEventListener("change", () => { isPointChosen = false; drawPoints(); });
  el("puntos").addEventListener("change", () => { isPointChosen = true; });
  el("revisar").addEventListener("click", checkPermit);
  el("permiso").addEventListener("leido", checkPermit);
  el("camara").addEventListener("change", takePhoto);
  el("mas-decomiso").addEventListener("click", () => { addSeizure(); keepDraft(); });
  place.onChange(preselect);
}

// --- what the form offers -------------------------------------------------------------------------------

export function fill() {
  const { form: lists, operations } = person.me.load;
  const chosen = value("operation_id");
  el("operativo").replaceChildren(
    ...operations.map((one) => option(one.id, `${one.folio} · ${one.name || one.kind}`)),
    option("", "Sin operativo"),
  );
  el("operativo").value = operations.some((one) => one.id === chosen) ? chosen : (running(operations)?.id ?? "");
  offer("rubros", "trade", "radio", lists.trades.map((text) => [text, text, ""]));
  offer("normas", "rule", "checkbox", lists.rules.map((one) => [one.rule, one.rule, one.text]));
  el("unidades").replaceChildren(...lists.institutions.map((text) => make("option", { value: text })));
  for (const select of form.querySelectorAll('[name="goods"]')) offerGoods(select);
  drawPoints();
  changed();
}

// The operation that goes on now, else the next one of today.
function running(operations) {
  const now = Date.now();
  const margin = 3_600_000;
  return operations.find((one) => Date.parse(one.starts_at) - margin <= now && now <= Date.parse(one.ends_at) + margin)
    ?? operations.find((one) => isoDay(one.starts_at) === isoDay()) ?? null;
}

function offer(box, name, type, choices) {
  const picked = new Set(new FormData(form).getAll(name));
  el(box).replaceChildren(el(box).querySelector("legend"), ...choices.map(([value, text, more]) => {
    const input = make("input", { type, name, value });
    input.checked = picked.has(value);
    return make("label", {}, input, make("span", {}, make("span", {}, text, more ? make("small", {}, more) : null)));
  }));
}

function drawPoints() {
  const points = operation()?.points ?? [];
  const chosen = value("point");
  el("puntos").hidden = points.length === 0;
  offer("puntos", "point", "radio", points.map((one) => [one.point, one.point, one.name]));
  if (!points.some((one) => one.point === chosen)) isPointChosen = false;
  preselect();
}

function preselect() {
  const points = operation()?.points ?? [];
  const near = place.nearest(points);
  let said = place.words();
  if (near) said += ` El más cercano es ${near.point.point}, a ${place.metres(near.away)}.`;
  el("posicion").textContent = said;
  if (near && !isPointChosen) {
    const input = [...form.querySelectorAll('[name="point"]')].find((one) => one.value === near.point.point);
    if (input) input.checked = true;
  }
}

function offerGoods(select) {
  const chosen = select.value || select.dataset.value;
  const goods = person.me.load.form.goods;
  select.replaceChildren(...(goods.includes(chosen) || !chosen ? goods : [chosen, ...goods]).map((text) => option(text, text)));
  if (chosen) select.value = chosen;
}

function addSeizure(values = {}) {
  const node = copy("t-decomiso");
  node.dataset.id = values.id ?? uuid7();
  node.querySelector('[name="goods"]').dataset.value = values.goods ?? "";
  for (const name of ["quantity", "unit", "destination", "record_folio"]) {
    if (values[name] !== undefined) node.querySelector(`[name="${name}"]`).value = values[name];
  }
  node.querySelector("[data-drop]").addEventListener("click", () => { node.remove(); keepDraft(); });
  el("decomisos").append(node);
  offerGoods(node.querySelector('[name="goods"]'));
}

function changed() {
  el("infraccion").hidden = !["infringement", "closure_referred"].includes(value("result"));
  el("acompana").hidden = value("acting") !== "assisting";
  for (const box of form.querySelectorAll(".is-missing")) if (value(box.dataset.field)) box.classList.remove("is-missing");
  keepDraft();
}

// --- permit, photos -------------------------------------------------------------------------------------

function checkPermit() {
  if (!value("permit_folio").trim()) return show(el("permiso-dice"), "Escriba el folio del permiso.");
  const found = permits.look(value("permit_folio"));
  el("permiso").value = found.folio;
  const state = BY_STANDING[found.standing] ?? "unknown";
  form.querySelector(`[name="permit_state"][value="${state}"]`).checked = true;
  if (found.trade && !value("trade")) {
    const trade = [...form.querySelectorAll('[name="trade"]')].find((one) => one.value === found.trade);
    if (trade) trade.checked = true;
  }
  changed();
  return show(el("permiso-dice"), permits.words(found));
}

let shooting = Promise.resolve();

// A slow phone is still at work on a photo when its owner saves: saving waits, or the record would leave
// without it and the hub refuse it later.
function takePhoto() {
  const [file] = el("camara").files;
  el("camara").value = "";
  const of = id;
  if (file) shooting = shooting.then(() => keepPhoto(of, file)).catch(() => {});
}

async function keepPhoto(of, file) {
  if ((await outbox.photosOf(of)).length >= MAX_PHOTOS) {
    toast(`Una fiscalización lleva hasta ${MAX_PHOTOS} fotos.`, true);
    return;
  }
  try {
    const { note, bytes } = await capture(file);
    await outbox.addPhoto(of, note, bytes);
  } catch (error) {
    toast(error.name === "QuotaExceededError" ? "El teléfono no tiene espacio: borre fotos y repita." : "No se pudo leer la foto; tómela de nuevo.", true);
    return;
  }
  await drawPhotos();
}

async function drawPhotos() {
  for (const image of el("tomadas").querySelectorAll("img")) URL.revokeObjectURL(image.src);
  const shots = [];
  for (const photo of await outbox.photosOf(id)) {
    const image = make("img", { src: asUrl(await outbox.photoBytes(photo)), alt: `Foto, huella ${photo.sha256.slice(0, 8)}` });
    const drop = make("button", { type: "button", "aria-label": "Quitar foto", onclick: async () => { await outbox.dropPhoto(photo.id); await drawPhotos(); } }, "×");
    shots.push(make("figure", {}, image, drop));
  }
  el("tomadas").replaceChildren(...shots);
}

// --- draft ----------------------------------------------------------------------------------------------

let keeping = Promise.resolve();

// One write after the other, each of the form as it is then: the last one wins.
function keepDraft() {
  document.body.dataset.draft = "escribiendo";
  keeping = keeping.then(async () => {
    if (!person.me || isBusy) return;
    await store.put("load", await seal(person.me.key, { id, folio, isPointChosen, values: collect() }), draftKey());
    document.body.dataset.draft = "guardado";
  }).catch(() => {});
}

const draftKey = () => `${person.me.login}:draft`;

export async function restore() {
  const sealed = await store.get("load", draftKey());
  if (!sealed) return;
  const draft = await unseal(person.me.key, sealed);
  apply(draft.id, draft.folio, draft.values);
  isPointChosen = draft.isPointChosen;
  await drawPhotos();
}

function apply(itemId, itemFolio, values) {
  clear();
  id = itemId;
  folio = itemFolio;
  el("operativo").value = values.operation_id ?? "";
  if (!el("operativo").value) el("operativo").value = "";
  drawPoints();
  for (const name of ["point", "trade", "permit_state", "result", "acting"]) {
    const input = [...form.querySelectorAll(`[name="${name}"]`)].find((one) => one.value === values[name]);
    if (input) input.checked = true;
  }
  isPointChosen = Boolean(values.point);
  const rules = new Set(values.infringements.map((one) => one.rule));
  for (const input of form.querySelectorAll('[name="rule"]')) input.checked = rules.has(input.value);
  el("parte").value = values.infringements[0]?.ticket_folio ?? values.ticket_folio ?? "";
  el("permiso").value = values.permit_folio;
  el("nota").value = values.note;
  el("unidad").value = values.assists;
  el("mas").open = Boolean(values.note || values.acting === "assisting");
  values.seizures.forEach(addSeizure);
  show(el("corrigiendo"), folio ? `Corrige ${folio}. Al guardar se envía de nuevo.` : "");
  changed();
}

function clear() {
  form.reset();
  el("decomisos").replaceChildren();
  show(el("permiso-dice"), "");
  show(el("falta"), "");
  show(el("corrigiendo"), "");
  for (const box of form.querySelectorAll(".is-missing")) box.classList.remove("is-missing");
}

function collect() {
  const hasRules = !el("infraccion").hidden;
  const ticket = value("ticket_folio").trim();
  return {
    operation_id: value("operation_id") || null,
    point: value("point"),
    trade: value("trade"),
    permit_state: value("permit_state"),
    permit_folio: value("permit_folio").trim(),
    result: value("result"),
    acting: value("acting") || "autonomous",
    assists: value("acting") === "assisting" ? value("assists").trim() : "",
    note: value("note").trim(),
    infringements: hasRules
      ? new FormData(form).getAll("rule").map((rule) => ({ rule, ticket_folio: ticket }))
      : [],
    seizures: [...el("decomisos").children].map((node) => {
      const of = (name) => node.querySelector(`[name="${name}"]`).value.trim();
      return {
        id: node.dataset.id, goods: of("goods"), quantity: Number(of("quantity")), unit: of("unit"),
        destination: of("destination"), record_folio: of("record_folio"),
      };
    }),
  };
}

// --- saving ---------------------------------------------------------------------------------------------

function missing(values) {
  for (const name of NEEDED) form.querySelector(`[data-field="${name}"]`).classList.toggle("is-missing", !values[name]);
  const absent = NEEDED.filter((name) => !values[name]).map((name) => SAID[name]);
  if (absent.length) return `Falta ${absent.join(", ")}.`;
  if (values.result === "infringement" && !values.infringements.length) return "Elija la norma infringida.";
  if (values.acting === "assisting" && !values.assists) return "Indique a qué unidad acompaña.";
  if (values.seizures.some((one) => !(one.quantity > 0))) return "Cada decomiso lleva una cantidad mayor que cero.";
  return "";
}

async function save(event) {
  event.preventDefault();
  if (isBusy) return;
  const values = collect();
  const text = missing(values);
  show(el("falta"), text);
  if (text) return;
  isBusy = true;
  try {
    await shooting;
    await keeping;
    const photos = (await outbox.photosOf(id)).map(({ id: photo, sha256, size_bytes, captured_at }) => ({ id: photo, sha256, size_bytes, captured_at }));
    const label = [operation()?.folio, values.point, values.trade, choiceText("result")].filter(Boolean).join(" · ");
    const before = folio ? (await outbox.list()).find((one) => one.id === id)?.body : null;
    // A correction keeps where and when it was.
    const kept = before ? { where: before.where, at: before.at, offset_ms: before.offset_ms } : { where: place.now() };
    const record = await outbox.add("inspection", { ...values, ...kept, sector: operation()?.sector ?? "", photos }, { id, folio, label, wantsFolio: true });
    toast(`${record.folio || "Fiscalización (folio al enviar)"} guardada en el teléfono`);
    await next(values.operation_id);
  } catch (error) {
    toast(error.name === "QuotaExceededError" ? "El teléfono no tiene espacio: no se guardó. Libere espacio y repita." : "No se pudo guardar en el teléfono; repita.", true);
  } finally {
    isBusy = false;
  }
  await outbox.send();
}

const choiceText = (name) => form.querySelector(`[name="${name}"]:checked`)?.parentElement.textContent.trim() ?? "";

async function next(operationId) {
  await store.remove("load", draftKey());
  clear();
  id = uuid7();
  folio = "";
  isPointChosen = false;
  el("mas").open = false;
  el("operativo").value = operationId ?? "";
  drawPoints();
  el("infraccion").hidden = true;
  el("acompana").hidden = true;
  await drawPhotos();
  scrollTo(0, 0);
}

export function inspectIn(operationId) {
  el("operativo").value = operationId;
  isPointChosen = false;
  drawPoints();
}

// A record that the hub refused comes back into the form, with its id, folio and photos.
export async function correct(record) {
  apply(record.id, record.folio, { ticket_folio: "", ...record.body });
  if (!folio) show(el("corrigiendo"), "Corrige una fiscalización rechazada. Al guardar se envía de nuevo.");
  await drawPhotos();
}
