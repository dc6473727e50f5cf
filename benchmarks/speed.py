"""How fast, beside what a user would pick instead. Each command prints a table and adds its rows to speed.json.

    python benchmarks/speed.py step                           one training and one sampling step, and peak memory
    python benchmarks/speed.py step --size published --batch 32 --contenders ours plain
    python benchmarks/speed.py train --minutes 10 --seeds 0 1 2    eps-loss after an equal budget of CPU time
    python benchmarks/speed.py train --minutes 10 --samples 500    and how many evaluations its samples need
    python benchmarks/speed.py sample                         ten classes x 8 garments from the shipped weights
    python benchmarks/speed.py checkpoint                     what share of a training run goes into checkpoints
    python benchmarks/speed.py import                         what `import diffu_attn.all` costs over `import torch`

Run nothing beside it. In `step` the contenders take turns, so that a machine whose speed drifts is the same for all.
In `train` a contender gets the learning rate given as NAME=RATE, and what has its row already is not run again. Time
there is that of the cores, so that a run may be paused. A peer predicts in what is faster for it, single precision or
bfloat16.
"""
import statistics, subprocess, sys, tempfile
from argparse import SUPPRESS

import torch
from common import CPUBudgetCB, add, alone, commands, has_row, in_turns, machine, peak_mb, seconds, spread

HALF = {'ours', 'denoising-diffusion-pytorch'}                                   # who is faster in bfloat16
RATES = {'ours': 3e-3, 'plain': 3e-3, 'diffusers': 1e-3, 'denoising-diffusion-pytorch': 1e-3, 'smalldiffusion': 1e-3}

def prepared(name: str, size: str, batch: int):
    "A contender's training step and forward pass, ready to be timed."
    from diffu_attn.device import autocast
    from diffu_attn.optim import Muon, adamw
    from peers import contender
    torch.manual_seed(0)
    model, ours = contender(name, size), name == 'ours'
    if ours: model.to(memory_format=torch.channels_last)
    opt = (Muon if ours and size != 'published' else adamw)(model.parameters(), 1e-4)
    x, t, c = torch.randn(batch, 1, 32, 32), torch.rand(batch), torch.arange(batch) % 10
    def predict():
        with autocast('cpu', None if name in HALF else False): return model(x, t, c).float()
    def step():
        (predict() - x).square().mean().backward()
        opt.step(); opt.zero_grad()
    return step, torch.no_grad()(predict), sum(p.numel() for p in model.parameters())

def step_command(args):
    from torch.utils.flop_counter import FlopCounterMode
    if args.memory:                                                              # in a process of its own
        step, *_ = prepared(args.memory, args.size, args.batch)
        before = peak_mb()
        for _ in range(3): step()
        print(peak_mb() - before)
        return
    parts = {name: prepared(name, args.size, args.batch) for name in args.contenders}
    taken = in_turns({(name, what): work for name, (step, predict, _) in parts.items()
                      for what, work in (('train', step), ('predict', predict))}, args.repeats)
    first, about = args.contenders[0], machine()
    print(f'{args.size}, batch {args.batch}, {args.repeats} repeats; {about}')
    print(f'{"":28}{"weights":>8}  {"train/s":>8} {"spread":>13} {"x":>6}  {"predict/s":>9} {"x":>6}  '
          f'{"GFLOP/s":>7}  {"MB":>6}')
    for name, (step, predict, n_weights) in parts.items():
        with FlopCounterMode(display=False) as counter: step()
        memory = alone(__file__, 'step', '--memory', name, '--size', args.size, '--batch', args.batch)
        rate = {what: args.batch / statistics.median(taken[name, what]) for what in ('train', 'predict')}
        ratio = {what: statistics.median(b / a for a, b in zip(taken[name, what], taken[first, what]))
                 for what in ('train', 'predict')}
        low, high = (args.batch / f(taken[name, 'train']) for f in (max, min))
        gflops = counter.get_total_flops() / statistics.median(taken[name, 'train']) / 1e9
        print(f'{name:28}{n_weights / 1e6:7.2f}M  {rate["train"]:8.1f} {f"{low:.0f}-{high:.0f}":>13} '
              f'{ratio["train"]:6.2f}  {rate["predict"]:9.1f} {ratio["predict"]:6.2f}  {gflops:7.0f}  {memory:6.0f}')
        add(args.out, dict(command='step', size=args.size, batch=args.batch, contender=name, weights=n_weights,
                           train=rate['train'], low=low, high=high, predict=rate['predict'], relative_to=first,
                           train_ratio=ratio['train'], predict_ratio=ratio['predict'], gflops=gflops,
                           memory_mb=memory, repeats=args.repeats, **about))

