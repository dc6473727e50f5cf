"""A task that needs attention: pictures of several garments, of which two are the same, each with noise of its own.

    python benchmarks/twins.py train                                        all tasks and networks; a row each
    python benchmarks/twins.py train --tasks "random twins" --networks tied convolutions --seeds 0
    python benchmarks/twins.py list

Whoever finds the other copy sees the garment twice, and with it half of the noise variance. A row holds the loss on the
pixels that have a copy, on the others, by time, and how much of the attention goes to the true copy. What has its row
is not run again; processes of one thread each (OMP_NUM_THREADS=1) with other seeds may share the work and the file.
`nbs/18_twins.ipynb` draws the rows, and says what was predicted.
"""
import math

import torch
from torch.nn import functional as F

from diffu_attn.attention import MultiheadSelfAttention1D
from diffu_attn.attention_maps import attention_layers, record_attention
from diffu_attn.data import DataLoaders
from diffu_attn.images import get_fashion_dls
from diffu_attn.models import CONFIGS, build_model
from diffu_attn.noise import alpha_bar, noisify, sample_times
from diffu_attn.training import SMALL_RECIPE, ddpm_learner
from common import add, commands, has_row, versions
from variants import SelfishAttention, UnitAttention, add_to

SIDE = 16                                                                        # of a garment
SHOES = 5, 7, 9                                                                  # classes: sandal, sneaker, ankle boot

def places(b: int, k: int, generator) -> torch.Tensor:
    "The numbers of `k * k` cells in random order, `(b, k * k)`."
    return torch.rand(b, k * k, generator=generator).argsort(1)

def cells(garments: torch.Tensor, k: int) -> torch.Tensor:
    "Canvases of `(b, k * k, SIDE, SIDE)` garments."
    return garments.unflatten(1, (k, k)).transpose(2, 3).flatten(3, 4).flatten(1, 2).unsqueeze(1)

def twins(garments, generator, k=2, where=places):
    "Canvases of `k` by `k` garments, two of which are the same, in the first two of the cells that `where` gives."
    b, order = len(garments), where(len(garments), k, generator)
    garments = garments.clone()
    rows, first, second = torch.arange(b), order[:, 0], order[:, 1]
    garments[rows, second] = garments[rows, first]
    pixel = torch.arange((k * SIDE)**2).view(1, k * SIDE, k * SIDE).expand(b, -1, -1)
    numbers = pixel.unflatten(2, (k, SIDE)).unflatten(1, (k, SIDE)).transpose(2, 3).flatten(1, 2)
    copies = torch.full_like(numbers, -1)                                        # (b, cells, SIDE, SIDE)
    copies[rows, first], copies[rows, second] = numbers[rows, second], numbers[rows, first]
    return garments, cells(copies, k)[:, 0]

def fixed(garments, generator):
    garments, copies = twins(garments, generator, where=lambda b, k, g: torch.arange(k * k).expand(b, -1))
    return cells(garments, 2), copies

def random(garments, generator, k=2):
    garments, copies = twins(garments, generator, k)
    return cells(garments, k), copies

