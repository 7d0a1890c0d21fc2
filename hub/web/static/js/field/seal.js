// AES-GCM under the key that the hub gives this login on this phone. The key cannot be read out of the
// browser, and goes with the sign-out: what is left in the store is closed to whoever comes after.

const texts = { to: new TextEncoder(), from: new TextDecoder() };

export function importKey(base64) {
  const bytes = Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
  return crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
}

export async function sealBytes(key, bytes) {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  return { iv, data: await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, bytes) };
}

export const openBytes = (key, sealed) =>
  crypto.subtle.decrypt({ name: "AES-GCM", iv: sealed.iv }, key, sealed.data);

export const seal = (key, value) => sealBytes(key, texts.to.encode(JSON.stringify(value)));

export const unseal = async (key, sealed) => JSON.parse(texts.from.decode(await openBytes(key, sealed)));

export async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
