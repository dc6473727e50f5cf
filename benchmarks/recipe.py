"""What does a change of network or recipe buy within an equal budget? Trains one variant, adds its row to recipe.json.

    python benchmarks/recipe.py --minutes 2                                        the laptop recipe as it is
    python benchmarks/recipe.py --minutes 2 --optimiser adamw --lr 2e-3
    python benchmarks/recipe.py --minutes 2 --nfs 48 48 96 128 --heads 0 4 4 4 --blocks 2 2 1 1
    python benchmarks/recipe.py --minutes 2 --heads 0 0 4 --seed 1

Run nothing beside it. Minutes are those of the cores; the evaluation on the 10,000 test images is not part of the budget.
"""
import argparse, json
from pathlib import Path

import torch
from diffu_attn.attention import CONFIGS, build_model
from diffu_attn.data import get_fashion_dls
from diffu_attn.learner import linear_decay
from diffu_attn.training import Muon, adamw, conditional_train, eps_loss
from speed import CountCB, CPUBudgetCB, add, machine

def main():
    laptop = CONFIGS['laptop']
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--minutes', type=float, default=2, help='of training (%(default)s)')
    p.add_argument('--nfs', nargs='+', type=int, default=laptop['nfs'], help='widths %(default)s')
    p.add_argument('--heads', nargs='+', type=int, default=laptop['attention_heads'], help='of attention %(default)s')
    p.add_argument('--blocks', nargs='+', type=int, default=laptop['n_blocks'], help='in each level %(default)s')
    p.add_argument('--patch', type=int, default=laptop['patch'], help='side that the stem folds (%(default)s)')
    p.add_argument('--optimiser', choices=('muon', 'adamw'), default='muon')
    p.add_argument('--lr', type=float, default=3e-3, help='(%(default)s)')
    p.add_argument('--batch', type=int, default=64, help='images in a step (%(default)s)')
    p.add_argument('--ema', type=float, default=.995, help='decay of the averaged weights (%(default)s)')
    p.add_argument('--precision', choices=('auto', 'bf16', 'fp32'), default='auto', help='of the predictions')
    p.add_argument('--seed', type=int, default=0, help='(%(default)s)')
    p.add_argument('--out', type=Path, default=Path(__file__).with_name('recipe.json'), help='results (%(default)s)')
    args = p.parse_args()

    about, count = machine(), CountCB()
    torch.manual_seed(args.seed)
    model = build_model(dict(nfs=args.nfs, attention_heads=args.heads, n_blocks=args.blocks, patch=args.patch,
                             sigma_data=laptop['sigma_data'], color_channels=1, n_classes=10, null_class=True))
    dls = get_fashion_dls(args.batch)
    valid, dls.valid = dls.valid, get_fashion_dls(1, n=1).valid                  # the budget is for training
    conditional_train(model, dls, args.lr, 10**9, [count, CPUBudgetCB(args.minutes)], schedule=linear_decay,
                      device='cpu', ema=args.ema, optimiser=dict(muon=Muon, adamw=adamw)[args.optimiser],
                      bf16=dict(auto=None, bf16=True, fp32=False)[args.precision])
    row = {k: v for k, v in vars(args).items() if k != 'out'}
    row.update(eps_loss=eps_loss(model, valid), images=count.images, weights=sum(p.numel() for p in model.parameters()))
    print(json.dumps(row))
    add(args.out, dict(row, **about))

if __name__ == '__main__': main()
