"""Run notebooks with a second device as the default one: `python .ci/second_device.py nbs/07_training.ipynb ...`

The device is a stand-in. Its tensors hold their numbers on the CPU, but say that they lie elsewhere, and as on a GPU an
operation on tensors of two devices is an error. What a notebook mixes, it would mix on CUDA or MPS, too.
"""
import sys
from pathlib import Path

import torch
from nbdev.test import test_nb
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

SECOND = 'lazy'  # a device type that every build of torch knows and none uses
MAY_MIX = ('aten::copy_', 'aten::index', 'aten::index_put_')  # places and copies may come from the CPU on a GPU, too

class SecondTensor(torch.Tensor):
    "A tensor on the second device."
    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, strides=inner.stride(), dtype=inner.dtype,
                                                   storage_offset=inner.storage_offset(), device=SECOND)
    def __init__(self, inner): self.inner = inner
    def tolist(self): return self.inner.tolist()
    def numpy(self, *args): raise TypeError(f"can't convert a tensor on {SECOND} to numpy")
    def __array__(self, *args): self.numpy()
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None): return compute(func, args, kwargs or {})

def compute(func, args, kwargs):
    "Compute on the CPU; the result lies where the operands do, or where it was sent."
    leaves, name = tree_leaves((args, kwargs)), func._schema.name
    second = [v for v in leaves if isinstance(v, SecondTensor)]
    first = [v for v in leaves if isinstance(v, torch.Tensor) and not isinstance(v, SecondTensor) and v.ndim]
    if second and first and name not in MAY_MIX:
        raise RuntimeError(f'{name}: tensors on {SECOND} and on {first[0].device}')
    there = bool(second)
    if kwargs.get('device') is not None: there = torch.device(kwargs['device']).type == SECOND
    def bare(v):
        if isinstance(v, SecondTensor): return v.inner
        return torch.device('cpu') if isinstance(v, torch.device) and v.type == SECOND else v
    out = func(*tree_map(bare, args), **tree_map(bare, kwargs))
    if name == 'aten::copy_': return args[0]
    known = {id(v.inner): v for v in second}                                     # results in place are their operands
    def dressed(v): return v if not isinstance(v, torch.Tensor) else known[id(v)] if id(v) in known else SecondTensor(v)
    return tree_map(dressed, out) if there else out

class SecondDevice(TorchDispatchMode):
    "The second device is there."
    def __torch_dispatch__(self, func, types, args=(), kwargs=None): return compute(func, args, kwargs or {})

if __name__ == '__main__':
    import diffu_attn.callbacks as callbacks
    callbacks.default_device = lambda: torch.device(SECOND)
    torch.__future__.set_swap_module_params_on_conversion(True)
    with SecondDevice():
        x = torch.ones(2, device=SECOND)
        assert (x + x).device.type == SECOND and (x.cpu() + 1).tolist() == [2, 2]
        try: x + torch.ones(2)
        except RuntimeError: pass
        else: sys.exit('the second device lets tensors be mixed')
        root = Path(__file__).parent.parent
        results = {path: test_nb(Path(path).absolute(), basepath=root)[0] for path in sys.argv[1:]}
    for path, good in results.items(): print(path, 'runs on a second device' if good else 'FAILS on a second device')
    sys.exit(not all(results.values()))