def lookup(garments, generator):
    "The first cell is a card: it says by its bright half which of the other three stands alone."
    def where(b, k, generator): return 1 + torch.rand(b, 3, generator=generator).argsort(1)
    order = where(len(garments), 2, generator)
    garments, copies = twins(garments, generator, where=lambda *_: order)
    card = torch.full((4, SIDE, SIDE), -.5)
    card[1, :, :SIDE // 2] = card[2, :SIDE // 2] = card[3, :, SIDE // 2:] = .5
    garments[:, 0] = card[order[:, 2]]
    return cells(garments, 2), copies

def pair(garments, generator):
    "A shoe and its mirror image on black, side by side or one above the other, moved at random along the other way."
    b, n, at = len(garments), 2 * SIDE, torch.arange(SIDE)
    moved = 2 * torch.randint(SIDE // 2 + 1, (b, 2), generator=generator)        # even, as the network's patches are
    halves, beside = torch.tensor([0, SIDE]).expand(b, 2), torch.rand(b, 1, generator=generator) < .5
    tops, lefts = torch.where(beside, moved, halves), torch.where(beside, halves, moved)
    x, copies = torch.full((b, n, n), -.5), torch.full((b, n, n), -1)
    i = torch.arange(b)[:, None, None]
    y, z = ([tops[:, j, None, None] + at[:, None], lefts[:, j, None, None] + at] for j in (0, 1))
    x[i, y[0], y[1]], x[i, z[0], z[1]] = garments[:, 0], garments[:, 0].flip(2)
    number = lambda place: place[0] * n + place[1]
    copies[i, y[0], y[1]], copies[i, z[0], z[1]] = number(z).flip(2), number(y).flip(2)
    return x.unsqueeze(1), copies

TASKS = {  # name: (garments in a canvas, side of the canvas, canvases of garments and where the copy of each pixel is)
    'single': (1, SIDE, lambda garments, generator: (garments, torch.full((len(garments), SIDE, SIDE), -1))),
    'lookup': (4, 2 * SIDE, lookup),
    'fixed twins': (4, 2 * SIDE, fixed),
    'random twins': (4, 2 * SIDE, random),
    'twins of nine': (9, 3 * SIDE, lambda garments, generator: random(garments, generator, 3)),
    'pair of shoes': (1, 2 * SIDE, pair),
}

class Canvases:
    "`n` new canvases in batches, each time that they are gone through."
    def __init__(self, batches, task: str, n: int, bs: int = 64, seed: int = 0):
        small, labels = F.avg_pool2d(batches.images.float() / 255 - .5, 32 // SIDE)[:, 0], batches.labels
        if task == 'pair of shoes': small = small[sum(labels == shoe for shoe in SHOES).bool()]
        self.garments, self.task, self.n, self.bs = small, task, n, bs
        self.generator = torch.Generator().manual_seed(seed)
    def __len__(self): return self.n // self.bs
    def __iter__(self):
        for _ in range(len(self)): yield self.draw(self.bs)
    def draw(self, b: int) -> tuple:
        many, _, make = TASKS[self.task]
        chosen = torch.randint(len(self.garments), (b, many), generator=self.generator)
        return make(self.garments[chosen], self.generator)

PLACES = 'downs.0.blocks.0', 'ups.1.blocks.0'                                    # 16x16 patches of 2x2 pixels
NETWORKS = {  # name: what is added
    'convolutions': None,
    'itself': add_to(*PLACES, make=lambda nc, side: SelfishAttention(nc, 2)),
    'plain': add_to(*PLACES, make=lambda nc, side: MultiheadSelfAttention1D(nc, 2)),
    'unit': add_to(*PLACES, make=lambda nc, side: UnitAttention(nc, 2)),
    'tied': add_to(*PLACES, make=lambda nc, side: UnitAttention(nc, 2, tied=True)),
    'tied, others': add_to(*PLACES, make=lambda nc, side: UnitAttention(nc, 2, tied=True, others=True)),
    'tied, others, 30': add_to(*PLACES, make=lambda nc, side: UnitAttention(nc, 2, tied=True, others=True,
                                                                            temperature=30)),
}

def build(network: str, task: str, size: str = 'laptop'):
    "A new network: 32 channels at 16x16 and 8x8 places for a canvas of 32x32, 64 below."
    own = dict(nfs=(32, 32, 64), n_blocks=(1, 1, 1)) if size == 'laptop' else {}
    model = build_model({**CONFIGS['test'], **own, **dict(attention_heads=(0, 0, 0), color_channels=1,
                                                          image_size=TASKS[task][1])})
    if NETWORKS[network]: NETWORKS[network](model)
    return model

def errors(model, x0: torch.Tensor, t: torch.Tensor, generator) -> torch.Tensor:
    "Squared errors of the noise, `(n, h, w)`."
    (x_t, t), eps = noisify(x0, t, generator=generator)
    model.eval()
    with torch.no_grad():
        return torch.cat([(model(x, t) - e).square()[:, 0] for x, t, e in zip(*(v.split(250) for v in (x_t, t, eps)))])

def by_time(values: torch.Tensor, mask: torch.Tensor, t: torch.Tensor, bins: int = 5) -> list:
    "Mean of `values` where `mask`, in each bin of time."
    at = (t * bins).long().clamp_max(bins - 1)
    return [round(values[at == k][mask[at == k]].mean().item(), 5) for k in range(bins)]

def mass(model, x0: torch.Tensor, copies: torch.Tensor, generator, t: float = .1) -> dict:
    "Of each layer: the share of a patch's attention that goes to its copy, over patches with one, in the best head."
    (x_t, times), _ = noisify(x0, torch.full((len(x0),), t), generator=generator)
    with record_attention(model, n=len(x0)) as maps, torch.no_grad(): model(x_t, times)
    side, found = copies.shape[-1] // 2, {}
    partner = copies[:, ::2, ::2].flatten(1)                                     # of the patch's first pixel
    there = partner >= 0
    patch = (partner // copies.shape[-1] // 2 * side + partner % copies.shape[-1] // 2).clamp_min(0)
    for name, recorded in maps.items():
        to_copy = recorded[0].gather(3, patch[:, None, :, None].expand(-1, recorded.shape[2], -1, 1))[..., 0]
        found[name] = round(max(head[there].mean().item() for head in to_copy.unbind(1)), 4)
    return found

def ideal(model, x0: torch.Tensor, t: torch.Tensor, generator) -> list:
    """The loss of one of two views, by time: half of the loss at σ/√2, where there is as much to see in one.

    Below t = 0.03 there is no such time, since σ is at least 0.03: so the first bin is a little too low."""
    ab = alpha_bar(t)
    sigma = ((1 - ab) / ab.clamp_min(1e-8)).sqrt()
    half = 2 / math.pi * (sigma / 2**.5).atan()
    return by_time(errors(model, x0, half, generator) / 2, torch.ones_like(x0[:, 0], dtype=torch.bool), t)

def judge(model, task: str, batches, n: int) -> dict:
    "Losses on what has a copy, and on what has none."
    x0, copies = Canvases(batches, task, n, seed=9).draw(n)
    generator = torch.Generator().manual_seed(0)
    t = sample_times(n, generator=generator)
    off = errors(model, x0, t, generator)
    if task == 'single':
        loss = by_time(off, torch.ones_like(off, dtype=torch.bool), t)
        return dict(other=sum(loss) / len(loss), others=loss, ideal=ideal(model, x0, t, generator))
    twin, other = by_time(off, copies >= 0, t), by_time(off, copies < 0, t)
    found = dict(twin=sum(twin) / len(twin), other=sum(other) / len(other), twins=twin, others=other)
    return dict(found, mass=mass(model, x0[:50], copies[:50], generator)) if attention_layers(model) else found

def train_command(args):
    dls = get_fashion_dls(64, n=args.garments)
    for seed in args.seeds:
        for task in args.tasks:
            for network in args.networks if task != 'single' else ['convolutions']:
                key = dict(command='train', size=args.size, task=task, network=network, seed=seed, images=args.images,
                           n=args.n, garments=args.garments)
                if has_row(args.out, key): continue
                torch.manual_seed(seed)
                model = build(network, task, args.size)
                torch.manual_seed(seed)
                n = args.images * (4 if task == 'single' else 1)                 # as many garments
                canvases = DataLoaders(Canvases(dls.train, task, n, seed=seed), [Canvases(dls.valid, task, 2).draw(2)])
                ddpm_learner(model, canvases, 3e-3, conditional=False, device='cpu', **SMALL_RECIPE).fit(1)
                found = judge(model, task, dls.valid, args.n)
                print(f'{task}, {network}, seed {seed}: ' + ', '.join(f'{k} {found[k]:.5f}' for k in ('twin', 'other')
                                                                      if k in found), found.get('mass', ''), flush=True)
                add(args.out, dict(key, weights=sum(p.numel() for p in model.parameters()), **found,
                                   **versions()))

def main():
    p, command = commands(__file__, __doc__, 'train', 'list')
    t = command('train', train_command)
    t.add_argument('--tasks', nargs='+', choices=TASKS, default=list(TASKS), help='which', metavar='NAME')
    t.add_argument('--networks', nargs='+', choices=NETWORKS, default=list(NETWORKS), help='which', metavar='NAME')
    t.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], help='of weights, canvases and noise')
    t.add_argument('--images', type=int, default=40_000, help='canvases to train on')
    t.add_argument('--garments', type=int, help='of each split to draw from; by default all')
    t.add_argument('--size', choices=('laptop', 'test'), default='laptop', help='of the network')
    t.add_argument('--n', type=int, default=2000, help='test canvases')
    command('list', lambda args: print('\n'.join([*TASKS, *NETWORKS])))
    args = p.parse_args()
    args.run(args)

if __name__ == '__main__': main()
