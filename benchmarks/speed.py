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
import argparse, datetime, json, os, platform, statistics, subprocess, sys, tempfile, time
from pathlib import Path

import torch
from diffu_attn.callbacks import BudgetCB
from diffu_attn.device import bf16_units
from diffu_attn.learner import Callback

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
HALF = {'ours', 'denoising-diffusion-pytorch'}                                   # who is faster in bfloat16
RATES = {'ours': 3e-3, 'plain': 3e-3, 'diffusers': 1e-3, 'denoising-diffusion-pytorch': 1e-3, 'smalldiffusion': 1e-3}

class CPUBudgetCB(BudgetCB):
    "Counts the time that the cores work for this process."
    clock = staticmethod(lambda: time.process_time() / torch.get_num_threads())

class CountCB(Callback):
    "Counts the images that were trained on."
    def __init__(self): self.images = 0
    def after_step(self, learn): self.images += len(learn.batch[0])

def wait(device):
    "Until `device` has done what it was told."
    if device.type != 'cpu': getattr(torch, device.type).synchronize()

def matmul_rate(dtype, device) -> float:
    "Best of eight, in GFLOP/s, of the largest product that takes up to some 10 ms: emulated bfloat16 crawls."
    n, largest = 128, 2048 if device.type == 'cpu' else 8192
    while True:
        a, best = torch.randn(n, n, device=device).to(dtype), 0.
        for _ in range(8):
            wait(device); start = time.perf_counter(); a @ a; wait(device)
            best = max(best, 2e-9 * n**3 / (time.perf_counter() - start))
        if n >= largest or 2e-9 * n**3 / best > .01: return float(f'{best:.3g}')
        n *= 2

def peak_mb() -> float:
    "The most memory that this process has held, in MB; what its parent held doesn't count, as it does in `getrusage`."
    status = Path('/proc/self/status')
    if not status.exists():
        import resource                                                          # not on Windows
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == 'darwin' else 2**10)
    return int(next(line for line in status.read_text().splitlines() if line.startswith('VmHWM')).split()[1]) / 1024

def cpu() -> str:
    "What the processor can do for matrices."
    return f'{torch.backends.cpu.get_cpu_capability()} {bf16_units()}'.strip()

def machine(device='cpu') -> dict:
    "What a figure needs beside it."
    device = torch.device(device)
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else device.type
    return dict(date=str(datetime.date.today()), torch=torch.__version__, python=platform.python_version(), device=name,
                threads=torch.get_num_threads(), cpu=cpu(),
                matmul_fp32=matmul_rate(torch.float32, device), matmul_bf16=matmul_rate(torch.bfloat16, device))

def add(out: Path, row: dict):
    "Add a row to the results file."
    rows = json.loads(out.read_text()) if out.exists() else []
    torn = out.with_suffix('.tmp')
    torn.write_text('[\n' + ',\n'.join(json.dumps(r) for r in [*rows, row]) + '\n]\n')
    torn.replace(out)

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
    taken = {(name, what): [] for name in parts for what in ('train', 'predict')}
    for i in range(args.repeats + 2):                                            # two to warm up
        for name, (step, predict, _) in parts.items():
            for what, work in (('train', step), ('predict', predict)):
                start = time.perf_counter(); work()
                if i > 1: taken[name, what].append(time.perf_counter() - start)
    first, about = args.contenders[0], machine()
    print(f'{args.size}, batch {args.batch}, {args.repeats} repeats; {about}')
    print(f'{"":28}{"weights":>8}  {"train/s":>8} {"spread":>13} {"x":>6}  {"predict/s":>9} {"x":>6}  '
          f'{"GFLOP/s":>7}  {"MB":>6}')
    for name, (step, predict, n_weights) in parts.items():
        with FlopCounterMode(display=False) as counter: step()
        alone = [sys.executable, __file__, 'step', '--memory', name, '--size', args.size, '--batch', str(args.batch)]
        memory = float(subprocess.run(alone, capture_output=True, text=True, check=True).stdout)
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
    from diffu_attn.features import extract, load_classifier
    from diffu_attn.sampling import sample
    labels, rows = torch.arange(n) % 10, []
    for steps in (5, 10, 20):
        start, images = CPUBudgetCB.clock(), []
        for i, c in enumerate(labels.split(100)):
            with autocast('cpu', None if half else False):
                images.append(sample(model, c, n_steps=steps, guidance=1., generator=torch.Generator().manual_seed(i))[0])
        rate = n / (CPUBudgetCB.clock() - start)
        right = extract(load_classifier(), torch.cat(images))[1] == labels
        rows.append(dict(steps=steps, accuracy=right.float().mean().item(), images_per_second=rate))
    return rows

