"""Check the built site: `python site/check.py [_site]` names page and place of what is wrong, and fails.

Links and fragments lead somewhere, nothing is asked of another host, text shows neither directives nor what wasn't
rendered, pictures are described, and every notebook and every public name has its place.
"""
import argparse, importlib, re, sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

root = Path(__file__).parent.parent
RAW = {'a directive': r'#\|', 'the repr of an object': r'<Figure size|<[\w.]+ object at 0x|<function \S+ at 0x',
       'a formula': r'\$[^$\n]+\$|\\(frac|sqrt|bar|hat|alpha|varepsilon|mathbb)\b',
       'markdown': r'\*\*\S|\]\(|```|^#{1,6} |`[^`\n]+`|\{(py:)?\w+\}`|^\(cell-\w+\)='}
LOADS = {'src', 'srcset', 'poster', 'data'}
LINKS_ONLY = {'canonical', 'next', 'prev', 'index', 'search', 'author', 'license'}
CODE = {'pre', 'code', 'script', 'style', 'title'}
EMPTY = {'area', 'base', 'br', 'col', 'embed', 'hr', 'img', 'input', 'link', 'meta', 'source', 'track', 'wbr'}

class Page(HTMLParser):
    "The links, loads, pictures, places and texts of a page."
    def __init__(self, path: Path):
        super().__init__()
        self.open, self.places, self.code = [], set(), set()
        self.links, self.loads, self.pictures, self.styles, self.text = [], [], [], [], []
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attrs):
        attrs = {k: v or '' for k, v in attrs}
        if tag not in EMPTY: self.open.append((tag, attrs.get('class', '').split()))
        self.places |= {attrs[k] for k in ('id', 'name') if k in attrs}
        self.styles.append(attrs.get('style', ''))
        self.loads += [attrs[k] for k in LOADS if k in attrs]
        if tag == 'a' and 'href' in attrs: self.links.append(attrs['href'])
        if tag == 'link' and not LINKS_ONLY & set(attrs['rel'].split()): self.loads.append(attrs['href'])
        if tag == 'img': self.pictures.append((attrs['src'], attrs.get('alt', '')))

    def handle_endtag(self, tag):
        if any(tag == other for other, _ in self.open):
            while self.open.pop()[0] != tag: pass

    def handle_data(self, data):
        tags = {tag for tag, _ in self.open}
        if 'code' in tags: self.code.add(data)
        if 'style' in tags: self.styles.append(data)
        if not CODE & tags and not any({'math', 'sig'} & set(kinds) for _, kinds in self.open): self.text.append(data)

def elsewhere(address: str) -> bool: return bool(urlsplit(address).netloc)

def asked(style: str) -> list:
    "What a style sheet asks other hosts for."
    return [a for a in re.findall(r'(?:url\(|@import)\s*["\']?([^"\')\s]+)', style) if elsewhere(a)]

def leads_to(link: str, path: Path, pages: dict) -> str:
    "Empty if a link of the page at `path` leads somewhere on this site or to another one, else what is wrong."
    parts = urlsplit(link)
    if parts.scheme or parts.netloc: return ''
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir(): target /= 'index.html'
    if not target.exists(): return f'{link} leads nowhere'
    lost = parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places
    return f'{link}: there is no such place on that page' if lost else ''

def faults(path: Path, pages: dict) -> list:
    "What is wrong on a page, as texts."
    page = pages[path]
    found = [wrong for link in page.links + page.loads if (wrong := leads_to(link, path, pages))]
    found += [f'{a} is on another host' for a in page.loads if elsewhere(a)]
    found += [f'{a} is on another host' for style in page.styles for a in asked(style)]
    found += [f'shows {what}: {text[max(0, raw.start() - 30):raw.end() + 30]!r}'
              for text in page.text for what, pattern in RAW.items() if (raw := re.search(pattern, text))]
    found += [f'{src} has no description, but "{alt}"' for src, alt in page.pictures if len(alt.split()) < 2]
    return found

def missing(site: Path, pages: dict) -> tuple:
    "What has no place: notebooks, modules, public names; and how many notebooks and names there are."
    notebooks, n = sorted((root / 'nbs').glob('*.ipynb')), 0
    found = [f'{nb.name} has no page' for nb in notebooks if site / f'{nb.stem}.html' not in pages]
    for path in sorted((root / 'diffu_attn').glob('*.py')):
        if path.stem in ('__init__', '_modidx'): continue
        page = pages.get(site / 'api' / f'{path.stem}.html')
        names = importlib.import_module(f'diffu_attn.{path.stem}').__all__
        there = page.code | {place.rsplit('.', 1)[-1] for place in page.places} if page else {}
        found += [f'{path.stem}.{name} is not on the page of its module' for name in names if name not in there]
        n += len(names)
    return found, len(notebooks), n

def check(site: Path) -> list:
    "All that is wrong, as texts; prints what there is."
    pages, sheets = {path: Page(path) for path in sorted(site.rglob('*.html'))}, sorted(site.rglob('*.css'))
    found, notebooks, names = missing(site, pages)
    found += [f'{path.relative_to(site)}: {what}' for path in pages for what in faults(path, pages)]
    found += [f'{path.relative_to(site)}: {a} is on another host'
              for path in sheets for a in asked(path.read_text(encoding='utf-8'))]
    links = [link for page in pages.values() for link in page.links]
    size = sum(path.stat().st_size for path in site.rglob('*') if path.is_file())
    print(f'{len(pages)} pages, {notebooks} notebooks, {names} public names; {len(links)} links, '
          f'{sum(map(elsewhere, links))} of them to other sites; {sum(len(page.pictures) for page in pages.values())} '
          f'pictures, {len(sheets)} style sheets, {size / 1e6:.0f} MB')
    return found

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('site', nargs='?', type=Path, default=Path('_site'), help='the built site')
    found = check(p.parse_args().site.resolve())
    for what in found: print(what)
    if found: sys.exit(f'{len(found)} faults')
    print('the pages are in order')
