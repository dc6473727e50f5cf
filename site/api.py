"The pages of the API, written from the modules themselves: signatures, docstrings, and the comments of parameters."
import ast, importlib, inspect, re
from configparser import ConfigParser
from functools import cache
from pathlib import Path

from fastcore.docments import docments

root = Path(__file__).parent.parent
config = ConfigParser(delimiters=['='])
config.read(root / 'settings.ini', encoding='utf-8')
settings = config['DEFAULT']
package = settings['lib_name']
address = settings['doc_host'] + settings['doc_baseurl']
blob = f"{settings['git_url']}/blob/{settings['branch']}"
modules = sorted(p.stem for p in (root / package).glob('*.py') if p.stem not in ('__init__', '_modidx'))

@cache
def module(name: str): return importlib.import_module(f'{package}.{name}')

@cache
def source(name: str) -> list: return (root / package / f'{name}.py').read_text(encoding='utf-8').splitlines()

@cache
def nodes(name: str) -> dict:
    "What a module defines, by qualified name, as nodes of its syntax; patches belong to their class."
    found = {}
    for node in ast.parse('\n'.join(source(name))).body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for leaf in ast.walk(target):
                    if isinstance(leaf, ast.Name): found.setdefault(leaf.id, node)
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef): found.setdefault(f'{node.name}.{inner.name}', inner)
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            patched = [d for d in node.decorator_list if ast.unparse(d) == 'patch']
            found[f'{ast.unparse(node.args.args[0].annotation)}.{node.name}' if patched else node.name] = node
    return found

def notebook(name: str) -> str:
    "The notebook that a module is exported from."
    return re.search(r'File to edit: \.\./nbs/(\w+)\.ipynb', '\n'.join(source(name))).group(1)

def cell(name: str, line: int) -> str:
    "The id of the cell that a line of a module comes from."
    return next(found.group(1) for text in source(name)[line::-1] if (found := re.match(r'# %% .*#(\w+)$', text)))

def home(name: str, public: str) -> str:
    "The full name under which something is documented: of an alias and of a re-export, that of the original."
    value = getattr(module(name), public)
    defined = getattr(value, '__module__', None) or ''
    if defined.startswith(f'{package}.'): return f'{defined}.{value.__name__}'
    if public in nodes(name): return f'{package}.{name}.{public}'
    others = (m for m in modules if m != 'all' and public in module(m).__all__ and public in nodes(m))
    return next((f'{package}.{m}.{public}' for m in others), '')

def methods(name: str, cls: str) -> list:
    "The documented public methods of a class."
    own = (full.removeprefix(f'{cls}.') for full in nodes(name) if full.startswith(f'{cls}.'))
    return [m for m in own if not m.startswith('_') and ast.get_docstring(nodes(name)[f'{cls}.{m}'])]

@cache
def names() -> dict:
    "The full name of each public name and method, by the name that a reader would use."
    found = {public: home(m, public) for m in modules if m != 'all' for public in module(m).__all__}
    for full in list(found.values()):
        m, own = full.split('.')[1:]
        found.update((f'{own}.{inner}', f'{full}.{inner}') for inner in methods(m, own))
    return found

def doclinks(text: str, known: dict) -> str:
    "Link each word in backticks that is a public name to its entry; not in headings, links and blocks of code."
    def link(found):
        name = found.group(1).removesuffix('()')
        return f'{{py:obj}}`{found.group(1)} <{known[name]}>`' if name in known else found.group(0)
    text = re.sub(rf'\[([^\]]*)\]\({address}/([^)]*)\)', r'<a href="\2">\1</a>', text)   # pages of this site are here
    parts = re.split(r'(?ms)(^```.*?^```|^#.*?$|\[[^\]]*\]\([^)]*\))', text)
    return ''.join(part if i % 2 else re.sub(r'(?<!`)`([^`\n]+)`(?!`)', link, part) for i, part in enumerate(parts))

def signature(node, bound: bool) -> str:
    "Arguments and result, as they are written in the source."
    if bound: node.args.args[:] = [a for a in node.args.args if a.arg not in ('self', 'cls')]
    return f'({ast.unparse(node.args)})' + (f' -> {ast.unparse(node.returns)}' if node.returns else '')

