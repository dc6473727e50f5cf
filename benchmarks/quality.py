"""Quality against network evaluations, and against guidance, for the shipped weights.

Judges every setting that is not yet in the results file and adds it, so a run that was stopped is picked up by
starting it again. All five samplers at 5 to 100 evaluations take hours on two cores; --bf16 samples in bfloat16, which
is faster where the machine has matrix units for it, and processes with different settings and one thread each
(OMP_NUM_THREADS=1) may share the work and the file. By sampler, then by guidance, then the default with other seeds:

    python benchmarks/quality.py --bf16
    python benchmarks/quality.py --bf16 --samplers dpmpp_2m --steps 20 --guidance 1.25 1.4 2 3
    python benchmarks/quality.py --bf16 --samplers dpmpp_2m --steps 20 --guidance 1.4 --seeds 0 1
"""
import os, time

import torch
from diffu_attn.device import autocast
from diffu_attn.evaluate import Evaluator, evaluate
from diffu_attn.images import get_fashion_dls
from diffu_attn.pretrained import open_model
from diffu_attn.samplers import DEFAULT_SPACING, SAMPLERS, SPACINGS
from diffu_attn.sampling import sample
from common import add, arguments, has_row, versions, weights_name

def main():
    p = arguments(__file__, __doc__)
    p.add_argument('--weights', default='fashion-small', help='a name in the package, or a file')
    p.add_argument('--samplers', nargs='+', choices=SAMPLERS, default=list(SAMPLERS), help='by default all')
    p.add_argument('--steps', nargs='+', type=int, default=[5, 10, 20, 50, 100],
                   help='network evaluations')
    p.add_argument('--guidance', nargs='+', type=float, default=[1.], help='scales')
    p.add_argument('--interval', nargs=2, type=float, default=[0., 1.],
                   help='times between which samples are guided')
    p.add_argument('--spacing', choices=SPACINGS, help="of the times; by default the sampler's")
    p.add_argument('--seeds', nargs='+', type=int, default=[0], help='of the samples')
    p.add_argument('--n', type=int, default=10_000, help='samples of each setting')
    p.add_argument('--bf16', action='store_true', help='predict in bfloat16')
    p.add_argument('--compile', action='store_true', help='compile the network first, which needs a C++ compiler')
    args = p.parse_args()

    model = open_model(args.weights)
    weights = weights_name(args.weights, model)
    if args.compile: model = torch.compile(model, dynamic=False)
    dls = get_fashion_dls(250)
    evaluator = Evaluator(dls.valid.images / 255 - .5, dls.valid.labels, dls.train.images / 255 - .5, dls.train.labels)
    for steps in args.steps:
        for guidance in args.guidance:
            for sampler in args.samplers:
                for seed in args.seeds:
                    key = dict(weights=weights, sampler=sampler, steps=steps, guidance=guidance,  # tells rows apart
                               interval=args.interval, seed=seed, n=args.n, bf16=args.bf16,
                               spacing=args.spacing or DEFAULT_SPACING.get(sampler, 'even'))
                    if has_row(args.out, key): continue
                    started = time.monotonic()
                    def draw(c, generator):
                        with autocast('cpu', args.bf16):
                            return sample(model, c, sampler, steps, guidance, generator=generator,
                                          guidance_interval=tuple(args.interval), spacing=key['spacing'])[0]
                    results = evaluate(draw, evaluator, args.n, [seed], bs=100)
                    print(f'{sampler}, {steps} evaluations, guidance {guidance}, seed {seed}\n{results}\n', flush=True)
                    del results['by_seed'], results['seeds']
                    add(args.out, dict(key, groups=10, seconds=round(time.monotonic() - started), cpus=os.cpu_count(),
                                       **versions(), **results))

if __name__ == '__main__': main()
