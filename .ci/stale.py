"""Is what the notebooks show what their cells say today? `python .ci/stale.py` runs each at test size, and compares.

Compared is the text that a cell prints or returns, with decimals left out: they come from clocks, processors and
rounding. A notebook that asks for the size of the run, `preset()`, was stored at another one, so that there whole
numbers are left out, too. A cell whose text depends on clock, processor or size even so says it in a comment, with the
words "depends on the".
What the pages say of work that is not done is found as well.
"""
import json, os, re, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError

UNFINISHED = re.compile(r'(?i)\bto be (computed|written|measured)\b|not measured yet|\bso far that\b|\b(TODO|FIXME)\b')
root = Path(__file__).parent.parent

def text(cell) -> str:
    "What a cell printed or returned; pictures, bars and tables that are HTML are not text."
    outputs = [o for o in cell.get('outputs', []) if o.get('name') != 'stderr']
    return ''.join(o.get('text') or o.get('data', {}).get('text/plain', '') for o in outputs
                   if not {'text/html', 'image/png'} & set(o.get('data', {})))

def essence(said: str, sized: bool) -> str:
    "`said` without what may change: digests, decimals, with `sized` all numbers, and white space."
    said = re.sub(r'<Figure size .*?>|<.*? object at 0x\w+>', '', said)
    said = re.sub(r'\b(?=\w*\d)[0-9a-f]{12,}\b', '#', said)
    said = re.sub(r'[-+]?\b\d[\d,]*(\.\d+(e[-+]?\d+)?|e[-+]?\d+)|[-+]?\.\d+', '#', said)
    if sized: said = re.sub(r'[-+]?\b\d[\d,]*', '#', said)
    return re.sub(r'\s+', ' ', said).strip()

def executed(stored, folder: Path):
    "The notebook, run; once more where no answer came: a kernel's message was seen to get lost."
    for last in False, True:
        fresh = nbformat.from_dict(json.loads(json.dumps(stored)))
        client = NotebookClient(fresh, timeout=600, kernel_name='python3', resources={'metadata': {'path': folder}},
                                extra_arguments=['--IPKernelApp.log_level=40'])
        try:
            client.execute()
            return fresh
        except CellTimeoutError:
            if last: raise

def differences(path: Path) -> list:
    "What is stale in a notebook, as texts."
    stored, pages = nbformat.read(path, 4), []
    for cell in stored.cells:
        said = cell.source if cell.cell_type == 'markdown' else text(cell)
        if found := UNFINISHED.search(said): pages.append(f'unfinished: "{found.group(0)}"')
    try: fresh = executed(stored, path.parent)
    except CellExecutionError as e: return [*pages, f'fails: {e.ename}: {e.evalue[:500]}']
    except CellTimeoutError as e: return [*pages, f'hangs: {e}']
    sized = any(re.search(r'\bpreset\(\)', cell.source) for cell in stored.cells)
    for old, new in zip(stored.cells, fresh.cells):
        if old.cell_type != 'code' or re.search('#.* depends on the ', old.source): continue
        a, b = text(old), text(new)
        if essence(a, sized) != essence(b, sized): pages.append(f'cell {old.id} shows\n{a}\nand prints now\n{b}')
    return pages

if __name__ == '__main__':
    os.environ.update(DIFFU_ATTN_PROFILE='test', OMP_NUM_THREADS='1', PYTHONPATH=str(root))
    os.environ.pop('MPLBACKEND', None)                                           # pictures go where a notebook has them
    paths = [Path(p) for p in sys.argv[1:]] or sorted((root / 'nbs').glob('*.ipynb'))
    stale = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, found in zip(paths, pool.map(differences, paths)):
            for what in found: print(f'{path.name}: {what}\n')
            stale += bool(found)
    print(f'{len(paths) - stale} of {len(paths)} notebooks show what their cells print')
    sys.exit(bool(stale))
