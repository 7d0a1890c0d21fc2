// Requests to the hub. Away: no answer, or one that says nothing about what was sent.

export class Away extends Error {}
export class SignedOut extends Error {}
export class Refused extends Error {}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, {
      cache: "no-store",
      credentials: "same-origin",
      ...options,
      headers: { Accept: "application/json", ...options.headers },
    });
  } catch {
    throw new Away();
  }
  if (response.status === 401) throw new SignedOut();
  if (response.ok) {
    try {
      return await response.json();
    } catch {
      throw new Away();  // a captive portal answers with its own page
    }
  }
  const problem = await response.json().catch(() => null);
  if (response.status >= 500 || response.status === 429 || !problem?.detail) throw new Away();
  throw new Refused(problem.detail);
}

const json = (csrf, value, method = "POST") => ({
  method,
  headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
  body: JSON.stringify(value),
});

export const session = () => ask("/api/v1/session");
export const take = (csrf, value) => ask("/api/v1/field/take", json(csrf, value));
export const items = (csrf, value) => ask("/api/v1/field/items", json(csrf, value));

export const photo = (csrf, id, bytes) => ask(`/api/v1/field/photos/${id}`, {
  method: "PUT",
  headers: { "Content-Type": "application/octet-stream", "X-CSRF-Token": csrf },
  body: bytes,
});

export async function signOut(csrf) {
  try {
    await fetch("/salir", {
      method: "POST",
      credentials: "same-origin",
      redirect: "manual",
      headers: { "X-CSRF-Token": csrf },
    });
  } catch {
    throw new Away();
  }
}
