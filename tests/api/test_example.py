"""The example of README and of the docstring of pinas_mm.api, in a fresh process."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import pinas_mm.api

ROOT = Path(__file__).parents[2]
MOST_LINES = 12
# What the user has: a config, a checkpoint, and the images.
OWN = """
import torch
from sklearn.datasets import load_digits
from torch.utils.data import Subset, TensorDataset

found = load_digits()
pixels = torch.tensor(found.images * (255 / 16)).round().to(torch.uint8)
pixels = pixels.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, None].repeat(1, 3, 1, 1)
whole = TensorDataset(pixels, torch.tensor(found.target))
train, held_out = Subset(whole, range(64)), Subset(whole, range(64, 128))
"""


def example():
    """The lines of the docstring's example."""
    text = re.search(
        r'::\n\n(    import pinas_mm as nas\n.*?)\n\n\S', pinas_mm.api.__doc__, re.DOTALL
    )
    return [line.removeprefix('    ') for line in text[1].splitlines()]


def run(folder, code):
    (folder / 'program.py').write_text(code)
    return subprocess.run(
        [sys.executable, '-W', 'error::UserWarning:pinas_mm', 'program.py'],
        cwd=folder,
        env=dict(PYTHONPATH=str(ROOT), PATH='/usr/bin:/bin', HOME=str(folder), OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.mark.slow
def test_the_example_runs_and_prints_only_what_it_prints(tmp_path, checkpoint, config):
    lines = example()
    assert sum(bool(line.strip()) for line in lines) <= MOST_LINES
    config.dump(tmp_path / 'linear.py')
    (tmp_path / 'epoch_3.pth').write_bytes(checkpoint.read_bytes())
    code = '\n'.join(lines)
    for own, ours in (('archs=200', "archs=4, searcher='random'"), ('macs=4e6', 'macs=3.5e6')):
        assert own in code
        code = code.replace(own, ours)
    done = run(tmp_path, OWN + code + "\nprint('end of the program')\n")
    assert done.returncode == 0, done.stderr
    # The table alone: its columns, a row for each arch, and what pandas says of its size.
    columns, index, *rows, empty, size, end = done.stdout.splitlines()
    assert (columns.split()[0], index.split()[0], empty) == ('arch', 'index', '')
    assert [row.split()[0] for row in rows] == ['0', '1', '2', '3']
    assert size.startswith('[4 rows x') and end == 'end of the program'
    for name in ('best.onnx', 'work_dirs/linear/subnet.yaml', 'work_dirs/linear/subnet.pth'):
        assert (tmp_path / name).is_file()


@pytest.mark.slow
def test_import_is_light_and_the_api_is_imported_when_it_is_used(tmp_path):
    done = run(
        tmp_path,
        'import sys, pinas_mm\n'
        "assert 'pinas_mm.api' not in sys.modules and 'mmpretrain' not in sys.modules\n"
        "assert 'supernet' in dir(pinas_mm)\n"
        "print(pinas_mm.space('nasbench_macro'))\n"
        "assert 'pinas_mm.api' in sys.modules\n"
        'from pinas_mm import search\n'
        'assert search is pinas_mm.api.search\n'
        "assert not hasattr(pinas_mm, 'searches')\n",
    )
    assert (done.returncode, done.stdout) == (0, 'nasbench_macro: 8 slots, 6.56e+03 archs\n'), (
        done.stderr
    )


def test_every_name_of_the_api_is_a_name_of_the_package():
    assert set(pinas_mm.api.__all__) == set(pinas_mm._API) < set(pinas_mm.__all__)
    for name in pinas_mm.api.__all__:
        assert getattr(pinas_mm, name) is getattr(pinas_mm.api, name)
        assert getattr(pinas_mm, name).__doc__
