"""What trained networks lose when their attention is switched off, nothing retrained: each layer, group and head.

    python benchmarks/ablation.py loss                                   eps-loss by time, on all test images
    python benchmarks/ablation.py loss --weights fashion-base
    python benchmarks/ablation.py samples                                FID and label accuracy of 10,000 samples each

What has its row is not computed again. Several processes of one thread each (OMP_NUM_THREADS=1), with different
weights, may share the work and the file. `nbs/09c_ablation.ipynb` draws the rows.
"""
import contextlib

from diffu_attn.ablation import ABLATIONS, ablate_attention, loss_by_time
from diffu_attn.attention_maps import attention_layers
from diffu_attn.device import autocast
from diffu_attn.evaluate import Evaluator, evaluate
from diffu_attn.images import get_fashion_dls
from diffu_attn.pretrained import open_model
from diffu_attn.sampling import sample
from common import add, commands, has_row, versions, weights_name
from variants import sides

def mirrored(q, k, v):
    "Each pixel takes over the value of the one on the other side of its row."
    side = round(v.shape[2]**.5)
    return v.unflatten(2, (side, side)).flip(3).flatten(2, 3)

HOWS = dict(ABLATIONS, mirrored=mirrored)

def groups(model) -> dict:
    "Names of the layers of each group: all, each size of map, each layer."
    every = sides(model)
    side = {name: every[name] for name in attention_layers(model)}
    return {'all': list(side), **{f'{s}x{s}': [name for name in side if side[name] == s] for s in {*side.values()}},
            **{name: [name] for name in side}}

def ablated(model, how: str, layers: list, heads: list = None):
    return contextlib.nullcontext() if how == 'whole' else ablate_attention(model, HOWS[how], layers, heads)

def loss_command(args):
    model, test = open_model(args.weights), get_fashion_dls(250, n=args.n).valid
    cases = [('whole', 'none', [], None)]
    cases += [(how, group, layers, None) for group, layers in groups(model).items() for how in ABLATIONS]
    cases += [(how, name, [name], [head]) for name, attn in attention_layers(model).items()
              for how in ('uniform', 'mirrored') for head in range(attn.nh)]
    for how, group, layers, heads in cases:
        key = dict(command='loss', weights=weights_name(args.weights, model), how=how, layers=group, heads=heads,
                   n=len(test.images))
        if has_row(args.out, key): continue
        with ablated(model, how, layers, heads), autocast('cpu'): bins = loss_by_time(model, test)
        print(f'{group:17} {"" if heads is None else f"head {heads[0]}":7} {how:9} {bins.mean():.5f}', flush=True)
        add(args.out, dict(key, eps_loss=bins.mean().item(), bins=[round(v, 6) for v in bins.tolist()], **versions()))

def samples_command(args):
    model, dls = open_model(args.weights), get_fashion_dls(250, n=args.real)
    evaluator = Evaluator(dls.valid.images / 255 - .5, dls.valid.labels, dls.train.images / 255 - .5, dls.train.labels)
    sizes = {group: layers for group, layers in groups(model).items() if group == 'all' or 'x' in group}
    for how, group in [('whole', 'none'), *((how, group) for group in sizes for how in ABLATIONS)]:
        key = dict(command='samples', weights=weights_name(args.weights, model), how=how, layers=group, n=args.n,
                   steps=args.steps, **({} if args.real is None else dict(real=args.real)))
        if has_row(args.out, key): continue
        def draw(c, generator):
            with autocast('cpu'): return sample(model, c, n_steps=args.steps, guidance=1., generator=generator)[0]
        with ablated(model, how, sizes.get(group)): results = evaluate(draw, evaluator, args.n, [0], bs=100)
        print(f'{group:5} {how:9} FID {results["figures"]["fid"]:.3f}, accuracy {results["figures"]["accuracy"]:.3f}',
              flush=True)
        add(args.out, dict(key, **{k: {m: results[k][m] for m in ('fid', 'accuracy', 'recall')}
                                   for k in ('figures', 'spread', 'floor')}, **versions()))

def main():
    p, command = commands(__file__, __doc__, 'loss', 'samples')
    loss, samples = command('loss', loss_command), command('samples', samples_command)
    for c in loss, samples: c.add_argument('--weights', default='fashion-small', help='a name, or a file')
    loss.add_argument('--n', type=int, help='test images; by default all')
    samples.add_argument('--n', type=int, default=10_000, help='samples of each case')
    samples.add_argument('--real', type=int, help='real images of each split to compare with; by default all')
    samples.add_argument('--steps', type=int, default=10, help='network evaluations')
    args = p.parse_args()
    args.run(args)

if __name__ == '__main__': main()
