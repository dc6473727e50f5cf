"Packaging, read from settings.ini."
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

config = ConfigParser(delimiters=['='])
config.read('settings.ini', encoding='utf-8')
cfg = config['DEFAULT']

setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], author=cfg['author'],
    license='Apache-2.0', python_requires=f">={cfg['min_python']}", packages=find_packages(),
    long_description=Path('README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
    keywords=cfg['keywords'], url=cfg['git_url'], classifiers=['Programming Language :: Python :: 3'],
    install_requires=cfg['requirements'].split(),
    extras_require={name: cfg[f'{name}_requirements'].split() for name in ('dev', 'bench', 'widgets', 'onnx', 'multi')},
    package_data={'diffu_attn': ['assets/*']},
    entry_points={'console_scripts': cfg.get('console_scripts', '').split(), 'nbdev': ['diffu_attn=diffu_attn._modidx:d']},
)
