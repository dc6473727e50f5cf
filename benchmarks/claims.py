"""Claims about attention, as experiments: each variant of the network trains for the same time from several seeds.

    python benchmarks/claims.py train --minutes 2 --seeds 0 1 2       all variants; what has its row is not run again
    python benchmarks/claims.py train --minutes 2 --variants laptop rotary --seeds 0
    python benchmarks/claims.py cost                                  time and memory of attention by side of the map
    python benchmarks/claims.py list                                  the variants

Run nothing beside it; minutes are those of the cores, so that a run may be paused. A row holds the eps-loss on the test
images, how many images the variant got through, FID and label accuracy of samples drawn without guidance, and the
amplitudes of the feature maps by frequency. `nbs/16_claims.ipynb` draws the rows and says what they mean.
"""
from argparse import SUPPRESS

import torch
from torch import nn
from torch.nn import functional as F

from diffu_attn.attention import MultiheadSelfAttention1D
from diffu_attn.device import autocast
from diffu_attn.features import extract_features, load_classifier
from diffu_attn.images import get_fashion_dls
from diffu_attn.metrics import fid
from diffu_attn.models import CONFIGS, build_model
from diffu_attn.noise import noisify
from diffu_attn.position import POSITIONS
from diffu_attn.sampling import sample
from diffu_attn.training import PRESETS, conditional_train, eps_loss
from diffu_attn.unet import TResBlock
from common import CountCB, CPUBudgetCB, add, alone, commands, has_row, in_turns, machine, peak_mb, spread

def attending(model) -> dict:
    "The blocks of `model` with attention, by name."
    return {name.removeprefix('net.'): m for name, m in model.named_modules()
            if isinstance(m, TResBlock) and m.attn is not None}

def keep(*parts):
    "A change: attention stays where a block's name starts with one of `parts`."
    def change(model):
        for name, block in attending(model).items():
            if not name.startswith(parts): block.attn = None
    return change

def swap(make):
    "A change: `make(nc, nh, side)` instead of each attention, which starts from the same weights."
    def change(model):
        sides = {}
        watch = [block.attn[1].register_forward_pre_hook(lambda m, args: sides.update({m: args[0].shape[-1]}))
                 for block in attending(model).values()]
        with torch.no_grad(): model(torch.zeros(1, 1, 32, 32), torch.zeros(1), torch.zeros(1, dtype=torch.long))
        for handle in watch: handle.remove()
        for block in attending(model).values():
            old = block.attn[1]
            block.attn[1] = make(old.nc, old.nh, sides[old])
            block.attn[1].load_state_dict(old.state_dict(), strict=False)
    return change

class SelfishAttention(MultiheadSelfAttention1D):
    "All weights of attention, and no looking around: each pixel takes over its own value."
    def attend(self, q, k, v): return v

VARIANTS = {  # name: (what differs in the configuration, a change of the network)
    'laptop': ({}, None),
    'no attention': (dict(attention_heads=(0, 0, 0)), None),
    'at itself only': ({}, swap(lambda nc, nh, side: SelfishAttention(nc, nh))),
    'encoder only': ({}, keep('downs')),
    'bottleneck only': ({}, keep('mid')),
    'decoder only': ({}, keep('ups')),
    '4x4 only': (dict(attention_heads=(0, 0, 4)), None),
    '8x8 only': (dict(attention_heads=(0, 4, 0)), None),
    '16x16, too': (dict(attention_heads=(4, 4, 4)), None),
    '1 head': (dict(attention_heads=(0, 1, 1)), None),
    '2 heads': (dict(attention_heads=(0, 2, 2)), None),
    '8 heads': (dict(attention_heads=(0, 8, 8)), None),
    **{name: ({}, swap(POSITIONS[name])) for name in ('absolute', 'relative', 'rotary')},
}

def build(variant: str, size: str = 'laptop'):
    "A new network."
    config, change = VARIANTS[variant]
    model = build_model({**CONFIGS[size], **config, **dict(color_channels=1, n_classes=10, null_class=True)})
    if change: change(model)
    return model

