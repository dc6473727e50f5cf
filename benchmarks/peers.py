"""Who is measured beside this library: each a network that predicts ε of the same process, `model(x, t, c)`.

The peers get widths that give them about as many weights as ours, and their own recipe: AdamW, whose learning rate is
an argument. They come from PyPI with `pip install -e '.[bench]'`.
"""
import torch
from torch import nn

from diffu_attn.attention import MultiheadSelfAttention1D
from diffu_attn.models import create_model

class Wrapped(nn.Module):
    "A peer's network behind our call."
    n_classes, null_label = 10, None
    def __init__(self, net, call): super().__init__(); self.net, self.call = net, call
    def forward(self, x, t, c): return self.call(self.net, x, t, c)

def diffusers_unet():
    from diffusers import UNet2DModel
    net = UNet2DModel(32, 1, 1, down_block_types=('DownBlock2D', 'AttnDownBlock2D', 'AttnDownBlock2D'),
                      up_block_types=('AttnUpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'), block_out_channels=(32, 64, 96),
                      norm_num_groups=8, layers_per_block=2, num_class_embeds=10)
    return Wrapped(net, lambda net, x, t, c: net(x, 1000 * t, c).sample)

def lucidrains_unet():
    from denoising_diffusion_pytorch.classifier_free_guidance import Unet
    net = Unet(28, 10, cond_drop_prob=0., dim_mults=(1, 2, 4), channels=1)
    return Wrapped(net, lambda net, x, t, c: net(x, 1000 * t, c))

def smalldiffusion_unet():
    from smalldiffusion import CondEmbedderLabel
    from smalldiffusion.model_unet import Unet
    width = 32
    net = Unet(32, 1, 1, ch=width, ch_mult=(1, 2, 3), num_res_blocks=2, attn_resolutions=(16,), dropout=0.,
               cond_embed=CondEmbedderLabel(4 * width, 10, dropout_prob=0.))
    def call(net, x, t, c):                                                      # its embedding takes σ = tan(πt/2)
        return net(x, (t * torch.pi / 2).clamp(.02, 1.565).tan()[:, None, None, None], c)
    return Wrapped(net, call)

class PlainAttention(MultiheadSelfAttention1D):
    "The lesson's formula, with all its matrices stored."
    def attend(self, q, k, v): return ((q @ k.transpose(-1, -2)) / (self.nc // self.nh)**.5).softmax(-1) @ v

def plainly(model):
    "Our network, transcribed: explicit softmax at every size; the caller leaves its tensors contiguous."
    for m in model.modules():
        if isinstance(m, MultiheadSelfAttention1D): m.__class__ = PlainAttention
    return model

PEERS = {'diffusers': diffusers_unet, 'denoising-diffusion-pytorch': lucidrains_unet,
         'smalldiffusion': smalldiffusion_unet}

def contender(name: str, size: str = 'laptop'):
    "A new network by name: 'ours', 'plain', or one of PEERS."
    if name in PEERS: return PEERS[name]()
    model = create_model(size, 10, null_class=True)
    return plainly(model) if name == 'plain' else model
