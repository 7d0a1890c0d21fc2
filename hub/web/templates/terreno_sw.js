// Version {{ version }}. Keeps the page and its files; everything else goes to the hub.
const CACHE = "terreno-{{ version }}";
const PAGE = "/terreno";
const FILES = {{ files | safe }};

self.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll(FILES);
    // A session that ended answers with the sign-in page: then this version is not installed.
    await cache.add(new Request(PAGE, { cache: "no-store", redirect: "error", headers: { Accept: "text/html" } }));
  })());
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith("terreno-") && name !== CACHE) await caches.delete(name);
    }
    await self.clients.claim();
  })());
});

self.addEventListener("message", (event) => {
  if (event.data === "usar") self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const isPage = event.request.mode === "navigate" && url.pathname === PAGE;
  if (url.origin !== location.origin || event.request.method !== "GET") return;
  if (!isPage && !FILES.includes(url.pathname)) return;
  event.respondWith((async () => {
    const kept = await (await caches.open(CACHE)).match(isPage ? PAGE : url.pathname);
    return kept ?? fetch(event.request);
  })());
});