def amplitudes(x: torch.Tensor) -> torch.Tensor:
    "Mean amplitude of maps `(b, c, n, n)` at 0, 1, ... n/2 waves across the map, in the direction that has more."
    n = x.shape[-1]
    waves = torch.fft.fftfreq(n).abs() * n
    ring = torch.maximum(waves[:, None], waves[None]).long()                     # (n, n)
    amplitude = torch.fft.fft2(x.float(), norm='ortho').abs().mean((0, 1))
    return torch.stack([amplitude[ring == k].mean() for k in range(n // 2 + 1)])

@torch.no_grad()
def spectra(model, x0: torch.Tensor, c: torch.Tensor, times=(.1, .3, .5, .7, .9)) -> dict:
    "For each block that attends at 8x8: amplitudes by frequency before and after its convolutions and its attention."
    found = {}
    def note(block, what, before, after):
        row = found.setdefault(block, {}).setdefault(what, [])
        row.append(torch.stack([amplitudes(before), amplitudes(after)]))
    def watch(name, block):
        attn = block.attn[1]
        def looks(m, args):
            x = args[0]
            if x.shape[-1] != 8: return
            q, k, v = m.split_heads(x)
            as_maps = lambda v: v.mT.flatten(1, 2).unflatten(-1, x.shape[2:])    # (b, nh * d, h, w)
            note(name, 'attention', as_maps(v), as_maps(m.attend(q, k, v)))
        def convolves(m, args, out):
            if out.shape[-1] == 8: note(name, 'convolution', args[0], out)
        def adds(m, args, out):                                                  # what the attention part adds, to what
            if out.shape[-1] == 8: note(name, 'part', args[0], out)
        return [attn.register_forward_pre_hook(looks), block.attn.register_forward_hook(adds),
                block.conv1.register_forward_hook(convolves), block.conv2.register_forward_hook(convolves)]
    handles = [handle for name, block in attending(model).items() for handle in watch(name, block)]
    generator = torch.Generator().manual_seed(0)
    try:
        for t in times:
            (x_t, t), _ = noisify(x0, torch.full((len(x0),), t), generator=generator)
            model(x_t, t, c)
    finally:
        for handle in handles: handle.remove()
    mean = lambda rows: [[round(v, 5) for v in line] for line in torch.stack(rows).mean(0).tolist()]
    return {name: {what: mean(rows) for what, rows in block.items()} for name, block in found.items()}

def quality(model, real_features: torch.Tensor, n: int, seed: int) -> dict:
    "FID and label accuracy of `n` samples, drawn in ten evaluations without guidance."
    classifier, images, labels = load_classifier(), [], torch.arange(n) % 10
    generator = torch.Generator().manual_seed(seed)
    with autocast('cpu'):
        for c in labels.split(100): images.append(sample(model, c, n_steps=10, guidance=1., generator=generator)[0])
    features, predicted = extract_features(classifier, torch.cat(images))
    return dict(fid=fid(real_features, features), n=n, accuracy=(predicted == labels).float().mean().item())

def train_command(args):
    about, limit = machine(), PRESETS[args.size]['n']
    dls = get_fashion_dls(PRESETS[args.size]['bs'], n=limit)
    test, dls.valid = dls.valid, get_fashion_dls(1, n=1).valid                   # the budget is for training
    real = test.images / 255 - .5
    real_features = extract_features(load_classifier(), real)[0]
    for seed in args.seeds:
        for variant in args.variants:
            key = dict(command='train', size=args.size, variant=variant, seed=seed, minutes=args.minutes)
            if has_row(args.out, key): continue
            torch.manual_seed(seed)
            model, count = build(variant, args.size), CountCB()
            conditional_train(model, dls, PRESETS[args.size]['conditional_lr'], 10**9,
                              [CPUBudgetCB(args.minutes), count], device='cpu',
                              **dict(PRESETS[args.size]['recipe'], importance=False))  # even times, as in all rows
            row = dict(key, eps_loss=eps_loss(model, test), images=count.images,
                       weights=sum(p.numel() for p in model.parameters()),
                       **quality(model, real_features, args.n, seed),
                       spectra=spectra(model, real[:50], test.labels[:50]))
            print(f'{variant}, seed {seed}: eps-loss {row["eps_loss"]:.4f}, FID {row["fid"]:.3f}, '
                  f'accuracy {row["accuracy"]:.3f}, {row["images"]:,} images', flush=True)
            add(args.out, dict(row, **about))

WAYS = {'plain': lambda q, k, v: (q @ k.mT / q.shape[-1]**.5).softmax(-1) @ v, 'fused': F.scaled_dot_product_attention}

def work(way: str, side: int, nc: int = 96, nh: int = 4, batch: int = 4):
    "A pass forward and backward through one layer, as a function of nothing."
    x = torch.randn(batch, nc, side, side, requires_grad=True)
    layer = nn.Conv2d(nc, nc, 3, padding=1) if way == 'convolution' else MultiheadSelfAttention1D(nc, nh)
    if way in WAYS: layer.attend = WAYS[way]
    return lambda: layer(x).square().mean().backward()

def cost_command(args):
    if args.memory:                                                              # in a process of its own
        way, side = args.memory
        work(way, 4)()                                                           # what the first pass of all sets up
        run, before = work(way, int(side)), peak_mb()
        run()
        print(peak_mb() - before)
        return
    about = machine()
    for side in args.sides:
        taken = in_turns({way: work(way, side) for way in (*WAYS, 'convolution')}, args.repeats)
        for way, values in taken.items():
            took, memory = spread(values), alone(__file__, 'cost', '--memory', way, side)
            print(f'{side}x{side} {way:12} {1e3 * took["seconds"]:9.2f} ms  {memory:7.1f} MB')
            add(args.out, dict(command='cost', side=side, way=way, **took, memory_mb=memory, repeats=args.repeats,
                               **about))

def main():
    p, command = commands(__file__, __doc__, 'train', 'cost', 'list')
    t = command('train', train_command)
    t.add_argument('--minutes', type=float, default=2, help='of training, for each')
    t.add_argument('--variants', nargs='+', choices=VARIANTS, default=list(VARIANTS), help='which', metavar='NAME')
    t.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], help='of weights, order and noise')
    t.add_argument('--size', choices=('laptop', 'test'), default='laptop', help='of the network')
    t.add_argument('--n', type=int, default=2000, help='samples')
    c = command('cost', cost_command)
    c.add_argument('--sides', nargs='+', type=int, default=[4, 8, 16, 32, 64], help='of the map')
    c.add_argument('--repeats', type=int, default=9, help='timed passes of each')
    c.add_argument('--memory', nargs=2, help=SUPPRESS)
    command('list', lambda args: print('\n'.join(VARIANTS)))
    args = p.parse_args()
    args.run(args)

if __name__ == '__main__': main()
