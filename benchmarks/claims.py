"""Claims about attention, as experiments: variants of the laptop network, trained alike on as many images.

    python benchmarks/claims.py train --images 75000 --seeds 0 1 2    all variants; what has its row is not run again
    python benchmarks/claims.py train --images 280000 --variants "no attention" "rows, 16x16" --seeds 0
    python benchmarks/claims.py speed                                 what a training step of each costs, in turns
    python benchmarks/claims.py cost                                  time and memory of attention by side of the map
    python benchmarks/claims.py list                                  the variants

Training counts images, so that its rows are the same on a machine that is busy: several processes with other seeds or
variants, of one thread each (OMP_NUM_THREADS=1), may share the work and the file. Run nothing beside `speed` and
`cost`; what equal time is worth follows from rows and steps together. A row holds the eps-loss on the test images, also
by time; FID, label accuracy and asymmetry of samples drawn without guidance; and the amplitudes of the feature maps by
frequency. `nbs/16_claims.ipynb` draws the rows and says what they mean.
"""
from argparse import SUPPRESS
from statistics import median

import torch
from torch import nn
from torch.nn import functional as F

from diffu_attn.ablation import loss_by_time
from diffu_attn.attention import MultiheadSelfAttention1D
from diffu_attn.device import autocast
from diffu_attn.features import extract_features, load_classifier
from diffu_attn.images import get_fashion_dls
from diffu_attn.metrics import fid
from diffu_attn.models import CONFIGS, build_model
from diffu_attn.noise import noisify
from diffu_attn.optim import Muon, muon_groups
from diffu_attn.position import POSITIONS, RowAttention
from diffu_attn.sampling import sample
from diffu_attn.training import PRESETS, conditional_train
from common import ImagesCB, add, alone, commands, has_row, in_turns, machine, peak_mb, spread, versions
from variants import (Mirrored, Pixelwise, Pooled, RowMix, SelfishAttention, UnitAttention, WindowAttention, add_to,
                      blocks, replace, sides, tell)

def attending(model) -> dict:
    "The blocks of `model` with attention, by name."
    return {name: m for name, m in blocks(model).items()
            if m.attn is not None and isinstance(m.attn[1], MultiheadSelfAttention1D)}

def swap(make):
    "A change: `make(nc, nh, side)` instead of each attention, which starts from the same weights."
    def change(model):
        side = sides(model)
        for name, block in attending(model).items():
            old = block.attn[1]
            block.attn[1] = make(old.nc, old.nh, side[name])
            block.attn[1].load_state_dict(old.state_dict(), strict=False)
    return change

NONE = dict(attention_heads=(0, 0, 0))
LEVEL_8 = 'downs.1.blocks.0', 'downs.1.blocks.1', 'ups.0.blocks.0', 'ups.0.blocks.1'
DECODER_8, DECODER_16, BOTTLENECK = 'ups.0.blocks.0', 'ups.1.blocks.0', ('mid.0', 'mid.1', 'mid.2')

