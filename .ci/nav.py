"""Write what all notebooks share: a cell that Colab needs, and at the end links to the notebook before and after.

The order is that of the index.
"""
import json, re
from pathlib import Path

folder = Path(__file__).parent.parent / 'nbs'
def read(name): return json.loads((folder / f'{name}.ipynb').read_text(encoding='utf-8'))

tables = ''.join(line for cell in read('index')['cells'] for line in cell['source'] if line.startswith('| ['))
order = re.findall(r'^\| \[(\w+)\]\(\1\.ipynb\)', tables, re.M)
differ = {p.stem for p in folder.glob('*.ipynb')} ^ {*order, 'index'}
if differ: raise SystemExit(f'in nbs/ alone, or in the index alone: {differ}')

link = lambda name: f'[{name}]({name}.ipynb)'
def cell(kind, id, *lines): return dict(cell_type=kind, id=id, metadata={}, source=list(lines))
colab = dict(cell('code', 'colab000', '#| hide\n', "# Colab doesn't have the package yet.\n",
                  '! [ -e /content ] && pip install -q git+https://github.com/diffu-attn/diffu_attn'),
             execution_count=None, outputs=[])
for before, name, after in zip(['', *order], order, [*order[1:], '']):
    notebook = read(name)
    title, *cells = [c for c in notebook['cells'] if c['id'] not in ('colab000', 'nav00000')]
    text = ' · '.join([f'before: {link(before)}'] * bool(before) + ['[all notebooks](index.ipynb)']
                      + [f'next: {link(after)}'] * bool(after))
    notebook['cells'] = [title, colab, *cells, cell('markdown', 'nav00000', text)]
    (folder / f'{name}.ipynb').write_text(json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + '\n',
                                          encoding='utf-8')
