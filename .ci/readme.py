"Render README.md from nbs/index.ipynb: text as it stands, code fenced, printed output under it. No quarto needed."
import json, re
from pathlib import Path

def fenced(language, text): return f'```{language}\n{text.rstrip()}\n```'

def printed(output):
    "What a cell printed or returned; nothing for a display that is only HTML, such as a finished progress bar."
    data = output.get('data', {})
    return '' if 'text/html' in data else ''.join(output.get('text') or data.get('text/plain', ''))

def render(nb):
    for cell in nb['cells']:
        source = ''.join(cell['source'])
        if source.startswith('#| hide'): continue
        if cell['cell_type'] == 'markdown':  # links are relative to nbs/ in the notebook, to the root in the README
            yield re.sub(r'\]\((images/[^)]*|[^):/]*\.ipynb)\)', r'](nbs/\1)', source)
        else:
            yield fenced('python', source)
            texts = [printed(o) for o in cell['outputs']]
            if any(texts): yield fenced('', ''.join(texts))

root = Path(__file__).parent.parent
notebook = json.loads((root / 'nbs' / 'index.ipynb').read_text(encoding='utf-8'))
(root / 'README.md').write_text('\n\n'.join(render(notebook)) + '\n', encoding='utf-8')
