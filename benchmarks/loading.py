"""What it costs to load many pictures: time, memory, and batches from memory beside batches by workers.

    python benchmarks/loading.py                  100,000 color pictures of 64x64: some minutes, 0.5 GB of disk

The pictures are made: a blend of four random colors, as PNG, in ten class folders. torchvision's `ImageFolder` behind a
`DataLoader`, with the usual transforms, is the peer: it reads each file anew in each epoch. A figure of memory is what
the process holds at its peak, less what it held before the pictures.
"""
import sys, tempfile, time
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, Normalize, Resize, ToTensor

from common import add, alone, arguments, machine, peak_mb, seconds
from diffu_attn.images import image_dls

def make(folder: Path, n: int, side: int):
    "Write `n` pictures in ten class folders."
    rng = np.random.default_rng(0)
    for k in range(10): (folder / str(k)).mkdir()
    for i in range(n):
        corners = Image.fromarray(rng.integers(0, 256, (2, 2, 3), dtype=np.uint8))
        corners.resize((side, side), Image.BILINEAR).save(folder / str(i % 10) / f'{i}.png')

def of_torchvision(folder: Path, side: int, workers: int) -> DataLoader:
    "The peer."
    as_ours = Compose([Resize(side), ToTensor(), Normalize((.5,) * 3, (1.,) * 3)])
    return DataLoader(ImageFolder(folder, as_ours), 64, shuffle=True, drop_last=True, num_workers=workers)

def epoch(batches) -> float:
    "Seconds of one epoch of batches."
    def work():
        for _ in batches: pass
    return seconds(work)

def one(what: str, folder: Path, side: int, workers: int) -> float:
    "In a process of its own: seconds or MB of one way."
    before, started = peak_mb(), time.perf_counter()
    if what == 'torchvision': return epoch(of_torchvision(folder, side, workers))
    dls = image_dls(folder, 64, side=side, valid=.01, workers=workers, memory_gb=0 if what == 'workers' else 4)
    if what == 'load': return time.perf_counter() - started
    return peak_mb() - before if what == 'memory' else epoch(dls.train)

def main():
    p = arguments(__file__, __doc__)
    p.add_argument('--n', type=int, default=100_000, help='pictures')
    p.add_argument('--side', type=int, default=64, help='of a picture')
    p.add_argument('--workers', type=int, default=2, help='processes that read')
    p.add_argument('--one', nargs=2, help='what, and the folder: prints a number (used by the script itself)')
    args = p.parse_args()
    if args.one: return print(one(args.one[0], Path(args.one[1]), args.side, args.workers))
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        made = seconds(lambda: make(Path(folder), args.n, args.side))
        size = sum(f.stat().st_size for f in Path(folder).rglob('*.png'))
        print(f'{args.n:,} pictures made in {made:.0f} s, {size / 2**20:.0f} MB of files', flush=True)
        for what in 'load', 'memory', 'resident', 'workers', 'torchvision':
            found[what] = alone(__file__, '--one', what, folder, '--side', args.side, '--workers', args.workers)
            print(f'{what:12} {found[what]:.1f} {"MB" if what == "memory" else "s"}', flush=True)
    print(f'pixels alone: {args.n * 3 * args.side**2 / 2**20:.0f} MB. An epoch from memory takes '
          f'{found["resident"] / found["torchvision"]:.2f} of the time that torchvision takes to read, by workers '
          f'{found["workers"] / found["torchvision"]:.2f}')
    add(args.out, dict(n=args.n, side=args.side, processes=args.workers, files_mb=round(size / 2**20),
                       **{k: round(v, 2) for k, v in found.items()}, **machine()))

if __name__ == '__main__': sys.exit(main())
