"One training step with nothing but the runtime dependencies."
import fastcore, torch
from diffu_attn.attention import create_model
from diffu_attn.data import get_fashion_dls
from diffu_attn.noise import noisify

torch.manual_seed(0)
model = create_model('test', n_classes=10)
x, c = next(iter(get_fashion_dls(16, n=64).train))
(x_t, t), eps = noisify(x)
loss = (model(x_t, t, c) - eps).square().mean()
loss.backward()
torch.optim.AdamW(model.parameters()).step()
print(f'fastcore {fastcore.__version__}, loss {loss:.3f}')