VARIANTS = {  # name: (what differs in the configuration, a change of the network)
    'laptop': ({}, None),
    'no attention': (NONE, None),
    'at itself only': ({}, swap(lambda nc, nh, side: SelfishAttention(nc, nh))),
    'transformer at 8x8': (NONE, replace(*LEVEL_8, make=lambda nc, side: UnitAttention(nc, 2))),
    'decoder, 8x8': (NONE, add_to(DECODER_8, make=lambda nc, side: MultiheadSelfAttention1D(nc, 1))),
    'windows, 16x16': (NONE, add_to(DECODER_16, make=lambda nc, side: WindowAttention(nc, 1))),
    'rows, 16x16': (NONE, add_to(DECODER_16, make=lambda nc, side: RowAttention(nc, 1, side))),
    'rows, decoder': (dict(attention_heads=(1, 0, 0), position='rows', attention_parts=['decoder']), None),
    'rows, no content': (NONE, add_to(DECODER_16, make=lambda nc, side: RowMix(nc, 1, side))),
    'mirror image': (NONE, add_to(DECODER_16, make=lambda nc, side: Mirrored(nc))),
    'matrix only': (NONE, add_to(DECODER_16, make=lambda nc, side: Pixelwise(nc))),
    'mean, 4x4': (NONE, add_to(*BOTTLENECK, make=lambda nc, side: Pooled(nc))),
    'time and class': (NONE, tell(DECODER_8)),
    'encoder only': (dict(attention_heads=(0, 4, 0), attention_parts=['encoder']), None),
    'bottleneck only': (dict(attention_heads=(0, 0, 4)), None),
    'decoder only': (dict(attention_heads=(0, 4, 0), attention_parts=['decoder']), None),
    '8x8 only': (dict(attention_heads=(0, 4, 0)), None),
    '16x16, too': (dict(attention_heads=(4, 4, 4)), None),
    '1 head': (dict(attention_heads=(0, 1, 1)), None),
    '2 heads': (dict(attention_heads=(0, 2, 2)), None),
    '8 heads': (dict(attention_heads=(0, 8, 8)), None),
    **{name: ({}, swap(POSITIONS[name])) for name in ('absolute', 'relative', 'rotary', 'rows')},
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

SYMMETRIC = 0, 2, 3, 4                                                           # T-shirt, pullover, dress, coat

def quality(model, real_features: torch.Tensor, n: int, seed: int) -> dict:
    "FID, label accuracy and asymmetry of `n` samples, drawn in ten evaluations without guidance; of none, nothing."
    if not n: return {}
    classifier, images, labels = load_classifier(), [], torch.arange(n) % 10
    generator = torch.Generator().manual_seed(seed)
    with autocast('cpu'):
        for c in labels.split(100): images.append(sample(model, c, n_steps=10, guidance=1., generator=generator)[0])
    images = torch.cat(images)
    features, predicted = extract_features(classifier, images)
    even = sum(labels == i for i in SYMMETRIC).bool()
    return dict(fid=fid(real_features, features), n=n, accuracy=(predicted == labels).float().mean().item(),
                asymmetry=(images - images.flip(3)).abs()[even].mean().item())

def train_command(args):
    about, size = versions(), PRESETS[args.size]
    dls = get_fashion_dls(size['bs'], n=size['n'])
    test, dls.valid = dls.valid, get_fashion_dls(1, n=1).valid                   # images are counted in training alone
    real = test.images / 255 - .5
    real_features = extract_features(load_classifier(), real)[0]
    for seed in args.seeds:
        for variant in args.variants:
            key = dict(command='train', size=args.size, variant=variant, seed=seed, images=args.images, n=args.n)
            if has_row(args.out, key): continue
            torch.manual_seed(seed)
            model = build(variant, args.size)
            torch.manual_seed(seed)                                              # for all the same order, times, noise
            conditional_train(model, dls, size['conditional_lr'], 10**9, [ImagesCB(args.images)], device='cpu',
                              **size['recipe'])
            bins = loss_by_time(model, test)
            row = dict(key, eps_loss=bins.mean().item(), bins=[round(v, 6) for v in bins.tolist()],
                       weights=sum(p.numel() for p in model.parameters()),
                       **quality(model, real_features, args.n, seed),
                       spectra=spectra(model, real[:50], test.labels[:50]))
            print(f'{variant}, seed {seed}, {args.images:,} images:',
                  ', '.join(f'{k} {row[k]:.5f}' for k in ('eps_loss', 'fid', 'accuracy') if k in row), flush=True)
            add(args.out, dict(row, **about))

def speed_command(args):
    "Seconds of a training step of each variant, in turns."
    size, about = PRESETS[args.size], machine()
    bs = size['bs']
    x, t, c = torch.rand(bs, 1, 32, 32) - .5, torch.rand(bs), torch.arange(bs) % 10
    x = x.to(memory_format=torch.channels_last)
    def step_of(variant):
        model = build(variant, args.size).to(memory_format=torch.channels_last)
        opt = Muon(muon_groups(model), lr=1e-3)
        def step():
            with autocast('cpu'): loss = (model(x, t, c) - x).square().mean()
            loss.backward()
            opt.step()
            opt.zero_grad()
        return step
    taken = in_turns({v: step_of(v) for v in {'no attention': 0, **dict.fromkeys(args.variants)}}, args.repeats)
    base = taken['no attention']
    for variant, values in taken.items():
        ratios = [a / b for a, b in zip(values, base)]
        row = dict(spread(values), ratio=median(ratios), ratio_low=min(ratios), ratio_high=max(ratios))
        print(f'{variant:20} {bs / row["seconds"]:6.0f} images/s, step {row["ratio"]:.3f} of that without attention '
              f'({row["ratio_low"]:.2f} to {row["ratio_high"]:.2f}; fastest {min(values) / min(base):.3f})', flush=True)
        add(args.out, dict(command='speed', size=args.size, variant=variant, **row,
                           fastest=min(values) / min(base), repeats=args.repeats, **about))

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
    p, command = commands(__file__, __doc__, 'train', 'speed', 'cost', 'list')
    t = command('train', train_command)
    t.add_argument('--images', type=int, default=75_000, help='to train on, those seen again counted again')
    t.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], help='of weights, order and noise')
    t.add_argument('--n', type=int, default=2000, help='samples; 0: none')
    s = command('speed', speed_command)
    s.add_argument('--repeats', type=int, default=15, help='timed steps of each')
    for c in t, s:
        c.add_argument('--variants', nargs='+', choices=VARIANTS, default=list(VARIANTS), help='which', metavar='NAME')
        c.add_argument('--size', choices=('laptop', 'test'), default='laptop', help='of the network')
    c = command('cost', cost_command)
    c.add_argument('--sides', nargs='+', type=int, default=[4, 8, 16, 32, 64], help='of the map')
    c.add_argument('--repeats', type=int, default=9, help='timed passes of each')
    c.add_argument('--memory', nargs=2, help=SUPPRESS)
    command('list', lambda args: print('\n'.join(VARIANTS)))
    args = p.parse_args()
    args.run(args)

if __name__ == '__main__': main()
