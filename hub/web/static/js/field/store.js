// What the phone keeps (IndexedDB). A record is said to be saved only when the disk has it ("strict").
//
// meta    phone, current {login, institution, key}, leaving {csrf}, offset
// load    what a login took along, sealed
// blocks  folio numbers given to this phone, by login
// queue   what was written here, sealed; id, login, folio and state stand open
// photos  sealed, until the hub has them

const NAME = "almenara-terreno";
const VERSION = 1;

let opening = null;

function open() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      const db = request.result;
      db.createObjectStore("meta");
      db.createObjectStore("load");
      db.createObjectStore("blocks", { keyPath: ["login", "prefix", "year", "first"] });
      db.createObjectStore("queue", { keyPath: "id" }).createIndex("login", "login");
      db.createObjectStore("photos", { keyPath: "id" }).createIndex("item", "item");
    };
    request.onsuccess = () => {
      // Another tab with a newer page must be able to change the shape of the store.
      request.result.onversionchange = () => { request.result.close(); opening = null; };
      resolve(request.result);
    };
    request.onerror = () => { opening = null; reject(request.error); };
  });
  return opening;
}

// Run `act(stores...)` in one transaction; resolves with its request's result once everything is on disk.
export async function write(names, act) {
  const db = await open();
  return new Promise((resolve, reject) => {
    const transaction = db.transaction(names, "readwrite", { durability: "strict" });
    let result;
    transaction.oncomplete = () => resolve(result);
    transaction.onabort = () => reject(transaction.error ?? new Error("transaction aborted"));
    const stores = names.map((name) => transaction.objectStore(name));
    act(...stores, (value) => { result = value; });
  });
}

async function read(name, ask) {
  const db = await open();
  return new Promise((resolve, reject) => {
    const request = ask(db.transaction(name).objectStore(name));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export const get = (name, key) => read(name, (store) => store.get(key));
export const all = (name) => read(name, (store) => store.getAll());
export const allOf = (name, index, key) => read(name, (store) => store.index(index).getAll(key));
export const put = (name, value, key) => write([name], (store) => { store.put(value, key); });
export const remove = (name, key) => write([name], (store) => { store.delete(key); });

// Take the next folio of the login's blocks and put the record with it, in one step: no number is used
// twice, and none is lost. Without a block the record waits for the hub's own number.
export function putWithFolio(record, prefix, year) {
  return write(["blocks", "queue"], (blocks, queue, done) => {
    const request = blocks.getAll();
    request.onsuccess = () => {
      const mine = request.result
        .filter((one) => one.login === record.login && one.prefix === prefix && one.next <= one.last)
        .sort((a, b) => Math.abs(a.year - year) - Math.abs(b.year - year) || a.first - b.first);
      const block = mine[0];
      if (block) {
        record.folio = `${prefix}-${block.year}-${String(block.next).padStart(6, "0")}`;
        block.next += 1;
        blocks.put(block);
      }
      queue.put(record);
      done(record);
    };
  });
}

// A sign-out from another page of the console; where this phone never opened the field page there is nothing.
export async function forgetWhoIsHere() {
  const known = (await indexedDB.databases?.()) ?? [{ name: NAME }];
  if (!known.some((one) => one.name === NAME)) return;
  const current = await get("meta", "current");
  if (current) await forget(current.login);
}

// Everything of the person who signs out, but what the hub does not have yet: that stays, sealed.
export function forget(login) {
  return write(["meta", "load", "queue", "photos"], (meta, load, queue) => {
    meta.delete("current");
    load.clear();
    const request = queue.index("login").getAll(login);
    request.onsuccess = () => {
      for (const record of request.result) if (record.state === "sent") queue.delete(record.id);
    };
  });
}
