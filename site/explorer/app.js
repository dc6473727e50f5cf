// The page: reads what is wanted, shows what the worker draws.
import { entropy, showImage, showWeights } from './attention.js'
import { SAMPLERS } from './samplers.js'

const $ = id => document.getElementById(id)
const PIXELS = 32 * 32
const session = (() => { try { return sessionStorage } catch { return null } })()      // some browsers refuse it
const opened = +session?.getItem('opened') || performance.timeOrigin                 // before the page was loaded anew
let about, post, run = null, newest = 0, chosen = 0, query = [16, 12], shown = {}, kept = false, firstPicture = null

const several = (n, word) => `${n} ${word}${n === 1 ? '' : 's'}`
const say = (text, wrong = false) => {
  $('status').textContent = text
  $('status').classList.toggle('error', wrong)
  if (wrong) $('loading').hidden = true
}

// ---- what is wanted

function settings() {
  const one = +document.querySelector('#classes input:checked').value
  const other = $('other').value === '' ? one : +$('other').value
  return {
    classes: [one, other], blend: other === one ? 0 : +$('blend').value, n: +$('n').value, steps: +$('steps').value,
    guidance: +$('guidance').value, sampler: $('sampler').value, seed: +$('seed').value,
  }
}

function showSettings() {
  const { classes: [one, other], blend, n, steps, guidance } = settings()
  document.querySelector('output[for=n]').value = n
  document.querySelector('output[for=steps]').value = steps
  document.querySelector('output[for=guidance]').value = guidance.toFixed(1)
  document.querySelector('output[for=blend]').value = `${Math.round(100 * blend)} %`
  $('blend-line').hidden = other === one
}

function showPython({ classes: [one, other], n, steps, guidance, sampler, seed }) {
  $('python').textContent = one === other ? `from diffu_attn.all import *
model, generator = load_pretrained('${about.name}'), torch.Generator().manual_seed(${seed})
c = torch.full((${n},), ${one})                        # ${about.classes[one]}
x0, history = sample(model, c, '${sampler}', n_steps=${steps}, guidance=${guidance}, generator=generator)
show_images(x0)` : '# a mean of two predictions, as in notebook 14, Between two classes'
}

function wish() {
  clearTimeout(wish.timer)
  $('steps').min = SAMPLERS[$('sampler').value].least
  showSettings()
  if (!$('seed').checkValidity()) return say(`Seed: ${$('seed').validationMessage}`, true)
  wish.timer = setTimeout(draw, 120)
}

// ---- the run

function draw() {
  if (!document.body.dataset.backend) return                                        // `ready` draws what is wanted then
  const wanted = settings()
  run = { id: ++newest, wanted, steps: [], done: false }
  shown = {}
  chosen = Math.min(chosen, wanted.n - 1)
  $('at').max = wanted.steps
  $('at').disabled = $('play').disabled = $('download').disabled = true
  $('maps').classList.add('stale')
  layOut(wanted)
  showPython(wanted)
  say('Drawing…')
  post({ id: run.id, draw: wanted })
}

const nameOf = ({ classes: [one, other] }) =>
  one === other ? about.classes[one] : `${about.classes[one]} to ${about.classes[other]}`

// As many pictures as are wanted; those that are there stay until the new ones come
function layOut(wanted) {
  const options = [...$('pictures').children].slice(0, wanted.n)
  while (options.length < wanted.n) {
    const canvas = Object.assign(document.createElement('canvas'), { width: 32, height: 32 }), i = options.length
    const option = Object.assign(document.createElement('div'), { role: 'option' })
    option.addEventListener('click', () => choose(i))
    option.append(canvas)
    options.push(option)
  }
  options.forEach((option, i) => option.setAttribute('aria-label', `image ${i + 1}, ${nameOf(wanted)}`))
  if (options.length !== $('pictures').children.length) $('pictures').replaceChildren(...options)
  $('pictures').style.setProperty('--columns', wanted.n === 1 ? 1 : wanted.n <= 4 ? 2 : wanted.n <= 9 ? 3 : 4)
  choose(chosen)
}

function choose(i) {
  chosen = i;
  [...$('pictures').children].forEach((option, k) => {
    option.setAttribute('aria-selected', k === i)
    option.tabIndex = k === i ? 0 : -1
  })
  if (run.done) showAttention()
}

const what = () => document.querySelector('input[name=what]:checked').value
const stepAt = () => run.steps[Math.min(+$('at').value, run.steps.length) - 1]
const imageOf = (step, i, kind = what()) => step[kind].subarray(i * PIXELS, (i + 1) * PIXELS)

function showPictures(step) {
  document.querySelector('output[for=at]').value = `${$('at').value} of ${run.wanted.steps}, t = ${step.t.toFixed(3)}`;
  [...$('pictures').children].forEach((option, i) => showImage(option.firstChild, imageOf(step, i)))
}

function showRun() {
  if (!run?.steps.length) return
  const step = stepAt()
  showPictures(step)
  showAttention()
}

