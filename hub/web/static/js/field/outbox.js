// The queue: written, shown, sent. The hub takes each record once, whatever is repeated.
//
// States: waiting (por enviar) → photos (the record arrived, its photos not all) → sent, or refused.
import * as hub from "./hub.js";
import { uuid7 } from "./ids.js";
import * as person from "./person.js";
import { openBytes, seal, sealBytes, unseal } from "./seal.js";
import * as store from "./store.js";

const BATCH = 20;
const KEEP_SENT_MS = 2 * 86_400_000;
const changed = new EventTarget();

export const onChange = (act) => changed.addEventListener("change", act);
const tell = () => changed.dispatchEvent(new Event("change"));

// Put an item into the queue; resolves once it is on disk, with its record. `id` is kept by a correction.
export async function add(kind, item, { id = uuid7(), folio = "", label = "", wantsFolio = false } = {}) {
  const { login, key } = person.me;
  const body = { offset_ms: await person.offset(), at: new Date().toISOString(), ...item, kind, id };
  const record = {
    id, login, kind, folio, state: "waiting", reason: "", written: Date.now(),
    ...(await seal(key, { body, label })),
  };
  if (wantsFolio && !folio) await store.putWithFolio(record, "FIS", new Date().getFullYear());
  else await store.put("queue", record);
  tell();
  return record;
}

// The person's own records, the newest first, opened.
export async function list() {
  if (!person.me) return [];
  const records = await store.allOf("queue", "login", person.me.login);
  const opened = [];
  for (const record of records) {
    try {
      opened.push({ ...record, ...(await unseal(person.me.key, record)) });
    } catch {
      opened.push({ ...record, body: {}, label: "No se puede abrir en este teléfono", isClosed: true });
    }
  }
  return opened.sort((a, b) => (a.id < b.id ? 1 : -1));
}

async function mark(id, changes) {
  await store.write(["queue"], (queue) => {
    const request = queue.get(id);
    request.onsuccess = () => { if (request.result) queue.put({ ...request.result, ...changes }); };
  });
}

// --- photos ---------------------------------------------------------------------------------------------

export async function addPhoto(itemId, note, bytes) {
  const sealed = await sealBytes(person.me.key, bytes);
  await store.put("photos", { ...sealed, ...note, item: itemId, login: person.me.login });
}

export const photosOf = (itemId) => store.allOf("photos", "item", itemId);
export const photoBytes = (photo) => openBytes(person.me.key, photo);
export const dropPhoto = (id) => store.remove("photos", id);

// --- sending --------------------------------------------------------------------------------------------

let again = false;

// Send what waits. One tab at a time; a press meanwhile makes it look once more.
export async function send() {
  again = true;
  await navigator.locks.request("almenara-terreno-envio", { ifAvailable: true }, async (lock) => {
    if (!lock) return;
    while (again && person.me && person.link === "on") {
      again = false;
      try {
        await sendRecords();
        await sendPhotos();
      } catch (error) {
        if (!(error instanceof hub.Away || error instanceof hub.SignedOut || error instanceof hub.Refused)) throw error;
        await person.contact();
        return;
      } finally {
        tell();
      }
    }
  });
}

async function sendRecords() {
  const waiting = (await list()).filter((one) => one.state === "waiting" && !one.isClosed).reverse();
  for (let at = 0; at < waiting.length; at += BATCH) {
    const part = waiting.slice(at, at + BATCH);
    const askedAt = Date.now();
    const answer = await hub.items(person.csrf, {
      phone: await person.phone(),
      now: new Date().toISOString(),
      items: part.map((one) => ({ ...one.body, ...(one.folio ? { folio: one.folio } : {}) })),
    });
    await person.noteClock(answer.now, askedAt);
    for (const result of answer.results) {
      const record = part.find((one) => one.id === result.id);
      if (record) await mark(record.id, await after(record, result));
    }
    tell();
  }
}

async function after(record, result) {
  if (result.state === "refused") return { state: "refused", reason: result.reason };
  const hasPhotos = (await photosOf(record.id)).length > 0;
  return { state: hasPhotos ? "photos" : "sent", folio: result.folio || record.folio, reason: result.note ?? "" };
}

async function sendPhotos() {
  for (const record of await list()) {
    if (record.state !== "photos") continue;
    let reason = "";
    for (const photo of await photosOf(record.id)) {
      try {
        const answer = await hub.photo(person.csrf, photo.id, await photoBytes(photo));
        if (answer.differs) reason = "Una foto llegó con otra huella que al capturarla; quedó guardada y señalada.";
        await dropPhoto(photo.id);
      } catch (error) {
        if (!(error instanceof hub.Refused)) throw error;
        await mark(record.id, { state: "refused", reason: `Foto: ${error.message}` });
        reason = null;
        break;
      }
    }
    if (reason !== null) await mark(record.id, { state: "sent", reason });
    tell();
  }
}

export async function retry(id) {
  await mark(id, { state: "waiting", reason: "" });
  tell();
  await send();
}

// What was sent days ago needs no place here; the hub has it.
export async function tidy() {
  const old = Date.now() - KEEP_SENT_MS;
  for (const record of await store.all("queue")) {
    if (record.state === "sent" && record.written < old) await store.remove("queue", record.id);
  }
}
