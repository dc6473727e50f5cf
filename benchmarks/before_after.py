"""Is a rewrite as fast as what it replaces, and does it compute the same? Two checkouts take turns.

    git worktree add /tmp/old HEAD~1
    python benchmarks/before_after.py /tmp/old .

Prints the ratios new/old (below 1: the new one is faster) of the seconds for a training step (of a fit, the median one
and the fastest one), for sampling and for the eps-loss, as median (lowest to highest pair); then whether the weights in
the package compute the same, to the bit. Run nothing beside it.
"""
import argparse, hashlib, inspect, json, os, statistics, subprocess, sys, time
from pathlib import Path

SIZES = dict(laptop=64, published=32)                                            # images in a batch

def seconds(work, repeats: int = 3) -> float:
    "Median of `repeats`, after one to warm up."
    taken = []
    for _ in range(1 + repeats):
        start = time.perf_counter(); work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])

def times_of(size: str) -> dict:
    "Seconds in the tree that this process imports from."
    import torch
    from diffu_attn import all as lib
    class ClockCB(lib.Callback):
        order, ends = 99, ()
        def after_step(self, learn): self.ends = (*self.ends, time.perf_counter())
    torch.manual_seed(0)
    n, clock, small = SIZES[size], ClockCB(), size != 'published'
    images, labels = torch.randint(256, (9 * n, 1, 32, 32), dtype=torch.uint8), torch.arange(9 * n) % 10
    batches, valid = (lib.TensorBatches(images[:k], labels[:k], n) for k in (9 * n if small else 5 * n, n))
    model = lib.create_model(size, 10, null_class=small)
    name = next((k for k in ('optimizer', 'optimiser') if k in inspect.signature(lib.conditional_train).parameters),
                next((k for k in lib.PRESETS['laptop']['recipe'] if k.startswith('optimi')), None))
    lib.conditional_train(model, lib.DataLoaders(batches, valid), 1e-3, 1, [clock], device='cpu',
                          **{name: lib.Muon if small else lib.adamw}, importance=small)
    steps = [b - a for a, b in zip(clock.ends[1:], clock.ends[2:])]              # the first one warms up
    return dict(step=statistics.median(steps), fastest=min(steps), eps_loss=seconds(lambda: lib.eps_loss(model, valid)),
                sample=seconds(lambda: lib.sample(model, torch.arange(8), n_steps=5, guidance=1.)))

def results_of(weights: str) -> dict:
    "The eps-loss of weights in the package, and a digest of the images of a seed."
    import torch
    from diffu_attn import all as lib
    model, valid = lib.load_pretrained(weights), lib.get_fashion_dls(100, path='sample', n=200).valid
    x_0, _ = lib.sample(model, torch.arange(10), n_steps=5, guidance=1.4, generator=torch.Generator().manual_seed(0))
    return dict(eps_loss=lib.eps_loss(model, valid), images=hashlib.sha256(x_0.numpy().tobytes()).hexdigest()[:16])

def ask(tree: Path, *what) -> dict:
    "What this script finds in a process that imports from `tree`."
    env = dict(os.environ, PYTHONPATH=str(tree.resolve()), HF_HUB_OFFLINE='1')
    done = subprocess.run([sys.executable, __file__, '--inside', *what], env=env, capture_output=True, text=True)
    if done.returncode: sys.exit(f'{tree} fails:\n{done.stderr}')
    return json.loads(done.stdout.splitlines()[-1])

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('old', type=Path, help='a checkout')
    p.add_argument('new', type=Path, help='another')
    p.add_argument('--repeats', type=int, default=5, help='pairs of processes for each size (%(default)s)')
    args = p.parse_args()
    for size in SIZES:
        pairs = []
        for i in range(args.repeats):                                            # who begins changes
            found = {tree: ask(tree, 'times_of', size) for tree in (args.old, args.new)[::(-1)**i]}
            pairs.append((found[args.old], found[args.new]))
        for what in pairs[0][0]:
            ratios = [new[what] / old[what] for old, new in pairs]
            old = statistics.median(old[what] for old, _ in pairs)
            print(f'{size:10} {what:9} {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}, '
                  f'n = {len(ratios)}); old {1e3 * old:.0f} ms', flush=True)
    for weights in sorted(path.stem for path in (args.old / 'diffu_attn/assets').glob('fashion-*.safetensors')):
        old, new = (ask(tree, 'results_of', weights) for tree in (args.old, args.new))
        print(f'{weights:20}', 'the same, to the bit' if old == new else f'DIFFERENT: {old} and {new}', flush=True)

if __name__ == '__main__':
    if sys.argv[1:2] == ['--inside']: print('\n' + json.dumps(globals()[sys.argv[2]](sys.argv[3])))
    else: main()
