from pathlib import Path

import pytest
import torch

# Small tensors: one thread each, and pytest-xdist uses the cores.
torch.set_num_threads(1)


@pytest.fixture
def shared() -> Path:
    """The folder of reference numbers beside the project; tests that use it skip where it is absent."""
    path = Path(__file__).parents[2] / 'shared'
    if not path.is_dir():
        pytest.skip('reference numbers (../shared) are not here')
    return path
