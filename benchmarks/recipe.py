"""What does a change of network or recipe buy within an equal budget? Trains one variant, adds its row to recipe.json.

    python benchmarks/recipe.py --minutes 2                                        the laptop recipe as it is
    python benchmarks/recipe.py --minutes 2 --optimizer adamw --lr 2e-3
    python benchmarks/recipe.py --minutes 2 --nfs 48 48 96 128 --heads 0 4 4 4 --blocks 2 2 1 1
    python benchmarks/recipe.py --minutes 2 --heads 0 0 4 --seed 1
    python benchmarks/recipe.py --minutes 2 --times even
    python benchmarks/recipe.py --minutes 2 --times even --trick min-snr           what others report to pay

Run nothing beside it. Minutes are those of the cores; the evaluation on the test images is not part of the budget.
"""
import json

import torch
from torch import nn
from torch.nn import functional as F

from diffu_attn.attention import MultiheadSelfAttention1D
from diffu_attn.callbacks import linear_decay
from diffu_attn.images import get_fashion_dls
from diffu_attn.learner import Callback, CancelEpochException
from diffu_attn.models import CONFIGS, build_model
from diffu_attn.noise import alpha_bar, denoisify, expand, noisify
from diffu_attn.optim import Muon, adamw
from diffu_attn.training import conditional_train, eps_loss
from common import CountCB, CPUBudgetCB, add, arguments, machine

def weigh(learn, weights: torch.Tensor):
    "Weigh the squared errors of the batch, an image each."
    scale = expand(weights.sqrt(), learn.preds)
    learn.preds, learn.batch = learn.preds * scale, (*learn.batch[:-1], learn.batch[-1] * scale)

class MinSNRCB(Callback):
    "Min-SNR weighting, γ = 5, as it is for predicted noise (Hang et al. 2023)."
    def after_predict(self, learn):
        ab = alpha_bar(learn.batch[1])
        snr = (ab / (1 - ab)).clamp_min(1e-6)
        if learn.training: weigh(learn, snr.clamp_max(5) / snr)

class BinsCB(Callback):
    "Keeps a running mean of the loss and of its square, in bins of time."
    n, decay = 20, .98
    def before_fit(self, learn): self.mean, self.square = torch.ones(self.n), torch.ones(self.n)
    def bins(self, t): return (t * self.n).long().clamp_max(self.n - 1)
    def note(self, learn):
        losses, bins = (learn.preds - learn.batch[-1]).detach().square().mean((1, 2, 3)), self.bins(learn.batch[1])
        for kept, values in ((self.mean, losses), (self.square, losses.square())):
            sums, counts = torch.zeros(self.n).index_add_(0, bins, values), torch.bincount(bins, minlength=self.n)
            seen = counts > 0
            kept[seen] = kept[seen].lerp(sums[seen] / counts[seen], 1 - self.decay)

class LearnedWeightCB(BinsCB):
    "All times count alike: the loss over its mean at that time (Kendall et al. 2018; Karras et al. 2024)."
    def after_predict(self, learn):
        if not learn.training: return
        self.note(learn)
        weights = 1 / self.mean
        weigh(learn, (weights / weights.mean())[self.bins(learn.batch[1])])

class TimesCB(Callback):
    "Noise the images at other times: `warp`, of uniform ones."
    order = 1                                                                    # after the task
    def warp(self, t): raise NotImplementedError
    def before_batch(self, learn):
        if not learn.training: return
        x_t, t, c, eps = learn.batch
        (x_t, t), eps = noisify(denoisify(x_t, eps, t), self.warp(t))
        learn.batch = x_t, t, c, eps

class LogitNormalCB(TimesCB):
    "More of the times in the middle (Esser et al. 2024, section 3.1)."
    def warp(self, t): return torch.special.ndtri(t.clamp(1e-4, 1 - 1e-4)).sigmoid()

class ImportanceCB(TimesCB, BinsCB):
    "More of the times at which the loss is large, weighed less (Nichol and Dhariwal 2021, section 3.3)."
    def warp(self, t):
        p = self.square.sqrt()
        self.p = .9 * p / p.sum() + .1 / self.n                                  # of the bins
        ends = self.p.cumsum(0)
        bins = torch.searchsorted(ends, t * ends[-1]).clamp_max(self.n - 1)
        inside = (t * ends[-1] - (ends - self.p)[bins]) / self.p[bins]
        return ((bins + inside.clamp(0, 1)) / self.n).clamp(0, 1)
    def after_predict(self, learn):
        if not learn.training: return
        self.note(learn)
        weigh(learn, 1 / (self.n * self.p[self.bins(learn.batch[1])]))

class SmallFirstCB(Callback):
    "Images of half the side in the first quarter of the time."
    order = -1                                                                   # before the task
    def before_batch(self, learn):
        if learn.training and learn.frac < .25: learn.batch = F.avg_pool2d(learn.batch[0], 2), *learn.batch[1:]

