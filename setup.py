"""Packaging of pinas_mm; `bash tools/setup.sh` makes a whole environment instead."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent

setup(
    name='pinas_mm',
    version=re.search(r"__version__ = '(.+)'", (here / 'pinas_mm/version.py').read_text())[1],
    description='Architecture search without labels for OpenMMLab: Pi-NAS',
    long_description=(here / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['pinas_mm', 'pinas_mm.*']),
    # .mim is where mim and mmengine's hub look: links to configs/, tools/ and model-index.yml,
    # which become files in a wheel.
    package_data={
        'pinas_mm': [
            'configs/**/*.py',
            '.mim/model-index.yml',
            '.mim/configs/**/*.py',
            '.mim/configs/**/metafile.yml',
            '.mim/tools/*.py',
        ]
    },
    python_requires='>=3.10',
    # mmengine, mmcv and mmpretrain are not named here: they exist under two distribution names (the
    # originals and the maintained builds), and naming one would install it beside the other.
    # pinas_mm/compat.py checks them at import.
    install_requires=[
        'numpy',
        'packaging',
        'torch>=2.7',
        'PyYAML',
        'lightgbm>=4',
        'scikit-learn>=1.3',
        'scipy',
        'pymoo>=0.6.1',
        'matplotlib',
        'rich',
    ],
    extras_require={
        'export': ['onnx>=1.17', 'onnxscript>=0.5', 'onnxruntime>=1.20']
    },  # tools/export.py, for ONNX
)