function finish(seconds) {
  run.done = true
  $('at').disabled = $('play').disabled = $('download').disabled = false
  const { n, steps } = run.wanted
  firstPicture ??= (performance.timeOrigin + performance.now() - opened) / 1000
  if ($('seed').validity.valid) say(`${several(n, 'image')}, ${several(steps, 'evaluation')}, ${seconds.toFixed(2)} s`)
}

let playing
function play() {
  cancelAnimationFrame(playing)
  const began = performance.now(), perStep = Math.max(60, 1500 / run.wanted.steps), of = run.id
  const frame = now => {
    if (of !== run.id) return
    const i = Math.min(run.wanted.steps, 1 + Math.floor(Math.max(now - began, 0) / perStep))
    if (+$('at').value !== i) { $('at').value = i; showRun() }
    if (i < run.wanted.steps) playing = requestAnimationFrame(frame)
  }
  $('at').value = 1
  showRun()
  playing = requestAnimationFrame(frame)
}

function download() {
  const all = [...$('pictures').querySelectorAll('canvas')], columns = Math.ceil(Math.sqrt(all.length)), zoom = 8
  const sheet = document.createElement('canvas')
  sheet.width = 34 * zoom * columns
  sheet.height = 34 * zoom * Math.ceil(all.length / columns)
  const context = sheet.getContext('2d')
  context.imageSmoothingEnabled = false
  context.fillStyle = '#fff'
  context.fillRect(0, 0, sheet.width, sheet.height)
  all.forEach((canvas, i) => context.drawImage(canvas, (i % columns * 34 + 1) * zoom,
    (Math.floor(i / columns) * 34 + 1) * zoom, 32 * zoom, 32 * zoom))
  sheet.toBlob(blob => {
    const link = Object.assign(document.createElement('a'), { href: URL.createObjectURL(blob) })
    link.download = `${nameOf(run.wanted).toLowerCase().replace(/\W/g, '-')}-seed-${run.wanted.seed}.png`
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 1000)
  })
}

// ---- attention

// Of two classes, the one with the larger share is the one whose attention is shown
const main = ({ classes: [one, other], blend }) => blend > .5 ? other : one
const classOf = wanted => wanted.classes[0] === wanted.classes[1] ? '' : `, as ${about.classes[main(wanted)]}`
const keyShown = () => `${run.id} ${run.steps.indexOf(stepAt())} ${chosen}`

// The weights of the chosen image in the evaluation shown: asked of the worker once, then kept
function showAttention() {
  const step = stepAt(), key = keyShown()
  if (!shown[key]) {
    shown[key] = 'asked'
    post({ id: key, maps: { x: imageOf(step, chosen, 'x').slice(), t: step.t, c: main(run.wanted) } })
  }
  drawAttention(step, shown[key] === 'asked' ? null : shown[key])
}

function drawAttention(step, maps) {
  const k = +$('layer').value, { heads, side } = about.layers[k], image = imageOf(step, chosen)
  const row = Math.floor(query[0] * side / 32), column = Math.floor(query[1] * side / 32), at = row * side + column
  showWeights($('chosen'), image, side, at)
  const place = `looking from row ${row + 1}, column ${column + 1} of ${side} x ${side}`
  $('where').textContent = place + classOf(run.wanted)
  $('maps').classList.toggle('stale', !maps)
  if (!maps) return                                                                 // the heads stay as they were
  if ($('heads').children.length !== heads) {
    $('heads').replaceChildren(...Array.from({ length: heads }, () => {
      const figure = document.createElement('figure')
      figure.append(document.createElement('canvas'), document.createElement('figcaption'))
      return figure
    }))
  }
  const pixels = side * side;
  [...$('heads').children].forEach((figure, head) => {
    const from = (head * pixels + at) * pixels, weights = maps[k].subarray(from, from + pixels)
    showWeights(figure.firstChild, image, side, at, weights)
    const text = `head ${head + 1}: at most ${Math.round(100 * Math.max(...weights))} %, ` +
                 `entropy ${entropy(weights).toFixed(2)}`
    figure.lastChild.textContent = text
    figure.firstChild.setAttribute('role', 'img')
    figure.firstChild.setAttribute('aria-label', text)
  })
}

let looking
function lookFrom(row, column) {
  query = [row, column].map(v => Math.min(Math.max(v, 0), 31))
  cancelAnimationFrame(looking)
  looking = requestAnimationFrame(() => run?.done && showAttention())
}

function point(event) {
  const box = $('chosen').getBoundingClientRect(), place = (at, from, size) => Math.floor((at - from) / size * 32)
  lookFrom(place(event.clientY, box.top, box.height), place(event.clientX, box.left, box.width))
}

function walk(event) {
  const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key]
  if (!by) return
  event.preventDefault()
  const cell = 32 / about.layers[+$('layer').value].side
  lookFrom(query[0] + by[0] * cell, query[1] + by[1] * cell)
}

// ---- start

