// Pictures on canvases: an image in grey, and attention weights over it.

const SIDE = 32

// Bright where v in [0, 1] is large: dark violet, red, yellow
const glow = v => [255 * Math.min(1, 1.6 * v + .05), 255 * Math.max(0, Math.min(1, 1.7 * v - .5)),
                   255 * (v < .5 ? .25 + .5 * v : .5 * (1 - v) + (v > .8 ? (v - .8) * 3 : 0))]
const grey = v => Math.round(255 * Math.min(Math.max(v + .5, 0), 1))

// Draw one image, 32 x 32 numbers in [-0.5, 0.5], one canvas pixel each
export function showImage(canvas, image) {
  canvas.width = canvas.height = SIDE
  const picture = new ImageData(SIDE, SIDE)
  image.forEach((v, i) => picture.data.set([grey(v), grey(v), grey(v), 255], 4 * i))
  canvas.getContext('2d').putImageData(picture, 0, 0)
}

// The same, four times as large, under `weights` of a map of `side` pixels, with the pixel number `query` marked
export function showWeights(canvas, image, side, query, weights) {
  const zoom = 4, size = SIDE * zoom, cell = size / side
  canvas.width = canvas.height = size
  const picture = new ImageData(size, size), { data } = picture, largest = weights ? Math.max(...weights) : 1
  const heat = weights && Array.from(weights, w => glow(w / largest))
  for (let y = 0, i = 0; y < size; y++) {
    for (let x = 0; x < size; x++, i += 4) {
      const g = grey(image[Math.floor(y / zoom) * SIDE + Math.floor(x / zoom)])
      const over = heat?.[Math.floor(y / cell) * side + Math.floor(x / cell)]
      for (let k = 0; k < 3; k++) data[i + k] = over ? .3 * g + .7 * over[k] : g
      data[i + 3] = 255
    }
  }
  const context = canvas.getContext('2d')
  context.putImageData(picture, 0, 0)
  const left = (query % side) * cell, top = Math.floor(query / side) * cell
  for (const [width, color] of [[4, '#000'], [2, '#38bdf8']]) {
    context.lineWidth = width
    context.strokeStyle = color
    context.strokeRect(left + 1, top + 1, cell - 2, cell - 2)
  }
}

// Entropy of weights that sum to 1, as a share of the largest: 0 one place, 1 all alike (`attention_entropy`)
export function entropy(weights) {
  let sum = 0
  for (const w of weights) if (w > 0) sum -= w * Math.log(w)
  return sum / Math.log(weights.length)
}
