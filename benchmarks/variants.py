"""The networks that `claims.py` and `twins.py` compare: what is added to blocks, or takes their place.

What is added stands at the end of a block, as attention does in the package: the input is normalized, and the output
zero at the start.
"""
import math

import torch
from torch import nn
from torch.nn import functional as F

from diffu_attn.attention import MultiheadSelfAttention1D
from diffu_attn.models import image_shape
from diffu_attn.position import RowAttention
from diffu_attn.unet import TResBlock, group_norm, zero_

class SelfishAttention(MultiheadSelfAttention1D):
    "All weights of attention, and no looking around: each pixel takes over its own value."
    def attend(self, q, k, v): return v

class UnitAttention(MultiheadSelfAttention1D):
    """Queries and keys of unit length, and a temperature for each head that is learned (Henry et al. 2020).

    `tied`: keys are queries, so that a pixel takes the mean of those that look like it, as in non-local means (Buades
    et al. 2005); `others`: it doesn't look at itself, which always looks most like it."""
    def __init__(self, nc, nh, *, tied=False, others=False, temperature=10.):
        super().__init__(nc, nh)
        self.tied, self.others = tied, others
        self.log_temperature = nn.Parameter(torch.full((nh, 1, 1), float(temperature)).log())

    def attend(self, q, k, v):
        q, k = (F.normalize(x.float(), dim=-1) for x in (q, q if self.tied else k))
        mask = torch.zeros(2 * q.shape[2:3], device=q.device).fill_diagonal_(-math.inf) if self.others else None
        return F.scaled_dot_product_attention(self.log_temperature.exp() * q, k, v.float(), mask, scale=1.).to(v.dtype)

class WindowAttention(MultiheadSelfAttention1D):
    "Attention within windows of `window` by `window` pixels (Liu et al. 2021), without shifts."
    def __init__(self, nc, nh, window=8):
        super().__init__(nc, nh)
        self.window = window

    def forward(self, x):
        w, (h, side) = self.window, x.shape[2:]
        windows = x.unflatten(3, (side // w, w)).unflatten(2, (h // w, w)).permute(0, 2, 4, 1, 3, 5)
        y = super().forward(windows.reshape(-1, self.nc, w, w)).view(len(x), h // w, side // w, self.nc, w, w)
        return y.permute(0, 3, 1, 4, 2, 5).reshape(x.shape)

class RowMix(RowAttention):
    "Attention along the rows without content: the learned bias for each pair of columns alone."
    def attend(self, q, k, v):
        v = v.unflatten(2, (-1, self.side)).transpose(1, 2)
        return (self.pairs.softmax(-1).to(v.dtype) @ v).transpose(1, 2).flatten(2, 3)

class Pooled(nn.Module):
    "The mean over all pixels, and a matrix."
    def __init__(self, nc):
        super().__init__()
        self.proj = nn.Conv2d(nc, nc, 1)
    def forward(self, x): return self.proj(x.mean((2, 3), keepdim=True)).expand(x.shape)

class Pixelwise(Pooled):
    "A matrix for each pixel: what `Pooled` and `Mirrored` have without looking anywhere."
    def forward(self, x): return self.proj(x)

class Mirrored(Pooled):
    "The pixel on the other side of the row, and a matrix."
    def forward(self, x): return self.proj(x.flip(3))

class TransformerBlock(nn.Module):
    "In the place of a residual block: attention, then an MLP, each with scale, shift and gate (Peebles and Xie 2023)."
    def __init__(self, t_embed, c_in, c_out, attn):
        super().__init__()
        self.merge = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()
        self.norms = nn.ModuleList(group_norm(c_out) for _ in range(2))
        self.parts = nn.ModuleList([attn, nn.Sequential(nn.Conv2d(c_out, 4 * c_out, 1), nn.SiLU(),
                                                        nn.Conv2d(4 * c_out, c_out, 1))])
        self.emb = zero_(nn.Linear(t_embed, 6 * c_out))

    def forward(self, x, emb):
        x = self.merge(x)
        told = self.emb(F.silu(emb))[:, :, None, None].chunk(6, dim=1)               # each (b, c_out, 1, 1)
        for norm, part, scale, shift, gate in zip(self.norms, self.parts, told[::3], told[1::3], told[2::3]):
            x = x + gate * part(torch.addcmul(shift, norm(x), 1 + scale))
        return x

class ToldAttention(MultiheadSelfAttention1D):
    "Attention that may look at time and class, too: two keys and two values more, made of the embedding."
    def __init__(self, nc, nh, t_embed):
        super().__init__(nc, nh)
        self.told = nn.Linear(t_embed, 4 * nc)

    def forward(self, x, emb):
        (q, k, v), more = self.split_heads(x), self.told(F.silu(emb)).view(len(x), 2, 2, self.nh, -1)
        k, v = (torch.cat([own, told], 2) for own, told in zip((k, v), more.permute(1, 0, 3, 2, 4)))
        out = self.attend(q, k, v)
        return self.proj(out.transpose(1, 2).flatten(2)).mT.reshape(x.shape)

class ToldBlock(nn.Module):
    "A residual block, and such attention after it."
    def __init__(self, block, nh=2):
        super().__init__()
        nc = block.conv2.out_channels
        self.block, self.norm, self.attn = block, group_norm(nc), ToldAttention(nc, nh, block.emb.in_features)
        zero_(self.attn.proj)

    def forward(self, x, emb):
        x = self.block(x, emb)
        return x + self.attn(self.norm(x), emb)

def blocks(model) -> dict:
    "The residual blocks of `model` by name."
    return {name.removeprefix('net.'): m for name, m in model.named_modules() if isinstance(m, TResBlock)}

def sides(model) -> dict:
    "The side of the map that each block gives, by name."
    found = {}
    watch = [m.conv2.register_forward_hook(lambda m, args, out, name=name: found.update({name: out.shape[-1]}))
             for name, m in blocks(model).items()]
    c = [] if model.n_classes is None else [torch.zeros(1, dtype=torch.long)]
    with torch.no_grad(): model(torch.zeros(1, *image_shape(model)), torch.zeros(1), *c)
    for handle in watch: handle.remove()
    return found

def picked(there: dict, names: tuple) -> list:
    "Those of `names` that there are: the network at test size has fewer blocks."
    return [name for name in there if name in names]

def add_to(*names, make):
    "A change: `make(nc, side)` is added to the blocks of these names."
    def change(model):
        side, there = sides(model), blocks(model)
        for name in picked(there, names):
            nc = there[name].conv2.out_channels
            part = make(nc, side[name])
            zero_(part.proj)
            there[name].attn = nn.Sequential(group_norm(nc), part)
    return change

def put(model, name: str, block: nn.Module):
    "Another block in the place of the one of this name."
    parent, _, i = name.rpartition('.')
    model.get_submodule(f'net.{parent}')[int(i)] = block

def replace(*names, make):
    "A change: the blocks of these names become transformer blocks whose attention is `make(nc, side)`."
    def change(model):
        side, there = sides(model), blocks(model)
        for name in picked(there, names):
            old = there[name]
            nc = old.conv2.out_channels
            put(model, name, TransformerBlock(old.emb.in_features, old.conv1.in_channels, nc, make(nc, side[name])))
    return change

def tell(*names):
    "A change: attention that sees time and class after the blocks of these names."
    def change(model):
        for name in picked(blocks(model), names): put(model, name, ToldBlock(blocks(model)[name]))
    return change