function fill() {
  $('classes').replaceChildren(...about.classes.map((name, i) => {
    const label = document.createElement('label'), canvas = document.createElement('canvas')
    const input = Object.assign(document.createElement('input'), { type: 'radio', name: 'class', value: i })
    input.checked = i === 4
    showImage(canvas, about.examples[i].match(/../g).map(v => parseInt(v, 16) / 255 - .5))
    label.append(input, canvas, name)
    return label
  }))
  about.classes.forEach((name, i) => $('other').add(new Option(name, i)))
  Object.entries(SAMPLERS).forEach(([name, { title }]) => $('sampler').add(new Option(title, name)))
  const part = name => ({ downs: 'going down', mid: 'in the middle', ups: 'going up' })[name.split('.')[0]]
  const title = ({ name, side }) => `${part(name)}, ${side} x ${side} (${name})`
  about.layers.forEach((layer, i) => $('layer').add(new Option(title(layer), i)))
  $('layer').value = about.layers.length - 2
  $('guidance').value = about.guidance
  $('steps').value = about.steps
  $('controls').addEventListener('input', wish)
  $('controls').addEventListener('submit', event => event.preventDefault())
  $('another').addEventListener('click', () => { $('seed').value = Math.floor(Math.random() * 1e6); wish() })
  $('at').addEventListener('input', () => { cancelAnimationFrame(playing); showRun() })
  $('play').addEventListener('click', play)
  $('download').addEventListener('click', download)
  $('layer').addEventListener('input', () => run?.done && showAttention())
  $('chosen').addEventListener('pointermove', point)
  $('chosen').addEventListener('pointerdown', point)
  $('chosen').addEventListener('keydown', walk)
  document.querySelectorAll('input[name=what]').forEach(input => input.addEventListener('input', showRun))
  $('pictures').addEventListener('keydown', event => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
    if (!by) return
    event.preventDefault()
    choose((chosen + by + run.wanted.n) % run.wanted.n)
    $('pictures').children[chosen].focus()
  })
}

function ready({ backend, threads }) {
  $('loading').hidden = true
  const on = backend === 'webgpu' ? 'on the GPU' : `on the processor, ${several(threads, 'thread')}`
  const mb = (about.bytes.model + about.bytes[backend]) / 2 ** 20
  $('figures').textContent = `The network runs ${on}; it and what runs it are ${mb.toFixed(1)} MB.`
  Object.assign(document.body.dataset, { backend, threads })
  if (!kept) keepLater([about.runtime[backend].module, about.runtime[backend].binary, 'model.onnx.gz'])
  draw()
}

function hear({ data }) {
  if (data.loading) {
    $('loading').value = data.loading / data.total
    const [loaded, total] = [data.loading, data.total].map(bytes => (bytes / 2 ** 20).toFixed(1))
    $('figures').textContent = `Loading ${loaded} of ${total} MB`
  }
  if (data.about) { about = data.about; if (!$('layer').length) fill(); showSettings() }
  if (data.ready) ready(data.ready)
  if (data.error) {
    say(`This doesn't work: ${data.error}`, true)
    delete shown[data.id]
  }
  if (data.step && data.id === run?.id) {
    const [x, t, x0] = data.step
    run.steps.push({ x, t, x0 })
    $('at').value = run.steps.length
    if (run.steps.length < run.wanted.steps) showPictures(run.steps.at(-1))
    else showRun()
  }
  if (data.done !== undefined && data.id === run?.id) finish(data.done)
  if (data.maps) {
    shown[data.id] = data.maps
    if (run.done && data.id === keyShown()) showAttention()
  }
}

// With a service worker the page works without a network the next time; and it may use threads, which browsers allow
// to a page that the worker has delivered: the first time it is loaded once more, before anything large is.
async function keep() {
  const { serviceWorker } = navigator, soon = new Promise(done => setTimeout(done, 2000))
  if (!serviceWorker) return
  try {
    const taken = new Promise(done => serviceWorker.addEventListener('controllerchange', done))
    await Promise.race([soon, serviceWorker.register('sw.js').then(() => serviceWorker.controller || taken)])
    kept = Boolean(serviceWorker.controller)
    if (kept && !self.crossOriginIsolated && self === top && session && !session.getItem('opened')) {
      session.setItem('opened', performance.timeOrigin)
      location.reload()
      await new Promise(() => {})
    }
    session?.removeItem('opened')
  } catch { /* a page without it works as well, with a network */ }
}

// What was loaded before there was a service worker
async function keepLater(files) {
  try {
    await navigator.serviceWorker?.ready
    await (await caches.open('explorer')).addAll(files)
  } catch { /* as above */ }
}

async function begin() {
  if (!self.WebAssembly || !self.DecompressionStream || !self.Worker) {
    return say('This browser is too old: the page needs WebAssembly and DecompressionStream.', true)
  }
  await keep()
  const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' })
  worker.onmessage = hear
  worker.onerror = event => say(`This doesn't work: ${event.message ?? 'the worker did not start'}`, true)
  post = message => worker.postMessage(message)
  post({ start: new URLSearchParams(location.search).get('backend') ?? 'best' })
}

// For tests, and for the curious at the console
self.explorer = {
  get run() { return run },
  get settled() { return Boolean(run?.done) && JSON.stringify(run.wanted) === JSON.stringify(settings()) },
  get maps() { return run && shown[keyShown()] },
  get firstPicture() { return firstPicture },
}
begin()
