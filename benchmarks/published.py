"""Trains a preset to its end and adds a row to published.json: loss table, eps-loss, time, throughput, utilisation.

    python benchmarks/published.py                            the published configuration: 25 epochs, batch 512
    python benchmarks/published.py --compile default          the same, compiled (reduce-overhead: with CUDA graphs)
    python benchmarks/published.py --preset laptop --device cpu

Made for a GPU, where it predicts in bfloat16 and keeps its tensors channels-last; it runs wherever torch does.
Utilisation is the share of the rate at which the same device multiplies large matrices of the same type. The weights
come to lie beside the row, as a file that `diffu_attn sample --weights` takes.
"""
import time

import torch
from torch.utils.flop_counter import FlopCounterMode
from diffu_attn.device import default_device, fast_bf16
from diffu_attn.images import get_fashion_dls
from diffu_attn.learner import Callback
from diffu_attn.models import create_model
from diffu_attn.pretrained import save_model
from diffu_attn.training import PRESETS, conditional_train, eps_loss, preset, train
from common import add, arguments, machine, wait

class PaceCB(Callback):
    "Seconds and images of the training rounds, and the loss table."
    order = -30                                                                  # its clock starts first
    def __init__(self): self.seconds, self.images, self.history = [], 0, []
    def now(self, learn):
        wait(next(learn.model.parameters()).device)
        return time.perf_counter()
    def before_epoch(self, learn): self.began = self.now(learn)
    def after_step(self, learn): self.images += len(learn.batch[0])
    def cleanup_epoch(self, learn):
        if learn.training: self.seconds.append(self.now(learn) - self.began)
    def cleanup_fit(self, learn): self.history = learn.history

def step_flops(model, batch, *labels) -> int:
    "Floating point operations of a training step."
    with FlopCounterMode(display=False) as counter:
        model(batch, torch.rand(len(batch), device=batch.device), *labels).square().mean().backward()
    model.zero_grad()
    return counter.get_total_flops()

def main():
    p = arguments(__file__, __doc__)
    p.add_argument('--preset', choices=PRESETS, default='published', help='what to train')
    p.add_argument('--unconditional', action='store_true', help='a model that knows no classes')
    p.add_argument('--epochs', type=int, help="rounds; by default the preset's")
    p.add_argument('--device', help='by default a GPU where there is one')
    p.add_argument('--compile', choices=('default', 'reduce-overhead', 'max-autotune'), help='compile the network, how')
    p.add_argument('--seed', type=int, default=0, help='of weights, order and noise')
    args = p.parse_args()

    size, device, pace = preset(args.preset), torch.device(args.device or default_device()), PaceCB()
    half, about = fast_bf16(device), machine(device)
    torch.manual_seed(args.seed)
    model = create_model(size['model'], None if args.unconditional else 10).to(device)
    dls, labels = get_fashion_dls(size['bs'], n=size['n']), [] if args.unconditional else [torch.arange(8).to(device)]
    flops = step_flops(model, torch.randn(8, 1, 32, 32, device=device), *labels) / 8
    if args.compile: model.compile(mode=args.compile)
    learn = train if args.unconditional else conditional_train
    if device.type == 'cuda': torch.cuda.reset_peak_memory_stats()
    learn(model, dls, size['lr' if args.unconditional else 'conditional_lr'], args.epochs or size['epochs'],
          [pace], device=device, **size['recipe'])
    loss = eps_loss(model, dls.valid)
    rate = pace.images / sum(pace.seconds)
    peak = about['matmul_bf16' if half else 'matmul_fp32']
    row = dict(preset=args.preset, conditional=not args.unconditional, compile=args.compile, seed=args.seed,
               epochs=args.epochs or size['epochs'], batch=dls.train.bs, bf16=half, eps_loss=loss,
               images_per_second=rate, best_round=pace.images / len(pace.seconds) / min(pace.seconds),
               training_seconds=sum(pace.seconds), gflops=rate * flops / 1e9, utilisation=rate * flops / 1e9 / peak,
               memory_mb=torch.cuda.max_memory_allocated() / 2**20 if device.type == 'cuda' else None,
               history=pace.history, **about)
    add(args.out, row)
    kind = 'unconditional' if args.unconditional else 'conditional'
    weights = args.out.with_name(f'{args.preset}-{kind}-{args.seed}.safetensors')
    save_model(model, weights, dtype=torch.float16, card=dict(
        data=f'Fashion-MNIST, {len(dls.train.images):,} training images', recipe=f'preset {args.preset}, '
        f'{row["epochs"]} epochs, batch {dls.train.bs}, seed {args.seed}', eps_loss=loss, n=len(dls.valid.images),
        minutes=round(sum(pace.seconds) / 60, 1), history=pace.history))
    print(f'eps-loss {loss:.4f}; {rate:.0f} images/s, {row["gflops"]:.0f} GFLOP/s, {row["utilisation"]:.0%} of '
          f'{peak} ({"bf16" if half else "fp32"} matmul); {sum(pace.seconds) / 60:.1f} minutes of training\n{weights}')

if __name__ == '__main__': main()
