"""Two processes beside one: how fast, and do they compute the same? Each command prints a table and adds its rows.

    python benchmarks/processes.py speed            images/s of training, one thread a process, in turns
    python benchmarks/processes.py equal            weights after 50 steps, with AdamW and with the laptop recipe

Both train the laptop network with batches of 64, whatever the number of processes. Run nothing beside `speed`.
Weights can't be equal to the bit: the mean over 64 images is taken in two parts, so sums are rounded in another order,
and each later step starts from the difference, which Muon enlarges. `equal` computes in single precision on every
processor: it tells torch to use AVX2 at most, with which nothing is multiplied in bfloat16.
"""
import statistics, sys, tempfile, time

import torch
from common import add, commands, machine, torchrun
from diffu_attn.learner import Callback

class WatchCB(Callback):
    "Notes when each step ends, and keeps the weights of the last one."
    order = 99
    def __init__(self): self.ends = []
    def after_step(self, learn): self.ends.append(time.perf_counter())
    def after_fit(self, learn): self.weights = {k: v.clone() for k, v in learn.model.state_dict().items()}

def trained(recipe: str, steps: int, model: str, out: str):
    "One of the processes: train for so many steps; the first writes weights and seconds of each step to `out`."
    from diffu_attn.images import get_fashion_dls
    from diffu_attn.models import create_model
    from diffu_attn.processes import AccelerateCB
    from diffu_attn.training import PRESETS, conditional_train
    size, place, watch = PRESETS['laptop'], AccelerateCB(), WatchCB()
    options = dict(lr=1e-3) if recipe == 'adamw' else dict(lr=size['conditional_lr'], **size['recipe'])
    torch.manual_seed(0)
    net, dls = create_model(model, 10, null_class=True), get_fashion_dls(size['bs'], n=size['bs'] * steps)
    dls.valid = get_fashion_dls(size['bs'], n=size['bs']).valid                  # soon done
    conditional_train(net, dls, n_epochs=1, extra_cbs=[place, watch], **options)
    if place.processes.main:
        torch.save(dict(weights=watch.weights, seconds=[b - a for a, b in zip(watch.ends, watch.ends[1:])]), out)

def run(n: int, recipe: str, args, **env) -> dict:
    "What `n` processes make of it."
    with tempfile.TemporaryDirectory() as folder:
        out = f'{folder}/result.pt'
        torchrun(n, __file__, '--inside', recipe, args.steps, args.model, out, **env)
        return torch.load(out)

def speed(args):
    rates = {1: [], 2: []}
    for _ in range(args.repeats):
        for n, values in rates.items():                                          # in turns
            seconds = run(n, 'laptop', args)['seconds'][args.warm_up:]
            values.append(64 / statistics.median(seconds))
    ratios = [two / one for one, two in zip(rates[1], rates[2])]
    for n, values in rates.items():
        print(f'{n} of one thread: {statistics.median(values):6.1f} images/s ({min(values):.1f} to {max(values):.1f})')
    print(f'ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), {args.repeats} repeats')
    add(args.out, dict(command='speed', model=args.model, steps=args.steps, ratio=statistics.median(ratios),
                       low=min(ratios), high=max(ratios), repeats=args.repeats,
                       **{f'images_per_second_{n}': statistics.median(v) for n, v in rates.items()}, **machine()))

def equal(args):
    failed = False
    print(f'after {args.steps} steps of 64 images: largest difference of a weight between 1 and 2 processes')
    for recipe in 'adamw', 'laptop':
        one, two = (run(n, recipe, args, ATEN_CPU_CAPABILITY='avx2')['weights'] for n in (1, 2))
        off = {name: (v - two[name]).abs() for name, v in one.items() if v.is_floating_point()}
        worst = max(off, key=lambda name: off[name].max())
        row = dict(command='equal', recipe=recipe, model=args.model, steps=args.steps, largest=off[worst].max().item(),
                   of=worst, mean=torch.cat([v.flatten() for v in off.values()]).mean().item())
        print(f'{recipe:8} {row["largest"]:.1e} ({worst}), {row["mean"]:.1e} on average')
        add(args.out, dict(row, **machine()))
        failed |= row['largest'] > 1e-5
    return int(failed)

def main():
    if sys.argv[1:2] == ['--inside']:
        recipe, steps, model, out = sys.argv[2:]
        return trained(recipe, int(steps), model, out)
    p, command = commands(__file__, __doc__, 'speed', 'equal')
    for name, work, steps in ('speed', speed, 25), ('equal', equal, 50):
        c = command(name, work)
        c.add_argument('--steps', type=int, default=steps, help='of training')
        c.add_argument('--model', default='laptop', help='name of the network')
        if name == 'equal': continue
        c.add_argument('--repeats', type=int, default=5, help='runs of each')
        c.add_argument('--warm-up', type=int, default=5, help='steps that are not counted')
    args = p.parse_args()
    return args.run(args)

if __name__ == '__main__': sys.exit(main())
