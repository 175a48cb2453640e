"""The notebooks of docs/notebooks run from their first cell to their last, and are kept without
outputs."""

import os
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / 'docs/notebooks').glob('*.ipynb'))


def test_there_are_two():
    assert len(NOTEBOOKS) == 2


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_kept(path):
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == 'code':
            assert not cell.outputs and cell.execution_count is None


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a notebook in an empty folder; returns it with its outputs."""
    from nbclient import NotebookClient

    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    monkeypatch.setenv('MPLBACKEND', 'agg')

    def run(path):
        notebook = nbformat.read(path, 4)
        resources = {'metadata': {'path': str(tmp_path)}}
        NotebookClient(notebook, timeout=900, resources=resources, kernel_name='python3').execute()
        return notebook

    return run


def printed(notebook):
    """All text that the cells show."""
    texts = []
    for cell in notebook.cells:
        for output in cell.get('outputs', []):
            texts.append(output.get('text') or output.get('data', {}).get('text/plain', ''))
    return '\n'.join(texts)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_search_in_a_notebook(run, tmp_path):
    notebook = run(ROOT / 'docs/notebooks/search_in_a_notebook.ipynb')
    text = printed(notebook)
    assert 'SearchResult(30 archs, complete' in text and '(1, 10)' in text
    assert (tmp_path / 'best.pt2').is_file() and (tmp_path / 'report.html').is_file()
    assert (tmp_path / 'work_dirs/search/subnet.yaml').is_file()
    assert any(
        'image/png' in output.get('data', {})
        for c in notebook.cells
        for output in c.get('outputs', [])
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_from_pretrained_weights_to_a_subnet(run, tmp_path):
    text = printed(run(ROOT / 'docs/notebooks/pretrained_to_subnet.ipynb'))
    assert '% of the MACs' in text and (tmp_path / 'found/subnet.pth').is_file()
    assert '(1, 128, 1, 1)' in text
