"""Use the explorer in a headless browser, as a reader would, and compare it with the library: `python site/drive.py`.

Fails where the images differ, the page writes an error or asks another host, or something doesn't answer; prints what
a reader waits for. `--pictures FOLDER` keeps screenshots. Needs Chromium: Debian's, or `playwright install chromium`.
"""
import argparse, http.server, os, shutil, threading, time
from pathlib import Path

import torch
from playwright.sync_api import sync_playwright

from diffu_attn.all import attention_entropy, load_pretrained, record_attention, sample
from diffu_attn.samplers import SAMPLERS

TOLERANCE = .002                                             # of a pixel, where black and white are 1 apart
QUIET = '--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update ' \
        '--disable-sync'

def serve(folder: Path) -> tuple:
    "A server of `folder` on this machine, which counts the bytes that it sends; its address."
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args): super().__init__(*args, directory=folder)
        def log_message(self, *args): pass
        def copyfile(self, source, out):
            self.server.sent += os.fstat(source.fileno()).st_size
            super().copyfile(source, out)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.sent = 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f'http://127.0.0.1:{server.server_port}/'

def expect(what: str, ok):
    if not ok: raise SystemExit(f'failed: {what}')

class Page:
    "The explorer in a page of `context`, with what went wrong in it."
    def __init__(self, context, address: str):
        self.page, self.address, self.faults = context.new_page(), address, []
        self.page.on('console', lambda m: m.type in ('error', 'warning') and self.faults.append(m.text))
        self.page.on('pageerror', lambda e: self.faults.append(str(e)))
        context.on('request', lambda r: r.url.startswith((address, 'data:', 'blob:')) or self.faults.append(r.url))

    def open(self):
        self.page.goto(f'{self.address}explorer/')
        self.wait()

    def wait(self):
        "Until what the controls say is drawn, and its attention."
        self.page.wait_for_function('self.explorer?.settled', timeout=120_000)
        self.page.wait_for_function('Array.isArray(explorer.maps)', timeout=60_000)

    def set(self, **values):
        "Move the controls with these ids, wait for the run."
        for name, value in values.items():
            self.page.evaluate('''([name, value]) => { const it = document.getElementById(name); it.value = value
                                  it.dispatchEvent(new Event('input', {bubbles: true})) }''', [name, str(value)])
        self.wait()

    def images(self, step: int = -1, kind: str = 'x0') -> torch.Tensor:
        values = self.page.evaluate('([step, kind]) => Array.from(explorer.run.steps.at(step)[kind])', [step, kind])
        return torch.tensor(values).view(-1, 1, 32, 32)

    def text(self, selector: str) -> str: return self.page.inner_text(selector)

def compare(page: Page, model, label: int, **wanted):
    "What the page drew last, and what the library draws with the same settings."
    seed, n = wanted.pop('seed'), wanted.pop('n')
    c, generator = torch.full((n,), label), torch.Generator().manual_seed(seed)
    x0, history = sample(model, c, n_steps=wanted.pop('steps'), generator=generator, **wanted)
    expect('the number of evaluations', page.page.evaluate('explorer.run.steps.length') == len(history))
    differ = (page.images() - x0).abs()
    print(f'{wanted["sampler"]:9} class {label}, seed {seed:3}: pixels differ by {differ.max():.1e} at most, '
          f'{differ.mean():.1e} on average')
    expect(f'images of {wanted["sampler"]} within {TOLERANCE}', differ.max() < TOLERANCE)

def images_agree(page: Page, model):
    "Class, seed, guidance, number and sampler: the page draws what the library draws."
    settings = dict(seed=0, n=4, steps=10, guidance=1.4)
    compare(page, model, 4, sampler='dpmpp_2m', **settings)
    for label, (seed, sampler) in enumerate(zip((7, 1, 2, 3, 123), SAMPLERS)):
        page.page.locator('#classes label').nth(label).click()
        settings.update(seed=seed, n=2, guidance=2.5)
        page.set(sampler=sampler, **settings)
        compare(page, model, label, sampler=sampler, **settings)
    page.set(sampler='dpmpp_2m', seed=0, n=4, guidance=1.4)

class Blend(torch.nn.Module):
    "Predicts the mean of what `model` predicts for two classes, as notebook 14 does."
    def __init__(self, model, one: int, other: int, share: float):
        super().__init__()
        self.model, self.parts = model, {one: 1 - share, other: share}
    def forward(self, x, t):
        return sum(share * self.model(x, t, torch.full((len(x),), c)) for c, share in self.parts.items())

def classes_mix(page: Page, model):
    "A share of a second class."
    page.set(other=8, blend=.25, guidance=1)
    generator = torch.Generator().manual_seed(0)
    x0 = sample(Blend(model, 4, 8, .25), sz=(4, 1, 32, 32), generator=generator)[0]
    expect('two classes mix as in notebook 14', (page.images() - x0).abs().max() < TOLERANCE)
    page.set(other='', guidance=1.4)