def drawn(model, n: int, half: bool) -> list:
    "How many of `n` samples obey their label, and images a second, by number of evaluations; no guidance."
    from diffu_attn.device import autocast
    from diffu_attn.features import extract_features, load_classifier
    from diffu_attn.sampling import sample
    labels, rows = torch.arange(n) % 10, []
    for steps in (5, 10, 20):
        start, images = CPUBudgetCB.clock(), []
        for i, c in enumerate(labels.split(100)):
            with autocast('cpu', None if half else False):
                generator = torch.Generator().manual_seed(i)
                images.append(sample(model, c, n_steps=steps, guidance=1., generator=generator)[0])
        rate = n / (CPUBudgetCB.clock() - start)
        right = extract_features(load_classifier(), torch.cat(images))[1] == labels
        rows.append(dict(steps=steps, accuracy=right.float().mean().item(), images_per_second=rate))
    return rows

def train_command(args):
    from diffu_attn.callbacks import linear_decay
    from diffu_attn.images import get_fashion_dls
    from diffu_attn.optim import Muon, adamw
    from diffu_attn.training import conditional_train, eps_loss
    from peers import contender
    rates = dict(RATES, **{k: float(v) for k, v in (pair.split('=') for pair in args.lr)})
    about = machine()
    for seed in args.seeds:
        for name in args.contenders:
            ours = name == 'ours'
            key = dict(command='train', contender=name, minutes=args.minutes, seed=seed, lr=rates[name],
                       batch=args.batch if ours else args.peer_batch, times='importance' if ours else 'even')
            if has_row(args.out, key): continue
            torch.manual_seed(seed)
            dls, model = get_fashion_dls(key['batch']), contender(name)
            valid, dls.valid = dls.valid, get_fashion_dls(1, n=1).valid          # the budget is for training
            conditional_train(model, dls, key['lr'], 10**9, [CPUBudgetCB(args.minutes)], schedule=linear_decay,
                              device='cpu', optimizer=Muon if ours else adamw, importance=ours,
                              bf16=None if name in HALF else False)
            loss = eps_loss(model, valid)
            print(f'{name}, seed {seed}, lr {key["lr"]}: eps-loss {loss:.4f} after {args.minutes} minutes')
            row = dict(key, eps_loss=loss, n=args.samples)
            if args.samples: row['samples'] = drawn(model, args.samples, name in HALF)
            add(args.out, dict(row, **about))

def sample_command(args):
    from diffu_attn.device import autocast
    from diffu_attn.pretrained import load_pretrained
    from diffu_attn.sampling import GUIDANCE, sample
    model, c, about = load_pretrained(), torch.arange(10).repeat_interleave(8), machine()
    def work():
        with autocast('cpu'):
            sample(model, c, n_steps=args.steps, guidance=GUIDANCE, generator=torch.Generator().manual_seed(0))
    took = spread(in_turns({'': work}, args.repeats, warm_up=1)[''])
    print(f'80 garments, {args.steps} evaluations, guidance {GUIDANCE}: {took["seconds"]:.2f} s '
          f'({took["low"]:.2f}-{took["high"]:.2f}, n = {args.repeats}); {about}')
    add(args.out, dict(command='sample', steps=args.steps, repeats=args.repeats, **took, **about))

