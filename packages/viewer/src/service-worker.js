/**
 * The page without a network. Its own files have their content's hash in their names, and are taken from the cache; the
 * page itself is asked for first, and taken from there when nobody answers. Models are none of its business: the page
 * remembers their list, and the engine keeps them.
 */
/* global FILES, VERSION: of the build that this belongs to */
const CACHE = `page-${VERSION}`;
const ROOT = new URL('./', self.location.href);
const FRESH = ['', 'index.html'];

self.addEventListener('install', (event) => {
  const fill = async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll(['./', ...FILES]);
    await self.skipWaiting();
  };
  event.waitUntil(fill());
});

self.addEventListener('activate', (event) => {
  const takeOver = async () => {
    const names = await caches.keys();
    await Promise.all(
      names.filter((name) => name.startsWith('page-') && name !== CACHE).map((name) => caches.delete(name)),
    );
    await self.clients.claim();
  };
  event.waitUntil(takeOver());
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== ROOT.origin || !pathname.startsWith(ROOT.pathname)) return;
  const path = pathname.slice(ROOT.pathname.length);
  if (FRESH.includes(path)) event.respondWith(freshFirst(request));
  else if (FILES.includes(path)) event.respondWith(caches.match(path).then((kept) => kept ?? fetch(request)));
});

async function freshFirst(request) {
  const cache = await caches.open(CACHE);
  const key = new URL(request.url.split('#')[0]).pathname;
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put(key, answer.clone());
    return answer;
  } catch (error) {
    const kept = await cache.match(key);
    if (kept) return kept;
    throw error;
  }
}
