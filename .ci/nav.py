"Write the last cell of each notebook, links to the one before and after it, in the order of the index."
import json, re
from pathlib import Path

folder = Path(__file__).parent.parent / 'nbs'
def read(name): return json.loads((folder / f'{name}.ipynb').read_text(encoding='utf-8'))

tables = ''.join(line for cell in read('index')['cells'] for line in cell['source'] if line.startswith('| ['))
order = re.findall(r'^\| \[(\w+)\]\(\1\.ipynb\)', tables, re.M)
differ = {p.stem for p in folder.glob('*.ipynb')} ^ {*order, 'index'}
if differ: raise SystemExit(f'in nbs/ alone, or in the index alone: {differ}')

link = lambda name: f'[{name}]({name}.ipynb)'
for before, name, after in zip(['', *order], order, [*order[1:], '']):
    notebook = read(name)
    cells = [cell for cell in notebook['cells'] if cell['id'] != 'nav00000']
    text = ' · '.join([f'before: {link(before)}'] * bool(before) + ['[all notebooks](index.ipynb)']
                      + [f'next: {link(after)}'] * bool(after))
    notebook['cells'] = [*cells, dict(cell_type='markdown', id='nav00000', metadata={}, source=[text])]
    (folder / f'{name}.ipynb').write_text(json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + '\n',
                                          encoding='utf-8')
