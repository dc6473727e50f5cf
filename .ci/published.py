"The published calls, as written, but for one epoch of a few images."
from diffu_attn.all import *

attn = MultiheadSelfAttention1D(nc=32, nh=4)
assert attn(torch.randn(8, 32, 16, 16)).shape == torch.Size([8, 32, 16, 16])
t_embed, c_in, c_out = 64, 16, 32
x, emb = torch.randn(2, c_in, 8, 8), torch.randn(2, t_embed)
assert TAResBlock(t_embed, c_in, c_out, ks=3, stride=2, nh=None)(x, emb).shape == (2, 32, 4, 4)
down, skips = TADownblock(t_embed, c_in, c_out, downsample=True, n_layers=1, nh=None)(x, emb)
assert TAUpblock(t_embed, c_out, c_in, upsample=True, n_layers=1, nh=None)(down, emb, skips).shape == x.shape
TAUnet(nfs=(224, 448, 672, 896), attention_heads=(0, 8, 8, 8), n_blocks=(3, 2, 2, 1, 1), color_channels=3)
big, c = ConditionalTAUnet(10, nfs=(224, 448, 672, 896), attention_heads=(0, 8, 8, 8), n_blocks=(3, 2, 2, 1, 1), color_channels=3), torch.tensor([9])
with torch.no_grad(): assert big(torch.randn(1, 3, 32, 32), torch.rand(1), c).shape == (1, 3, 32, 32)
with torch.no_grad(): assert TAUnet()(torch.randn(1, 3, 32, 32), torch.rand(1)).shape == (1, 3, 32, 32)

dls = get_fashion_dls(512, n=64)
un = train(TAUnet(color_channels=1, nfs=(32, 64, 128, 256, 384), n_blocks=(3, 2, 1, 1, 1, 1),
                  attention_heads=(0, 8, 8, 8, 8, 8)), dls, lr=1e-3, n_epochs=1)
x_0, history = ddpm(un, (8, 1, 32, 32), n_steps=100)
assert x_0.shape == (8, 1, 32, 32) and len(history) == 100
show_images(x_0, imsize=0.8)
un = conditional_train(ConditionalTAUnet(n_classes=10, color_channels=1, nfs=(32, 64, 128, 256, 384),
                  n_blocks=(3, 2, 1, 1, 1, 1), attention_heads=(0, 8, 8, 8, 8, 8)), dls, lr=4e-3, n_epochs=1)
conditional_train(un, dls, lr=0.004, n_epochs=1, extra_cbs=[], loss_fn=mse_loss)
c = torch.arange(0, 9)
x_0, history = conditional_ddpm(un, c, (9, 1, 32, 32))
assert x_0.shape == (9, 1, 32, 32) and len(history) == 100
print('the published calls run')
