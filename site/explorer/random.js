// The random numbers of torch on a CPU, so that a seed gives the same noise here and in Python.

// Mersenne Twister (Matsumoto and Nishimura 1998), as torch.Generator().manual_seed(seed) starts it.
export class Generator {
  constructor(seed) {
    this.state = new Uint32Array(624)
    this.state[0] = seed
    for (let i = 1; i < 624; i++) {
      const before = this.state[i - 1] ^ (this.state[i - 1] >>> 30)
      this.state[i] = Math.imul(1812433253, before) + i
    }
    this.next = 624
  }

  twist() {
    const s = this.state
    for (let i = 0; i < 624; i++) {
      const y = (s[i] & 0x80000000) | (s[(i + 1) % 624] & 0x7fffffff)
      s[i] = s[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
    }
    this.next = 0
  }

  // 32 random bits
  bits() {
    if (this.next === 624) this.twist()
    let y = this.state[this.next++]
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    return (y ^ (y >>> 18)) >>> 0
  }

  // n standard normal numbers, n a multiple of 16, as torch.randn(n, generator=...) draws them (Box and Muller 1958)
  normal(n) {
    const out = Float32Array.from({ length: n }, () => (this.bits() & 0xffffff) / 2 ** 24)
    for (let i = 0; i < n; i += 16) {
      for (let j = i; j < i + 8; j++) {
        const radius = Math.sqrt(-2 * Math.log(1 - out[j])), angle = 2 * Math.PI * out[j + 8]
        out[j] = radius * Math.cos(angle)
        out[j + 8] = radius * Math.sin(angle)
      }
    }
    return out
  }
}

// A generator for each of n images, as `image_generators` of diffu_attn.sampling makes them: image i depends on seed
// and i alone. Of the 62 random bits that it draws for each, a seed uses the lower 32, which come second.
export function imageGenerators(n, seed) {
  const source = new Generator(seed)
  return Array.from({ length: n }, () => { source.bits(); return new Generator(source.bits()) })
}

// Standard normal noise for all images, one after the other, `size` numbers each
export function drawNoise(generators, size) {
  const out = new Float32Array(generators.length * size)
  generators.forEach((generator, i) => out.set(generator.normal(size), i * size))
  return out
}
