"""Build the site: `python site/build.py [--out _site]`.

The notebooks as they are stored, nothing is run; the API; and the explorer. Needs the extras `dev` and `site`, and npm.
"""
import argparse, json, re, shutil, subprocess, sys
from pathlib import Path

from sphinx.cmd.build import build_main

import api

here, nbs = Path(__file__).parent, api.root / 'nbs'
scratch = api.root / 'build' / 'site'
repo = '/'.join(api.settings['git_url'].split('/')[-2:])

def read(path: Path) -> dict: return json.loads(path.read_text(encoding='utf-8'))

def sections() -> dict:
    "The notebooks in the order of the index's tables, by the heading above them."
    text = ''.join(line for cell in read(nbs / 'index.ipynb')['cells'] for line in cell['source'] + ['\n'])
    parts = (part.split('\n', 1) for part in text.split('\n### '))
    found = {caption: re.findall(r'^\| \[(\w+)\]\(\1\.ipynb\)', rest, re.M) for caption, rest in parts}
    return {caption: names for caption, names in found.items() if names}

def directives(source: str) -> tuple:
    "The directives at the start of a cell, as a dict, and the rest of it."
    lines = source.split('\n')
    n = next((i for i, line in enumerate(lines) if not line.startswith('#|')), len(lines))
    found = dict(re.match(r'#\|\s*([\w-]+):?\s*(.*)', line).groups() for line in lines[:n])
    return found, '\n'.join(lines[n:]).strip('\n')

def shown(output: dict) -> bool:
    "Is there anything to see, beside a progress bar or what is left of one?"
    html = ''.join(output.get('data', {}).get('text/html', '-'))
    return bool(re.sub(r'(?s)<style>.*?</style>', '', html).strip()) and ('<progress' not in html or '<table' in html)

def links(name: str, exports) -> str:
    "The line under the title of a notebook."
    parts = [f'[Open in Colab](https://colab.research.google.com/github/{repo}/blob/main/nbs/{name}.ipynb)',
             f'[source]({api.blob}/nbs/{name}.ipynb)', '[run it on your machine](index.ipynb#test-it)']
    if exports: parts.append(f'module [`{exports[1]}`](api/{exports[1]}.md)')
    return ' · '.join(parts)

def code_cell(cell: dict) -> list:
    "A cell of code as the site shows it, with a target for the API before it."
    found, source = directives(''.join(cell['source']))
    if 'hide' in found or not source: return []
    hidden = dict(echo='remove-input', **{'code-fold': 'hide-input'})
    metadata = dict(tags=[tag for key, tag in hidden.items() if key in found])
    outputs, image = [o for o in cell['outputs'] if shown(o)], {}
    for o in outputs:
        o.get('data', {}).pop('application/vnd.jupyter.widget-view+json', None)
        for given in o.get('metadata', {}).values(): image |= {k: str(given[k]) for k in ('alt', 'width') if k in given}
    if 'fig-alt' in found: image['alt'] = found['fig-alt'].strip('"\'')
    metadata['mystnb'] = dict(image=image)
    target = [dict(cell_type='markdown', id=f"t-{cell['id']}", metadata={}, source=f"(cell-{cell['id']})=")]
    exported = {'export', 'exporti', 'exports'} & set(found)
    return target * bool(exported) + [dict(cell, source=source, metadata=metadata, outputs=outputs)]

def page(path: Path) -> dict:
    "A notebook as the site shows it."
    nb, name = read(path), path.stem
    exports = re.search(r'^#\| default_exp (\w+)$', '\n'.join(''.join(c['source']) for c in nb['cells']), re.M)
    known = api.names() | ({m: f'{api.package}.{m}' for m in api.modules} if name == 'index' else {})
    cells = []
    for cell in nb['cells']:
        if cell['id'] == 'nav00000': continue
        if cell['cell_type'] == 'code': cells += code_cell(cell)
        else: cells.append(dict(cell, source=api.doclinks(''.join(cell['source']), known)))
    if name == 'index': cells.append(dict(cells[0], id='toctree', source=contents()))
    else: cells[0]['source'] = re.sub(r'\A(# .*)\n', rf'\1\n\n{links(name, exports)}\n', cells[0]['source'])
    metadata = {k: v for k, v in nb['metadata'].items() if k != 'widgets'}       # they ask other hosts for their code
    return dict(nb, cells=cells, metadata=metadata)

def contents() -> str:
    "The tables of contents of the sidebar."
    trees = dict(sections(), API=['api/index'])
    return '\n\n'.join('\n'.join(['```{toctree}', ':hidden:', f':caption: {caption}', *pages, '```'])
                       for caption, pages in trees.items())

def write_sources(folder: Path):
    "All that Sphinx reads."
    (folder / 'api').mkdir(parents=True)
    for path in nbs.glob('*.ipynb'):
        (folder / path.name).write_text(json.dumps(page(path)), encoding='utf-8')
    for name in api.modules: (folder / 'api' / f'{name}.md').write_text(api.page(name), encoding='utf-8')
    (folder / 'api' / 'index.md').write_text(api.overview(), encoding='utf-8')
    shutil.copytree(nbs / 'images', folder / 'images')
    if not (here / 'node_modules').exists():
        if not (npm := shutil.which('npm')): sys.exit('npm is needed, which comes with Node.js')
        subprocess.run([npm, 'ci'], cwd=here, check=True)

def add_explorer(folder: Path):
    "The page in which the shipped network draws."
    folder.mkdir()
    for kind in ('*.html', '*.css', '*.js'):
        for path in (here / 'explorer').glob(kind): shutil.copy(path, folder)
    subprocess.run([sys.executable, here / 'explorer' / 'export.py', folder], check=True)

def build(out: Path):
    shutil.rmtree(scratch, ignore_errors=True)
    write_sources(scratch / 'source')
    if build_main(['-qW', '--keep-going', '-c', str(here), '-d', str(scratch / 'doctrees'), str(scratch / 'source'),
                   str(scratch / 'html')]): sys.exit('the pages have faults')
    add_explorer(scratch / 'html' / 'explorer')
    shutil.rmtree(out, ignore_errors=True)
    shutil.move(scratch / 'html', out)

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--out', type=Path, default=Path('_site'), help='the folder that is written anew')
    build(p.parse_args().out)
