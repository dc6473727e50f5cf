"What the benchmarks share: their arguments, clocks and counters, the machine they ran on, and files of results."
import argparse, contextlib, datetime, hashlib, json, os, platform, statistics, subprocess, sys, time
from pathlib import Path

import torch
from diffu_attn.callbacks import BudgetCB
from diffu_attn.device import bf16_units
from diffu_attn.learner import Callback

class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter): "Text as it is; defaults."

def arguments(script: str, doc: str, out: bool = True) -> argparse.ArgumentParser:
    "The arguments of `script` (its `__file__`), whose results go to the JSON file beside it."
    p = argparse.ArgumentParser(description=doc, formatter_class=Help)
    if out: add_out(p, script)
    return p

def add_out(p, script: str):
    p.add_argument('--out', type=Path, default=Path(script).with_suffix('.json'), help='results')

def commands(script: str, doc: str, *names):
    "The arguments of a script with commands; `command(name, run)` makes one, which `run(args)` does."
    p = arguments(script, doc, out=False)
    sub = p.add_subparsers(required=True, metavar=f'{{{",".join(names)}}}')
    def command(name, run):
        c = sub.add_parser(name, formatter_class=Help)
        add_out(c, script)
        c.set_defaults(run=run)
        return c
    return p, command

class CPUBudgetCB(BudgetCB):
    "Counts the time that the cores work for this process."
    clock = staticmethod(lambda: time.process_time() / torch.get_num_threads())

class ImagesCB(BudgetCB):
    "Ends training after `n` images, those seen again counted again; `learn.frac` counts them."
    def __init__(self, n: int):
        super().__init__(n / 60)                                                 # an image a second
        self.seen, self.clock = 0, lambda: self.seen
    def after_step(self, learn): self.seen += len(learn.batch[0])

class CountCB(Callback):
    "Counts the images that were trained on."
    def __init__(self): self.images = 0
    def after_step(self, learn): self.images += len(learn.batch[0])

def wait(device):
    "Until `device` has done what it was told."
    if device.type != 'cpu': getattr(torch, device.type).synchronize()

def seconds(work) -> float:
    start = time.perf_counter(); work()
    return time.perf_counter() - start

def in_turns(works: dict, repeats: int, warm_up: int = 2) -> dict:
    "Seconds of each function by name, `repeats` of each, one after the other, so that a drift of speed meets all."
    taken = {name: [] for name in works}
    for i in range(warm_up + repeats):
        for name, work in works.items(): taken[name].append(seconds(work))
    return {name: values[warm_up:] for name, values in taken.items()}

def spread(values: list) -> dict: return dict(seconds=statistics.median(values), low=min(values), high=max(values))

def alone(*argv) -> float:
    "The number that a script prints, run with these arguments in a process of its own."
    return float(subprocess.run([sys.executable, *map(str, argv)], capture_output=True, text=True, check=True).stdout)

def torchrun(n: int, *argv, **env):
    "Run a script in `n` processes of one thread each; raises `RuntimeError` with what it said where it fails."
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', n, *argv]
    done = subprocess.run(list(map(str, command)), env=dict(os.environ, OMP_NUM_THREADS='1', **env),
                          capture_output=True, text=True)
    if done.returncode: raise RuntimeError(done.stderr)

def peak_mb() -> float:
    "The most memory that this process has held, in MB; what its parent held doesn't count, as it does in `getrusage`."
    status = Path('/proc/self/status')
    if not status.exists():
        import resource                                                          # not on Windows
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == 'darwin' else 2**10)
    return int(next(line for line in status.read_text().splitlines() if line.startswith('VmHWM')).split()[1]) / 1024

def matmul_rate(dtype, device) -> float:
    "Best of eight, in GFLOP/s, of the largest product that takes up to some 10 ms: emulated bfloat16 is very slow."
    n, largest = 128, 2048 if device.type == 'cpu' else 8192
    while True:
        a = torch.randn(n, n, device=device).to(dtype)
        def work(): a @ a; wait(device)
        wait(device)
        best = 2e-9 * n**3 / min(seconds(work) for _ in range(8))
        if n >= largest or 2e-9 * n**3 / best > .01: return float(f'{best:.3g}')
        n *= 2

def weights_name(weights: str, model) -> str:
    "A name in the package, or that of a file, and the start of a digest of what it holds."
    digest = hashlib.sha256(b''.join(v.contiguous().numpy().tobytes() for v in model.state_dict().values()))
    return f'{Path(weights).stem} {digest.hexdigest()[:8]}'

def versions() -> dict:
    "When, with what, on which kind of processor."
    return dict(date=str(datetime.date.today()), torch=torch.__version__, python=platform.python_version(),
                cpu=f'{torch.backends.cpu.get_cpu_capability()} {bf16_units()}'.strip())

def machine(device='cpu') -> dict:
    "What a measurement needs beside it."
    device = torch.device(device)
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else device.type
    return dict(versions(), device=name, threads=torch.get_num_threads(),
                matmul_fp32=matmul_rate(torch.float32, device), matmul_bf16=matmul_rate(torch.bfloat16, device))

def rows_of(out: Path) -> list: return json.loads(out.read_text()) if out.exists() else []

def has_row(out: Path, key: dict) -> bool:
    "Is there a row with these values?"
    return any(all(row.get(k) == v for k, v in key.items()) for row in rows_of(out))

@contextlib.contextmanager
def locked(folder: Path):
    "No other process is in here for the same folder; on Windows, where folders can't be locked, it may."
    if os.name != 'posix': return (yield)
    import fcntl
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)                                       # until it is closed
        yield
    finally: os.close(handle)

def add(out: Path, row: dict):
    "Add a row to the results file, to which other processes may add as well."
    with locked(out.parent):
        torn = out.with_suffix(f'.{os.getpid()}.tmp')
        torn.write_text('[\n' + ',\n'.join(json.dumps(r) for r in [*rows_of(out), row]) + '\n]\n')
        torn.replace(out)