def checkpoint_command(args):
    from diffu_attn.checkpoint import CheckpointCB
    from diffu_attn.checkpoint_files import checkpoints
    from diffu_attn.images import get_fashion_dls
    from diffu_attn.models import create_model
    from diffu_attn.training import PRESETS, conditional_train
    class TimedCB(CheckpointCB):
        taken = ()
        def save(self, *args): self.taken = (*self.taken, seconds(lambda: super(TimedCB, self).save(*args)))
    about, size = machine(), PRESETS['laptop']
    dls = get_fashion_dls(size['bs'])
    dls.valid = get_fashion_dls(1, n=1).valid
    with tempfile.TemporaryDirectory() as folder:
        timed = TimedCB(folder)
        model = create_model(size['model'], 10, null_class=True)
        whole = seconds(lambda: conditional_train(model, dls, size['conditional_lr'], extra_cbs=[timed],
                                                  minutes=args.minutes, device='cpu', **size['recipe']))
        mb = checkpoints(folder)[-1].stat().st_size / 1e6
    share = sum(timed.taken) / whole
    print(f'{len(timed.taken)} checkpoints of {mb:.0f} MB in {whole:.0f} s, {statistics.median(timed.taken):.2f} s '
          f'each: {share:.2%} of the time; {about}')
    add(args.out, dict(command='checkpoint', count=len(timed.taken), mb=mb, whole=whole, share=share,
                       seconds=statistics.median(timed.taken), every=timed.every, **about))

def import_command(args):
    names = 'torch', 'diffu_attn.all'
    taken = in_turns({name: lambda name=name: subprocess.run([sys.executable, '-c', f'import {name}'], check=True)
                      for name in names}, args.repeats, warm_up=1)
    took = spread([b - a for a, b in zip(*taken.values())])
    print(f'import torch {statistics.median(taken["torch"]):.2f} s; diffu_attn.all costs {took["seconds"]:.2f} s more '
          f'({took["low"]:.2f}-{took["high"]:.2f}, n = {args.repeats})')
    add(args.out, dict(command='import', repeats=args.repeats, **took, **machine()))

def main():
    p, command = commands(__file__, __doc__, 'step', 'train', 'sample', 'checkpoint', 'import')
    names = list(RATES)
    s = command('step', step_command)
    s.add_argument('--size', choices=('laptop', 'published', 'test'), default='laptop', help='of ours and plain')
    s.add_argument('--batch', type=int, default=64, help='images in a step')
    s.add_argument('--contenders', nargs='+', choices=names, default=names, help='who; ratios are to the first')
    s.add_argument('--repeats', type=int, default=9, help='timed steps of each')
    s.add_argument('--memory', choices=names, help=SUPPRESS)
    t = command('train', train_command)
    t.add_argument('--minutes', type=float, default=10, help='of training, for each')
    others = [name for name in names if name != 'plain']                         # it differs from ours in speed alone
    t.add_argument('--contenders', nargs='+', choices=others, default=others, help='who')
    t.add_argument('--seeds', nargs='+', type=int, default=[0], help='of weights, order and noise')
    t.add_argument('--lr', nargs='*', default=[], metavar='NAME=RATE', help='learning rates, not the default ones')
    t.add_argument('--batch', type=int, default=64, help='of ours')
    t.add_argument('--peer-batch', type=int, default=32, help='of the others')
    t.add_argument('--samples', type=int, default=0, help='to draw from each, in 5, 10 and 20 evaluations')
    m = command('sample', sample_command)
    m.add_argument('--steps', type=int, default=10, help='network evaluations')
    m.add_argument('--repeats', type=int, default=5, help='timed runs, after one to warm up')
    c = command('checkpoint', checkpoint_command)
    c.add_argument('--minutes', type=float, default=3.5, help='of training')
    i = command('import', import_command)
    i.add_argument('--repeats', type=int, default=7, help='timed pairs, after one to warm up')
    args = p.parse_args()
    args.run(args)

if __name__ == '__main__': main()
