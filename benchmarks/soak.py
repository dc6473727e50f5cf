"""Kills a training run, again and again, and breaks its files, and counts what survived.

    python benchmarks/soak.py                     50 kills, 1,000 broken files: minutes on two cores
    python benchmarks/soak.py --processes 2       the same of a run that two processes share

A small network trains in a process of its own, which is killed (SIGKILL) after a random time and started again, until
it has been killed so often and has come to its end. Its weights and losses must be those of an undisturbed run, to the
bit. Where several processes share the run, one of them or their launcher is killed, and the others must end by
themselves within a minute. Then whole checkpoints are cut, flipped, zeroed and padded at random: each must be refused, none may crash.
"""
import contextlib, os, random, signal, subprocess, sys, tempfile, time
from pathlib import Path

import torch

from common import add, arguments, machine
from diffu_attn.checkpoint_files import read_checkpoint, write_checkpoint

CHILD = """
import hashlib, os, sys, torch
from diffu_attn.callbacks import DeviceCB
from diffu_attn.checkpoint import CheckpointCB
from diffu_attn.fashion import get_fashion_dls
from diffu_attn.learner import Callback
from diffu_attn.models import create_model
from diffu_attn.processes import AccelerateCB
from diffu_attn.training import conditional_train, preset
size, place = preset('test'), AccelerateCB() if 'RANK' in os.environ else DeviceCB('cpu')
torch.manual_seed(0)
model, dls = create_model(size['model'], 10), get_fashion_dls(size['bs'], n=size['n'])
checkpoint, history = CheckpointCB(sys.argv[1], every=float(sys.argv[3])), []
print(f'ready {os.getpid()}', flush=True)
class KeepCB(Callback):
    order = 99
    def cleanup_fit(self, learn): history.extend(learn.history)
conditional_train(model, dls, size['lr'], int(sys.argv[2]), [checkpoint, KeepCB(), place],
                  **size['recipe'])
digest = hashlib.sha256(repr(history).encode())
for v in model.state_dict().values(): digest.update(v.contiguous().numpy().tobytes())
if os.environ.get('RANK', '0') == '0': print('ended', digest.hexdigest(), flush=True)
"""

def start(folder, args) -> tuple:
    "A training run in `folder`, which has loaded what it needs, and the ids of its processes."
    (script := Path(folder) / 'child.py').write_text(CHILD)
    launcher = ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', str(args.processes)]
    process = subprocess.Popen([sys.executable, *launcher * (args.processes > 1), script, f'{folder}/run',
                                str(args.epochs), str(args.every)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True)
    ids = []
    while len(ids) < args.processes and (line := process.stdout.readline()):
        if line.startswith('ready'): ids.append(int(line.split()[1]))
    return process, ids

def end(process) -> str:
    "The digest of a run that is let go on; raises where it fails."
    out, _ = process.communicate()
    if process.returncode or 'ended' not in out: raise RuntimeError(f'the run failed:\n{out}')
    return out.rsplit('ended', 1)[1].split()[0]

def broken(content: bytes, rng) -> bytes:
    "A file that once was whole."
    content, at = bytearray(content), rng.randrange(len(content))
    how = rng.randrange(4)
    if how == 0: return bytes(content[:at])                                      # torn
    if how == 1: content[at] ^= 1 << rng.randrange(8)                            # a bit flipped
    elif how == 2: content[at] ^= 0xff; content[at + 1:at + 4096] = bytes(len(content[at + 1:at + 4096]))
    else: content += bytes(rng.randrange(1, 4096))                               # padded
    return bytes(content)

def main():
    p = arguments(__file__, __doc__)
    p.add_argument('--kills', type=int, default=50, help='at least so many')
    p.add_argument('--processes', type=int, default=1, help='that share the run')
    p.add_argument('--files', type=int, default=1000, help='broken files')
    p.add_argument('--epochs', type=int, default=60, help='of the run')
    p.add_argument('--every', type=float, default=.2, help='seconds between checkpoints')
    p.add_argument('--seed', type=int, default=0, help='of the moments')
    args = p.parse_args()
    rng, started = random.Random(args.seed), time.monotonic()
    with tempfile.TemporaryDirectory() as folder: expected = end(start(folder, args)[0])
    whole = time.monotonic() - started
    print(f'undisturbed: {whole:.0f} s', flush=True)
    kills = runs = same = 0
    while kills < args.kills:
        with tempfile.TemporaryDirectory() as folder:
            while True:
                process, ids = start(folder, args)
                try: process.wait(rng.uniform(.1, max(1., whole / 8)))
                except subprocess.TimeoutExpired:
                    victim = rng.choice([process.pid, *ids])
                    with contextlib.suppress(ProcessLookupError): os.kill(victim, signal.SIGKILL)
                    process.communicate(timeout=60)                              # until none is left to say anything
                    kills += 1
                else: break
                if kills % 10 == 0: print(f'{kills} kills', flush=True)
            runs, same = runs + 1, same + (end(process) == expected)
    print(f'{kills} kills in {runs} runs, {same} of which ended as the undisturbed one, to the bit')

    refused = 0
    with tempfile.TemporaryDirectory() as folder:
        path = write_checkpoint(Path(folder), dict(epoch=0, done=1, weights=[torch.randn(64, 64), torch.randn(64)]))
        content = path.read_bytes()
        for _ in range(args.files):
            path.write_bytes(broken(content, rng))
            try: read_checkpoint(path)
            except ValueError: refused += 1
    seconds = round(time.monotonic() - started)
    print(f'{refused} of {args.files} broken files refused; {seconds} s in all')
    add(args.out, dict(processes=args.processes, kills=kills, runs=runs, same=same, files=args.files, refused=refused,
                       seconds=seconds, **machine()))
    return int(same < runs or refused < args.files)

if __name__ == '__main__': sys.exit(main())
