// Who works with this phone: signed in, without a network, or with a session that ended.
//
// `me` is null until somebody signed in on this phone; {login, institution, key, load} after that, also
// without a network. Only a sign-out, or another person's sign-in, ends it.
import * as hub from "./hub.js";
import { phoneId } from "./ids.js";
import { importKey, seal, unseal } from "./seal.js";
import * as store from "./store.js";

export let me = null;
export let csrf = "";
export let link = "starting";  // on, off (no answer), out (the session ended), refused
export let refusal = "";

const MAX_AGE_MS = 10 * 60_000;
let takenAt = 0;

export async function phone() {
  let id = await store.get("meta", "phone");
  if (!id) {
    id = phoneId();
    await store.put("meta", id, "phone");
  }
  return id;
}

// The hub's clock minus this phone's, in ms; null before the first contact.
export const offset = async () => (await store.get("meta", "offset")) ?? null;

export async function noteClock(hubNow, askedAt) {
  const middle = (askedAt + Date.now()) / 2;
  await store.put("meta", Math.round(Date.parse(hubNow) - middle), "offset");
}

export async function start() {
  const current = await store.get("meta", "current");
  if (!current) return;
  me = { ...current, load: null, permits: null };
  csrf = current.csrf;
  await readLoad();
}

async function readLoad() {
  const [load, permits] = [await store.get("load", me.login), await store.get("load", `${me.login}:permits`)];
  me.load = load ? await unseal(me.key, load) : null;
  me.permits = permits ? await unseal(me.key, permits) : null;
}

// Speak with the hub: finish an earlier sign-out, learn who is signed in, fetch the day's load.
export async function contact({ isForced = false } = {}) {
  try {
    await finishLeaving();
    const session = await hub.session();
    csrf = session.csrf;
    if (me && me.login !== session.login) await forget();
    if (!me || me.csrf !== csrf || isForced || Date.now() - takenAt > MAX_AGE_MS) await take(session.login);
    link = "on";
  } catch (error) {
    if (error instanceof hub.SignedOut) link = "out";
    else if (error instanceof hub.Away) link = "off";
    else if (error instanceof hub.Refused) [link, refusal] = ["refused", error.message];
    else throw error;
  }
  return link;
}

async function take(login) {
  const askedAt = Date.now();
  const answer = await hub.take(csrf, {
    phone: await phone(),
    folios: await foliosLeft(login),
    permits: me?.permits?.version ?? "",
  });
  await noteClock(answer.now, askedAt);
  const key = await importKey(answer.key);
  const current = { login: answer.login, institution: answer.institution, key, csrf };
  const { permits, blocks, key: _key, ...load } = answer;
  const sealed = await seal(key, load);
  const sealedPermits = permits ? await seal(key, permits) : null;
  await store.write(["meta", "load", "blocks"], (meta, loads, kept) => {
    meta.put(current, "current");
    loads.put(sealed, answer.login);
    if (sealedPermits) loads.put(sealedPermits, `${answer.login}:permits`);
    for (const block of blocks) kept.put({ ...block, login: answer.login, next: block.first });
  });
  me = { ...current, load: null, permits: null };
  await readLoad();
  takenAt = askedAt;
}

async function foliosLeft(login) {
  const left = {};
  for (const block of await store.all("blocks")) {
    if (block.login !== login || block.next > block.last) continue;
    left[block.year] = (left[block.year] ?? 0) + block.last - block.next + 1;
  }
  return left;
}

async function forget() {
  await store.forget(me.login);
  me = null;
  takenAt = 0;
}

// The phone forgets at once; the hub is told now, or with the next signal.
export async function leave() {
  if (csrf) await store.put("meta", { csrf }, "leaving");
  if (me) await forget();
  csrf = "";
  await finishLeaving().catch(() => {});
  link = "out";
}

async function finishLeaving() {
  const leaving = await store.get("meta", "leaving");
  if (!leaving) return;
  await hub.signOut(leaving.csrf);
  await store.remove("meta", "leaving");
}
