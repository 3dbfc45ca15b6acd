// Keeps the page and the community's last public figures for times without a connection.
//
// Nothing of a household's own pages is kept, nothing that the server marks "no-store", and no
// answer is given from here while the server answers.
const KEPT = 'hidamari-1';
const KEPT_FILES_MAX = 120;
/** When an answer was kept, in ms; the page shows it. */
const KEPT_AT = 'x-hidamari-kept-at';
const PUBLIC = /^\/api\/v1\/(community|now|tariff|prices|status|validators|auctions\/latest|blocks)$/;

self.addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(KEPT)
      .then((kept) => kept.add('/'))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) =>
        Promise.all(names.filter((name) => name !== KEPT).map((name) => caches.delete(name))),
      )
      .then(() => self.clients.claim()),
  );
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin) return;
  if (request.mode === 'navigate' && !url.pathname.startsWith('/api/')) {
    event.respondWith(fromServer(request, '/'));
  } else if (url.pathname.startsWith('/assets/')) {
    event.respondWith(fromHere(request));
  } else if (PUBLIC.test(url.pathname)) {
    event.respondWith(fromServer(request, request));
  } else if (/^\/[\w-]+\.(js|svg|webmanifest)$/.test(url.pathname)) {
    event.respondWith(fromServer(request, request));
  }
});

/** The server's answer; without one, the one that was kept. */
async function fromServer(request, name) {
  const kept = await caches.open(KEPT);
  try {
    const response = await fetch(request);
    if (mayBeKept(response)) await kept.put(name, await stamped(response.clone()));
    else if (response.status === 401 || response.status === 403) await kept.delete(name);
    return response;
  } catch (cause) {
    const known = await kept.match(name);
    if (known) return known;
    throw cause;
  }
}

/** Built files never change under their names. */
async function fromHere(request) {
  const kept = await caches.open(KEPT);
  const known = await kept.match(request);
  if (known) return known;
  const response = await fetch(request);
  if (mayBeKept(response)) {
    await kept.put(request, response.clone());
    await forgetOldest(kept);
  }
  return response;
}

function mayBeKept(response) {
  return response.ok && !/no-store/.test(response.headers.get('cache-control') ?? '');
}

async function stamped(response) {
  const headers = new Headers(response.headers);
  headers.set(KEPT_AT, String(Date.now()));
  return new Response(await response.blob(), { status: response.status, headers });
}

async function forgetOldest(kept) {
  const files = (await kept.keys()).filter(({ url }) => new URL(url).pathname.startsWith('/assets/'));
  const old = files.slice(0, Math.max(0, files.length - KEPT_FILES_MAX));
  await Promise.all(old.map((file) => kept.delete(file)));
}
