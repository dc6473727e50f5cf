// Keeps what the page has loaded, for when there is no network, and lets it use threads.
const KEPT = 'explorer'
const FIRST = ['./', 'style.css', 'app.js', 'attention.js', 'worker.js', 'samplers.js', 'random.js', 'about.json']
const FRESH = { cache: 'no-cache' }                   // ask the server whether it has changed: no mixture of versions

self.addEventListener('install', event => {
  const asked = FIRST.map(url => new Request(url, FRESH))
  event.waitUntil(caches.open(KEPT).then(cache => cache.addAll(asked)).then(() => self.skipWaiting()))
})
self.addEventListener('activate', event => event.waitUntil(self.clients.claim()))

// Threads share memory, which browsers allow where a page says that it takes nothing from other hosts unasked.
function isolated(response) {
  const headers = new Headers(response.headers)
  headers.set('Cross-Origin-Opener-Policy', 'same-origin')
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp')
  headers.set('Cross-Origin-Resource-Policy', 'same-origin')
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers })
}

async function answer(event) {
  const { request } = event
  const cache = await caches.open(KEPT)
  try {
    const response = await fetch(request, FRESH)
    if (response.ok) event.waitUntil(cache.put(request.url.split('?')[0], response.clone()))
    return isolated(response)
  } catch (error) {
    const name = request.mode === 'navigate' ? './' : request
    const kept = await cache.match(name, { ignoreSearch: true })
    if (kept) return isolated(kept)
    throw error
  }
}

self.addEventListener('fetch', event => {
  const { method, url } = event.request
  if (method === 'GET' && url.startsWith(self.registration.scope)) event.respondWith(answer(event))
})