def fields(function) -> list:
    "The comments of the parameters and of the result."
    found = docments(inspect.unwrap(function), full=True, returns=True)
    said = {k: doclinks(' '.join(v['docment'].split()), names()) for k, v in found.items() if v['docment']}
    return [f':returns: {text}' if k == 'return' else f':param {k}: {text}' for k, text in said.items()]

def block(kind: str, head: str, body: list, depth: int = 5) -> str:
    fence = '`' * depth
    return '\n'.join([f'{fence}{{py:{kind}}} {head}', '', *body, fence, ''])

def entry(name: str, public: str) -> str:
    "What the page of a module says of one public name."
    value, original = getattr(module(name), public), home(name, public)
    if original != f'{package}.{name}.{public}':
        return block('data', public, [f'The same as {{py:obj}}`{original.removeprefix(package + ".")} <{original}>`.'])
    node, doc = nodes(name)[public], [doclinks(inspect.getdoc(value) or '', names()), '']
    where = [f'[In the notebook](#cell-{cell(name, node.lineno)})', '']
    if inspect.isfunction(value) or hasattr(value, '__wrapped__'):
        return block('function', public + signature(node, False), [*doc, *fields(value), '', *where])
    if not inspect.isclass(value):
        code = '\n'.join(source(name)[node.lineno - 1:node.end_lineno])
        return block('data', public, ['```python', code, '```', '', *where])
    if '__doc__' not in vars(value) or not value.__doc__: doc = []
    head, made = public, next(c for c in value.__mro__ if '__init__' in vars(c))
    if made.__module__.startswith(f'{package}.'):
        head += signature(nodes(made.__module__.split('.')[1])[f'{made.__name__}.__init__'], True)
        doc += [*fields(made.__init__), '']
    doc = [f'Bases: {", ".join(f"`{ast.unparse(b)}`" for b in node.bases)}', '', *doc] if node.bases else doc
    for m in methods(name, public):
        inner = nodes(name)[f'{public}.{m}']
        kinds = [ast.unparse(d) for d in inner.decorator_list]
        kind = 'property' if 'property' in kinds else 'classmethod' if 'classmethod' in kinds else 'method'
        function = inspect.getattr_static(value, m)
        function = getattr(function, 'fget', getattr(function, '__func__', function))
        doc.append(block(kind, m + signature(inner, True) * (kind != 'property'),
                         [doclinks(ast.get_docstring(inner), names()), '', *fields(function)], 4))
    return block('class', head, [*doc, *where])

def listed(name: str) -> str:
    "A line of the page of `all`: a name, and what it is."
    full = home('all', name)
    if not full: return f'- `{name}`'
    value = getattr(module('all'), name)
    first = ' '.join((inspect.getdoc(value) or '').split('\n\n')[0].split()) if hasattr(value, '__name__') else ''
    return f'- {{py:obj}}`{name} <{full}>`' + f': {doclinks(first, names())}' * bool(first)

def page(name: str) -> str:
    "The page of a module."
    doc, own = module(name).__doc__ or '', module(name).__all__
    links = f'Explained in [{notebook(name)}](../{notebook(name)}.ipynb) · [source]({blob}/{package}/{name}.py)'
    def line(public): return nodes(name)[public].lineno if public in nodes(name) else 0
    if name == 'all': entries = [listed(public) for public in sorted(own, key=str.lower)]
    else: entries = [entry(name, public) for public in sorted(own, key=line)]
    title = f'{package}.{name}'.replace('_', r'\_')
    head = [f'# {title}', '', doc, '', links, '', f'```{{py:module}} {package}.{name}', '```', '']
    return '\n'.join([*head, *entries])

def overview() -> str:
    "The page that lists the modules."
    lines = [f'- [`{m}`]({m}.md): {module(m).__doc__ or ""}' for m in modules]
    return '\n'.join(['# Modules', '', f'What each module of `{package}` holds.', '', *lines, '',
                      '```{toctree}', ':hidden:', *(f'{m} <{m}>' for m in modules), '```', ''])

def source_link(domain: str, info: dict):
    "Where the source of an entry is, for Sphinx."
    name = info['module'].removeprefix(f'{package}.')
    if node := nodes(name).get(info['fullname']):
        return f'{blob}/{package}/{name}.py#L{node.lineno}-L{node.end_lineno}'