def train_command(args):
    from diffu_attn.callbacks import linear_decay
    from diffu_attn.fashion import get_fashion_dls
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
            rows = json.loads(args.out.read_text()) if args.out.exists() else []
            if any(all(r.get(k) == v for k, v in key.items()) for r in rows): continue
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
    model, c, taken, about = load_pretrained(), torch.arange(10).repeat_interleave(8), [], machine()
    for i in range(args.repeats + 1):
        start = time.perf_counter()
        with autocast('cpu'):
            sample(model, c, n_steps=args.steps, guidance=GUIDANCE, generator=torch.Generator().manual_seed(i))
        taken.append(time.perf_counter() - start)
    taken = taken[1:]
    print(f'80 garments, {args.steps} evaluations, guidance {GUIDANCE}: {statistics.median(taken):.2f} s '
          f'({min(taken):.2f}-{max(taken):.2f}, n = {len(taken)}); {about}')
    add(args.out, dict(command='sample', steps=args.steps, seconds=statistics.median(taken), low=min(taken),
                       high=max(taken), repeats=len(taken), **about))

def checkpoint_command(args):
    from diffu_attn.checkpoint import CheckpointCB, checkpoints
    from diffu_attn.fashion import get_fashion_dls
    from diffu_attn.models import create_model
    from diffu_attn.training import PRESETS, conditional_train
    class TimedCB(CheckpointCB):
        taken = ()
        def save(self, learn, done):
            start = time.perf_counter()
            super().save(learn, done)
            self.taken = (*self.taken, time.perf_counter() - start)
    about, size = machine(), PRESETS['laptop']
    dls = get_fashion_dls(size['bs'])
    dls.valid = get_fashion_dls(1, n=1).valid
    with tempfile.TemporaryDirectory() as folder:
        timed = TimedCB(folder)
        start = time.perf_counter()
        conditional_train(create_model(size['model'], 10, null_class=True), dls, size['conditional_lr'],
                          extra_cbs=[timed], minutes=args.minutes, device='cpu', **size['recipe'])
        whole = time.perf_counter() - start
        mb = checkpoints(folder)[-1].stat().st_size / 1e6
    share = sum(timed.taken) / whole
    print(f'{len(timed.taken)} checkpoints of {mb:.0f} MB in {whole:.0f} s, {statistics.median(timed.taken):.2f} s '
          f'each: {share:.2%} of the time; {about}')
    add(args.out, dict(command='checkpoint', count=len(timed.taken), mb=mb, whole=whole, share=share,
                       seconds=statistics.median(timed.taken), every=timed.every, **about))

def import_command(args):
    def seconds(line):
        start = time.perf_counter()
        subprocess.run([sys.executable, '-c', line], check=True)
        return time.perf_counter() - start
    pairs = [(seconds('import torch'), seconds('import diffu_attn.all')) for _ in range(args.repeats + 1)][1:]
    extra = [b - a for a, b in pairs]
    print(f'import torch {statistics.median(a for a, _ in pairs):.2f} s; diffu_attn.all costs '
          f'{statistics.median(extra):.2f} s more ({min(extra):.2f}-{max(extra):.2f}, n = {len(extra)})')
    add(args.out, dict(command='import', seconds=statistics.median(extra), low=min(extra), high=max(extra),
                       repeats=len(extra), **machine()))

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = p.add_subparsers(required=True, metavar='{step,train,sample,checkpoint,import}')
    names = list(RATES)
    def command(name, run):
        c = commands.add_parser(name, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        c.add_argument('--out', type=Path, default=HERE / 'speed.json', help='results')
        c.set_defaults(run=run)
        return c
    s = command('step', step_command)
    s.add_argument('--size', choices=('laptop', 'published', 'test'), default='laptop', help='of ours and plain')
    s.add_argument('--batch', type=int, default=64, help='images in a step')
    s.add_argument('--contenders', nargs='+', choices=names, default=names, help='who; ratios are to the first')
    s.add_argument('--repeats', type=int, default=9, help='timed steps of each')
    s.add_argument('--memory', choices=names, help=argparse.SUPPRESS)
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