class GrowingBatchCB(Callback):
    "Batches four times as large in the second half of the time (Smith et al. 2018)."
    grown = False
    def before_batch(self, learn):
        if learn.training and learn.frac > .5 and not self.grown:
            self.grown, learn.dls.train.bs = True, 4 * learn.dls.train.bs
            raise CancelEpochException

class Apart(nn.Module):
    "Three linear maps instead of one with three results, so that Muon takes each for a matrix of its own."
    def __init__(self, linear):
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(linear.in_features, linear.out_features // 3) for _ in range(3))
        for part, *values in zip(self.parts, linear.weight.chunk(3), linear.bias.chunk(3)):
            for p, v in zip(part.parameters(), values): p.data.copy_(v)
    @property
    def weight(self): return self.parts[0].weight                                # says device and type
    def forward(self, x): return torch.cat([part(x) for part in self.parts], dim=-1)

def apart(model):
    "Queries, keys and values by matrices of their own."
    for m in model.modules():
        if isinstance(m, MultiheadSelfAttention1D): m.qkv = Apart(m.qkv)

def fused(model):
    "torch's fused attention, whatever the precision."
    for m in model.modules():
        if isinstance(m, MultiheadSelfAttention1D): m.attend = F.scaled_dot_product_attention

class ChannelsFirstCB(Callback):
    "torch's usual layout of memory."
    order = -10                                                                  # after the device is set
    def before_fit(self, learn): learn.model.to(memory_format=torch.contiguous_format)

CHANGES = {'q, k, v apart': apart, 'fused attention': fused}                     # of the network
TRICKS = {'none': None, 'min-snr': MinSNRCB, 'learned weights': LearnedWeightCB, 'logit-normal times': LogitNormalCB,
          'importance by losses': ImportanceCB, 'small images first': SmallFirstCB, 'growing batch': GrowingBatchCB,
          'channels first': ChannelsFirstCB}

EVEN = 'min-snr', 'learned weights', 'logit-normal times', 'importance by losses'  # their own weights or times

def main():
    laptop = CONFIGS['laptop']
    p = arguments(__file__, __doc__)
    p.add_argument('--minutes', type=float, default=2, help='of training')
    p.add_argument('--nfs', nargs='+', type=int, default=laptop['nfs'], help='widths')
    p.add_argument('--heads', nargs='+', type=int, default=laptop['attention_heads'], help='of attention')
    p.add_argument('--blocks', nargs='+', type=int, default=laptop['n_blocks'], help='in each level')
    p.add_argument('--patch', type=int, default=laptop['patch'], help='side that the stem folds')
    p.add_argument('--sigma-data', type=float, default=laptop['sigma_data'],
                   help='spread of the pixels, to scale by; 0: no scaling')
    p.add_argument('--optimizer', choices=('muon', 'adamw'), default='muon')
    p.add_argument('--lr', type=float, default=3e-3, help='highest learning rate')
    p.add_argument('--batch', type=int, default=64, help='images in a step')
    p.add_argument('--ema', type=float, default=.995, help='decay of the averaged weights')
    p.add_argument('--precision', choices=('auto', 'bf16', 'fp32'), default='auto', help='of the predictions')
    names = *TRICKS, *CHANGES
    p.add_argument('--times', choices=('importance', 'even'), default='importance', help='drawn in training')
    p.add_argument('--trick', choices=names, default='none', metavar='TRICK', help=', '.join(names))
    p.add_argument('--seed', type=int, default=0, help='of weights, order and noise')
    args = p.parse_args()
    if args.times != 'even' and args.trick in EVEN: p.error(f'{args.trick} takes --times even: it has times of its own')

    about, count = machine(), CountCB()
    torch.manual_seed(args.seed)
    model = build_model(dict(nfs=args.nfs, attention_heads=args.heads, n_blocks=args.blocks, patch=args.patch,
                             sigma_data=args.sigma_data or None, color_channels=1, n_classes=10, null_class=True))
    dls = get_fashion_dls(args.batch)
    valid, dls.valid = dls.valid, get_fashion_dls(1, n=1).valid                  # the budget is for training
    if args.trick in CHANGES: CHANGES[args.trick](model)
    tricks = [TRICKS[args.trick]()] if TRICKS.get(args.trick) else []
    conditional_train(model, dls, args.lr, 10**9, [count, CPUBudgetCB(args.minutes), *tricks], device='cpu',
                      importance=args.times == 'importance', schedule=linear_decay, ema=args.ema,
                      optimizer=dict(muon=Muon, adamw=adamw)[args.optimizer],
                      bf16=dict(auto=None, bf16=True, fp32=False)[args.precision])
    row = {k: v for k, v in vars(args).items() if k != 'out'}
    row.update(eps_loss=eps_loss(model, valid), images=count.images, weights=sum(p.numel() for p in model.parameters()))
    print(json.dumps(row))
    add(args.out, dict(row, **about))

if __name__ == '__main__': main()