def goes_back(page: Page):
    "An earlier evaluation is shown, and what the network saw there."
    last = page.page.locator('#pictures canvas').first.evaluate('c => c.toDataURL()')
    page.page.locator('#at').focus()
    for _ in range(3): page.page.keyboard.press('ArrowLeft')
    expect('the slider stands three evaluations before the last', page.text('output[for=at]').startswith('7 of 10'))
    earlier = page.page.locator('#pictures canvas').first.evaluate('c => c.toDataURL()')
    page.page.check('input[value=x]')
    seen = page.page.locator('#pictures canvas').first.evaluate('c => c.toDataURL()')
    expect('three different pictures', len({last, earlier, seen}) == 3)
    page.page.check('input[value=x0]')
    page.page.click('#play')
    page.page.wait_for_function('document.getElementById("at").value === "10"')
    with page.page.expect_download() as got: page.page.click('#download')
    expect('a PNG', Path(got.value.path()).read_bytes()[:4] == b'\x89PNG')

def attention_agrees(page: Page, model):
    "A pixel is pointed at; weights and entropy are those of `record_attention`."
    page.page.focus('#chosen')
    before = page.text('#where')
    page.page.hover('#chosen', position=dict(x=10, y=10))
    page.page.wait_for_timeout(100)
    expect('another pixel is looked from', page.text('#where') != before and 'row 1, column 1' in page.text('#where'))
    page.page.focus('#chosen')
    page.page.keyboard.press('ArrowDown')
    page.page.wait_for_timeout(100)
    expect('the arrow keys move it', 'row 2, column 1' in page.text('#where'))
    step = page.page.evaluate('explorer.run.steps.at(-1).t')
    x, label = page.images(-1, 'x')[:1], page.page.evaluate('explorer.run.wanted.classes[0]')
    with torch.no_grad(), record_attention(model, n=1) as maps:
        model(x, torch.tensor([step]), torch.tensor([label]))
    for k, weights in enumerate(maps.values()):
        page.page.select_option('#layer', str(k))
        page.page.wait_for_timeout(100)
        here = torch.tensor(page.page.evaluate('k => Array.from(explorer.maps[k])', k))
        differ = (here.view_as(weights[0, 0]) - weights[0, 0]).abs().max()
        expect(f'the weights of layer {k} are those of the library, {differ}', differ < 1e-4)
        side = round(weights.shape[-1]**.5)
        row = page.page.evaluate('document.getElementById("where").textContent.match(/\\d+/g).map(Number)')
        at = (row[0] - 1) * side + row[1] - 1
        entropies = [f'{attention_entropy(w[at:at + 1]).item():.2f}' for w in weights[0, 0]]
        shown = [text.split()[-1] for text in page.page.locator('#heads figcaption').all_inner_texts()]
        expect(f'entropies {entropies} are shown, not {shown}', entropies == shown)

def frames_a_second(page: Page) -> float:
    "How often the picture is drawn while the pointer is dragged over it for two seconds."
    box = page.page.locator('#chosen').bounding_box()
    page.page.evaluate("""() => { const began = performance.now(), it = self.counted = { frames: 0 }
        const count = () => {
            it.frames++; it.seconds = (performance.now() - began) / 1000; requestAnimationFrame(count)
        }
        requestAnimationFrame(count) }""")
    began, i = time.perf_counter(), 0
    while time.perf_counter() - began < 2:                                       # the pointer never rests
        page.page.mouse.move(box['x'] + box['width'] * (i * 7 % 100) / 100, box['y'] + box['height'] * (i % 100) / 100)
        i += 1
    return page.page.evaluate('self.counted.frames / self.counted.seconds')

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('site', nargs='?', type=Path, default=Path('_site'), help='the built site')
    p.add_argument('--pictures', type=Path, help='a folder for screenshots')
    args = p.parse_args()
    model, (server, address) = load_pretrained('fashion-small'), serve(args.site)
    with sync_playwright() as playwright:
        installed = shutil.which('chromium') or shutil.which('google-chrome')
        browser = playwright.chromium.launch(executable_path=installed, args=QUIET.split())
        for width, height in ((1280, 900), (390, 844)):
            context = browser.new_context(viewport=dict(width=width, height=height))
            page = Page(context, address)
            page.open()
            seconds = page.page.evaluate('explorer.firstPicture')
            about = page.page.evaluate('({...document.body.dataset})')
            print(f'{width} pixels wide: the first picture after {seconds:.1f} s and {server.sent / 2**20:.1f} MB, by '
                  f'{about["backend"]}, threads {about["threads"]}')
            expect('no wider than the window', page.page.evaluate('document.documentElement.scrollWidth') <= width)
            if args.pictures: page.page.screenshot(path=args.pictures / f'explorer-{width}.png', full_page=True)
            if width == 1280:
                images_agree(page, model)
                goes_back(page)
                attention_agrees(page, model)
                classes_mix(page, model)
                print(f'{frames_a_second(page):.0f} frames a second while the pointer moves over the image')
            expect(f'no errors, and no other host: {page.faults}', not page.faults)
            context.set_offline(True)
            server.shutdown()                                                    # not even the machine's own server
            page.page.reload()
            page.wait()
            compare(page, model, 4, sampler='dpmpp_2m', seed=0, n=4, steps=10, guidance=1.4)
            server.server_close()
            server, address = serve(args.site)
            context.close()
        browser.close()
    print('the explorer draws what the library draws, without a network, too')

if __name__ == '__main__': main()
