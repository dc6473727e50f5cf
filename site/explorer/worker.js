// The network and the sampling run, beside the page, which stays quick.
//
// To the worker: {start: backend}, {draw: settings, id}, {maps: {x, t, c}, id}. From it: {about}, {loading, total},
// {ready}; then for a run {id, step: [x, t, x0]} for each evaluation and {id, done: seconds}, or {id, maps}; and
// {id, error} where it fails. A run ends early where a newer one is asked for.
import { alphaBar, clamp, SAMPLERS, timeGrid } from './samplers.js'
import { drawNoise, imageGenerators } from './random.js'

const PIXELS = 32 * 32
let about, session, Tensor, newest = 0, last = Promise.resolve()

// A file beside this one, unpacked; `heard` is told of the bytes that come
async function read(name, heard = () => {}) {
  const response = await fetch(new URL(name, import.meta.url))
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`)
  const counted = new TransformStream({ transform(chunk, out) { heard(chunk.length); out.enqueue(chunk) } })
  try {
    const bytes = new Uint8Array(await new Response(response.body.pipeThrough(counted)).arrayBuffer())
    if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes                       // some servers unpack themselves
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))
    return new Uint8Array(await new Response(unpacked).arrayBuffer())
  } catch { throw new Error(`${name} came incomplete or damaged`) }
}

// Is there a GPU? One that the processor plays (isFallbackAdapter) is slower than WebAssembly: only where it is wanted.
async function hasGpu(wanted) {
  if (wanted === 'wasm') return false
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null)
  return Boolean(adapter && (wanted === 'webgpu' || !(adapter.info ?? adapter).isFallbackAdapter))
}

// onnxruntime-web in its folder: on the GPU where there is one, else on the processor, with threads where they may be
async function start(wanted) {
  about = JSON.parse(new TextDecoder().decode(await read('about.json')))
  postMessage({ about })
  for (const backend of await hasGpu(wanted) ? ['webgpu', 'wasm'] : ['wasm']) {
    try {
      const { module, binary } = about.runtime[backend]
      const ort = await import(new URL(module, import.meta.url))
      ort.env.logLevel = 'error'
      ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency ?? 1) : 1
      const total = about.bytes.model + about.bytes[backend]
      let loading = 0
      const heard = bytes => { loading += bytes; postMessage({ loading: Math.min(loading, total), total }) }
      const [model, wasm] = await Promise.all([read('model.onnx.gz', heard), read(binary, heard)])
      ort.env.wasm.wasmBinary = wasm.buffer
      session = await ort.InferenceSession.create(model, { executionProviders: [backend] })
      Tensor = ort.Tensor
      const one = await predict(new Float32Array(PIXELS), 0.5, [0])
      if (!one.every(Number.isFinite)) throw new Error('the network gives no numbers')
      return { backend, threads: ort.env.wasm.numThreads }
    } catch (error) {
      if (backend === 'wasm') throw error
    }
  }
}

const feeds = (x, t, c) => ({
  x: new Tensor('float32', x, [c.length, 1, 32, 32]),
  t: new Tensor('float32', new Float32Array(c.length).fill(t), [c.length]),
  c: new Tensor('int64', BigInt64Array.from(c, BigInt), [c.length]),
})

// What the network gives for images x, one after the other, at time t, for conditions c; one evaluation at a time
function evaluate(x, t, c, ...wanted) {
  last = last.catch(() => {}).then(() => session.run(feeds(x, t, c), ...wanted))
  return last
}

async function predict(x, t, c) { return (await evaluate(x, t, c, ['eps'])).eps.data }

// The predicted noise towards a mean of two classes, guided: ε∅ + g ((1 - w) ε_a + w ε_b - ε∅)
async function guided(x, t, { classes: [a, b], blend, guidance }, n) {
  const parts = [[a, guidance * (1 - blend)], [b, guidance * blend], [about.null, 1 - guidance]].filter(([, v]) => v)
  const all = new Float32Array(parts.length * x.length)
  parts.forEach((_, i) => all.set(x, i * x.length))
  const eps = await predict(all, t, parts.flatMap(([label]) => Array(n).fill(label)))
  const out = new Float32Array(x.length)
  parts.forEach(([, weight], i) => { for (let j = 0; j < out.length; j++) out[j] += weight * eps[i * out.length + j] })
  return out
}

// A run, evaluation by evaluation
async function draw(settings, id) {
  const { n, steps, sampler, seed } = settings, { run, spacing } = SAMPLERS[sampler]
  const generators = imageGenerators(n, seed), fresh = () => drawNoise(generators, PIXELS)
  const denoise = async (x, t) => {
    const eps = await guided(x, t, settings, n), signal = Math.sqrt(alphaBar(t)), noise = Math.sqrt(1 - alphaBar(t))
    return eps.map((e, i) => clamp((x[i] - noise * e) / signal))
  }
  const began = performance.now()
  for await (const step of run(denoise, fresh(), timeGrid(steps, spacing), fresh)) {
    await new Promise(resolve => setTimeout(resolve))                              // a newer wish may have come
    if (id !== newest) return
    postMessage({ id, step })
  }
  postMessage({ id, done: (performance.now() - began) / 1000 })
}

// The attention weights of all layers in one evaluation of one image
async function maps({ x, t, c }, id) {
  const out = await evaluate(x, t, [c])
  postMessage({ id, maps: about.layers.map(layer => out[layer.name].data) })
}

self.onmessage = async ({ data }) => {
  const { id } = data
  try {
    if (data.start) postMessage({ ready: await start(data.start) })
    if (data.draw) { newest = id; await draw(data.draw, id) }
    if (data.maps) await maps(data.maps, id)
  } catch (error) {
    postMessage({ id, error: error.message ?? String(error) })
  }
}
