// The noise process and the samplers of diffu_attn (notebooks 01, 06 and 06a), on arrays of single precision.
//
// A sampler takes `denoise(x, t)`, a promise of the predicted clean images; the noise `x` at the first time; times that
// fall to 0; and `draw()`, which gives fresh noise. It gives [x, t, x0] for each evaluation; the last x0 is the result.

const T_START = 0.995, T_END = 0.02014
const { cos, fround, log, max, min, sqrt, tan, atan, exp, expm1, PI } = Math

export const alphaBar = t => min(max(cos(t * PI / 2) ** 2, 0), 0.999)
const toSigma = t => tan(PI / 2 * t)
const toTime = sigma => atan(sigma) * 2 / PI
const line = (from, to, n) => Array.from({ length: n }, (_, i) => n === 1 ? from : from + (to - from) * i / (n - 1))

const SPACINGS = {
  even: n => line(T_START, T_END, n),
  karras: n => line(toSigma(T_START) ** (1 / 7), toSigma(T_END) ** (1 / 7), n).map(v => toTime(v ** 7)),
  mixed: n => {
    const steps = line(log(toSigma(T_START)), log(toSigma(T_END)), n).map(v => toTime(exp(v)))
    return SPACINGS.even(n).map((t, i) => (t + steps[i]) / 2)
  },
}

// Times of a run of n evaluations, the end 0 among them
export const timeGrid = (n, spacing) => [...SPACINGS[spacing](n).map(fround), 0]

// For each time the amplitudes [√ᾱ, √(1-ᾱ)] of image and noise; [1, 0] at the last, where no noise is left
const amplitudes = times => times.map((t, i) =>
  i === times.length - 1 ? [1, 0] : [sqrt(alphaBar(t)), sqrt(1 - alphaBar(t))])

// Σ weight · array, of [weight, array] pairs
const sum = (...terms) => {
  const out = new Float32Array(terms[0][1].length)
  for (const [weight, array] of terms) for (let i = 0; i < out.length; i++) out[i] += weight * array[i]
  return out
}

const noiseIn = (x, x0, [signal, noise]) => sum([1 / noise, x], [-signal / noise, x0])
const eulerStep = (x, eps, [a, s], [b, r]) => sum([b / a, x], [r - b / a * s, eps])

async function* ddpm(denoise, x, times, draw) {
  const at = amplitudes(times)
  for (let i = 0; i < times.length - 1; i++) {
    const x0 = await denoise(x, times[i])
    yield [x, times[i], x0]
    const abT = at[i][0] ** 2, abS = at[i + 1][0] ** 2, alpha = abT / abS
    if (at[i + 1][1] > 0) {
      x = sum([sqrt(abS) * (1 - alpha) / (1 - abT), x0], [sqrt(alpha) * (1 - abS) / (1 - abT), x],
              [sqrt((1 - abS) / (1 - abT) * (1 - alpha)), draw()])
    }
  }
}

async function* ddim(denoise, x, times) {
  const at = amplitudes(times)
  for (let i = 0; i < times.length - 1; i++) {
    const x0 = await denoise(x, times[i])
    yield [x, times[i], x0]
    x = sum([at[i + 1][0], x0], [at[i + 1][1], noiseIn(x, x0, at[i])])
  }
}

async function* heun(denoise, x, times) {
  const at = amplitudes(times), n = times.length - 1
  for (let i = 0, j; i < n; i = j) {
    let x0 = await denoise(x, times[i])
    yield [x, times[i], x0]
    let eps = noiseIn(x, x0, at[i])
    j = i + 2 < n ? i + 2 : i + 1
    if (j === i + 2) {
      const ahead = eulerStep(x, eps, at[i], at[j])
      x0 = await denoise(ahead, times[j])
      yield [ahead, times[j], x0]
      eps = sum([0.5, eps], [0.5, noiseIn(ahead, x0, at[j])])
    }
    x = eulerStep(x, eps, at[i], at[j])
  }
}

async function* dpmpp2m(denoise, x, times) {
  const at = amplitudes(times)
  let before, hBefore
  for (let i = 0; i < times.length - 1; i++) {
    const x0 = await denoise(x, times[i])
    yield [x, times[i], x0]
    const [a, s] = at[i], [b, r] = at[i + 1]
    if (r === 0) break
    const h = log(b / r) - log(a / s), ratio = before ? h / (2 * hBefore) : 0
    x = sum([r / s, x], [-b * expm1(-h) * (1 + ratio), x0], [b * expm1(-h) * ratio, before ?? x0])
    before = x0
    hBefore = h
  }
}

const ADAMS_BASHFORTH = [[1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]]

async function* ipndm(denoise, x, times) {
  const at = amplitudes(times)
  let slopes = []
  for (let i = 0; i < times.length - 1; i++) {
    const x0 = await denoise(x, times[i])
    slopes = [noiseIn(x, x0, at[i]), ...slopes.slice(0, 3)]
    const weights = ADAMS_BASHFORTH[slopes.length - 1]
    const ahead = eulerStep(x, sum(...slopes.map((eps, k) => [weights[k], eps])), at[i], at[i + 1])
    yield [x, times[i], at[i + 1][1] > 0 ? x0 : ahead.map(clamp)]                 // the last step extrapolates, too
    x = ahead
  }
}

export const clamp = v => min(max(v, -0.5), 0.5)

// By name: the function, the spacing of its times, the fewest evaluations
export const SAMPLERS = {
  dpmpp_2m: { run: dpmpp2m, spacing: 'mixed', least: 2, title: 'DPM-Solver++ (2M)' },
  ddim: { run: ddim, spacing: 'even', least: 1, title: 'DDIM' },
  heun: { run: heun, spacing: 'karras', least: 1, title: 'Heun' },
  ipndm: { run: ipndm, spacing: 'even', least: 2, title: 'iPNDM' },
  ddpm: { run: ddpm, spacing: 'even', least: 1, title: 'DDPM, fresh noise in each step' },
}
