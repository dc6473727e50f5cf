"""Quality against network evaluations, and against guidance, for the shipped weights.

Judges every setting that is not yet in the results file and adds it, so a run that was stopped is picked up by
starting it again. All five samplers at 5 to 100 evaluations take hours on two cores. By sampler, then by guidance:

    python benchmarks/quality.py
    python benchmarks/quality.py --samplers dpmpp_2m --steps 20 --guidance 0 1 1.25 1.5 2 3 4
"""
import argparse, datetime, hashlib, json, os, platform, time
from pathlib import Path

import torch
from diffu_attn.data import get_fashion_dls
from diffu_attn.metrics import Evaluator, evaluate
from diffu_attn.pretrained import ASSETS, load_model, pretrained_names
from diffu_attn.sampling import SAMPLERS, sample

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--weights', default='fashion-small', help='a name in the package, or a file (%(default)s)')
    p.add_argument('--samplers', nargs='+', choices=SAMPLERS, default=list(SAMPLERS), help='by default all')
    p.add_argument('--steps', nargs='+', type=int, default=[5, 10, 20, 50, 100],
                   help='network evaluations (5 10 20 50 100)')
    p.add_argument('--guidance', nargs='+', type=float, default=[1.], help='scales (1)')
    p.add_argument('--interval', nargs=2, type=float, default=[0., 1.],
                   help='times between which samples are guided (0 1)')
    p.add_argument('--seeds', nargs='+', type=int, default=[0], help='(0)')
    p.add_argument('--n', type=int, default=10_000, help='samples of each setting (%(default)s)')
    p.add_argument('--out', type=Path, default=Path(__file__).with_name('quality.json'),
                   help='results (%(default)s)')
    args = p.parse_args()

    path = ASSETS / f'{args.weights}.safetensors' if args.weights in pretrained_names() else Path(args.weights)
    weights = f'{path.stem} {hashlib.sha256(path.read_bytes()).hexdigest()[:8]}'
    model = load_model(path).to(memory_format=torch.channels_last)
    dls = get_fashion_dls(250)
    evaluator = Evaluator(dls.valid.images / 255 - .5, dls.valid.labels, dls.train.images / 255 - .5)
    for steps in args.steps:
        for guidance in args.guidance:
            for sampler in args.samplers:
                for seed in args.seeds:
                    key = dict(weights=weights, sampler=sampler, steps=steps, guidance=guidance,
                               interval=args.interval, seed=seed, n=args.n)  # tells one row from another
                    rows = json.loads(args.out.read_text()) if args.out.exists() else []
                    if any(all(row[k] == v for k, v in key.items()) for row in rows): continue
                    started = time.monotonic()
                    draw = lambda c, generator: sample(model, c, sampler, steps, guidance, generator=generator,
                                                       guidance_interval=tuple(args.interval))[0]
                    results = evaluate(draw, evaluator, args.n, [seed])
                    print(f'{sampler}, {steps} evaluations, guidance {guidance}, seed {seed}\n{results}\n', flush=True)
                    del results['by_seed'], results['seeds']
                    rows.append(dict(key, seconds=round(time.monotonic() - started), date=str(datetime.date.today()),
                                     torch=torch.__version__, cpus=os.cpu_count(),
                                     cpu=torch.backends.cpu.get_cpu_capability(), python=platform.python_version(),
                                     **results))
                    torn = args.out.with_suffix('.tmp')
                    torn.write_text('[\n' + ',\n'.join(json.dumps(row) for row in rows) + '\n]\n')
                    torn.replace(args.out)

if __name__ == '__main__': main()
