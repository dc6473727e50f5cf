"The main job with nothing but the runtime dependencies, each of them used: data, training, drawing, pictures."
import sys, tempfile
from importlib.metadata import version
from pathlib import Path

from diffu_attn.all import *

names = ('torch', 'datasets', 'fastprogress', 'matplotlib', 'fastcore', 'safetensors')
print('python', sys.version.split()[0], *(f'{name} {version(name)}' for name in names))
torch.manual_seed(0)
dls = get_fashion_dls(16, n=64)
model = conditional_train(create_model('test', 10, null_class=True), dls, n_epochs=1, optimizer=Muon, importance=True)
with tempfile.TemporaryDirectory() as folder:
    model = load_model(save_model(model, Path(folder) / 'model.safetensors'))
    x_0, history = sample(model, torch.arange(10), n_steps=4, guidance=2.)
    for write, what in (save_grid, x_0), (save_animation, history):
        end = 'png' if write is save_grid else 'gif'
        assert Path(write(what, f'{folder}/a.{end}')).stat().st_size > 0
    show_images(x_0).savefig(f'{folder}/figure.png')
assert fashion_dataset(n=2)['train'][1]['image'].size == (28, 28)
with record_attention(load_pretrained(), n=1) as maps: sample(load_pretrained(), torch.tensor([9]), n_steps=2)
loss = eps_loss(model, dls.valid)
assert 0 < loss < 1
print(f'eps-loss {loss:.3f}')
