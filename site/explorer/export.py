"""The shipped network for the browser: `python site/explorer/export.py FOLDER` writes what the page there loads.

That is the network, onnxruntime-web, and about.json, which says what there is.

The network gives the predicted noise and, for each of its layers, the attention weights. Its weights are stored in half
precision, as in the shipped file, and computed with in single precision.
"""
import gzip, json, shutil, sys, tempfile, warnings
from pathlib import Path

import onnx, torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from diffu_attn.all import CLASSES, attention_layers, load_pretrained, sample
from diffu_attn.sampling import GUIDANCE, N_STEPS

NAME = 'fashion-small'
RUNTIME = Path(__file__).parent.parent / 'node_modules' / 'onnxruntime-web' / 'dist'
FILES = {'wasm': ('ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm'),
         'webgpu': ('ort.webgpu.bundle.min.mjs', 'ort-wasm-simd-threaded.asyncify.wasm')}

class Explained(nn.Module):
    "`(x, t, c) -> (eps, the weights (b, nh, pixels, pixels) of each attention layer)`; changes how `model` attends."
    def __init__(self, model: nn.Module):
        super().__init__()
        self.model, kept = model, []
        def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            weights = (q * q.shape[-1]**-.5 @ k.mT).softmax(-1)
            kept.append(weights)
            return weights @ v
        for attn in attention_layers(model).values(): attn.attend = attend
        def forward(x: torch.Tensor, t: torch.Tensor, c: torch.Tensor) -> tuple:
            kept.clear()
            return model(x, t, c), *kept
        self.forward = forward

def halve(model: onnx.ModelProto):
    "Store the weights in half precision, each with a node that gives it back in single precision."
    for weight in list(model.graph.initializer):
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size < 64: continue
        stored = numpy_helper.from_array(values.astype('float16'), f'{weight.name}.half')
        model.graph.initializer.remove(weight)
        model.graph.initializer.append(stored)
        model.graph.node.insert(0, helper.make_node('Cast', [stored.name], [weight.name], to=TensorProto.FLOAT))

def write_packed(path: Path, content: bytes) -> int:
    "Write a file that the page unpacks, whatever the server does; gives its bytes."
    return path.write_bytes(gzip.compress(content, mtime=0))

def network() -> tuple:
    "The network as an ONNX model, and its attention layers: name, heads, side of the map."
    net = Explained(load_pretrained(NAME)).eval().requires_grad_(False)
    layers, batch = attention_layers(net.model), torch.export.Dim('batch')
    inputs = torch.zeros(2, 1, 32, 32), torch.zeros(2), torch.zeros(2, dtype=torch.long)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as scratch:
        warnings.filterwarnings('ignore', '.*axis name: batch will not be used')     # it is, for all inputs
        path = Path(scratch) / 'model.onnx'
        torch.onnx.export(net, inputs, path, dynamo=True, external_data=False, verbose=False,
                          input_names=['x', 't', 'c'], output_names=['eps', *layers],
                          dynamic_shapes=tuple({0: batch} for _ in inputs))
        model = onnx.load(path)
    halve(model)
    del model.metadata_props[:]                                                      # where and how it was built
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ''
    onnx.checker.check_model(model)
    sides = {o.name: round(o.type.tensor_type.shape.dim[-1].dim_value**.5) for o in model.graph.output}
    return model, [dict(name=name, heads=attn.nh, side=sides[name]) for name, attn in layers.items()]

def examples(model: nn.Module) -> list:
    "A drawn garment of each class, 32 x 32 bytes in hexadecimal."
    images = sample(model, torch.arange(len(CLASSES)), generator=torch.Generator().manual_seed(0))[0]
    return [bytes(row.tolist()).hex() for row in ((images.flatten(1) + .5) * 255).round().byte()]

def export(folder: Path):
    "Write all that the page loads beside its own files."
    shipped, (model, layers) = load_pretrained(NAME), network()
    sizes = dict(model=write_packed(folder / 'model.onnx.gz', model.SerializeToString()))
    (folder / 'ort').mkdir(exist_ok=True)
    for backend, (module, binary) in FILES.items():
        shutil.copy(RUNTIME / module, folder / 'ort' / module.replace('.mjs', '.js'))       # which all servers know
        sizes[backend] = write_packed(folder / 'ort' / f'{binary}.gz', (RUNTIME / binary).read_bytes())
    runtime = {backend: dict(module=f'ort/{module.replace(".mjs", ".js")}', binary=f'ort/{binary}.gz')
               for backend, (module, binary) in FILES.items()}
    (folder / 'about.json').write_text(json.dumps(dict(
        name=NAME, classes=CLASSES, null=shipped.null_label, guidance=GUIDANCE, steps=N_STEPS, layers=layers,
        runtime=runtime, bytes=sizes, examples=examples(shipped))))

if __name__ == '__main__': export(Path(sys.argv[1]))
