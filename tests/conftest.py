from pathlib import Path

import pytest
import torch
from yapf.yapflib import yapf_api

# mmengine lays out a config's text at every run and checkpoint, which takes longer than the rest of a small run; it says the same without.
yapf_api.FormatCode = lambda text, **style: (text, True)

# Small tensors: one thread each, and pytest-xdist uses the cores.
torch.set_num_threads(1)


@pytest.fixture
def shared() -> Path:
    """The folder of reference numbers beside the project; tests that use it skip where it is absent."""
    path = Path(__file__).parents[2] / 'shared'
    if not path.is_dir():
        pytest.skip('reference numbers (../shared) are not here')
    return path


@pytest.fixture
def published_names():
    """Gives the tensors of a ResNeSt subnet under the names of the published retrained backbones, written out by hand."""
    blocks = [(stage, index) for stage, depth in enumerate((3, 4, 6, 3)) for index in range(depth)]

    def rename(net, prefix='', stem='', stage_name='layer', first=1):
        state = {}
        for key, value in net.state_dict().items():
            part, *rest = key.split('.')
            if part == 'stem':
                number, name = rest
                key = f'{stem}bn1.{name}' if number == '7' else f'{stem}conv1.{number}.{name}'
            else:
                position, choice, *rest = rest
                stage, index = blocks[int(position)]
                rest = ['downsample', *rest] if choice == 'shortcut' else rest
                key = '.'.join([f'{stage_name}{stage + first}', str(index), *rest])
            state[f'{prefix}{key}'] = value
        return state

    return rename
