import json
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_weights import state

from pinas_mm.converters.reference_checkpoint import PREFIXES, _our_name, convert_reference
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableResNeSt

DATA = Path(__file__).parents[1] / 'data'


@pytest.fixture(scope='module')
def tensors():
    shapes = json.loads((DATA / 'keys_base16.json').read_text())
    return {key: torch.from_numpy(np.asarray(value)) for key, value in state(shapes).items()}


@pytest.fixture
def published(tensors):
    return dict(tensors)


@pytest.mark.slow
def test_supernet_and_subnets_reproduce_the_published_outputs(published):
    weights = {
        key.removeprefix('backbone.'): value
        for key, value in convert_reference(published)[0].items()
    }
    supernet = SearchableResNeSt(widen_factor=0.25).eval()
    supernet.load_state_dict(weights)
    golden = np.load(DATA / 'forward_base16.npz')
    images = torch.from_numpy(np.random.RandomState(5).randn(2, 3, 64, 64).astype(np.float32))
    for index, arch in enumerate(golden['paths'].tolist()):
        subnet = SearchableResNeSt(arch, widen_factor=0.25).eval()
        subnet.load_state_dict({key: weights[key] for key in subnet.state_dict()})
        supernet.set_arch(arch)
        expected = golden[f'out_{index}']
        for net in (supernet, subnet):
            with torch.no_grad():
                out = net(images)[0].numpy()
            # Outputs reach 237 to 3,540: 1e-4 of their scale.
            assert np.abs(out - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize('prefix', PREFIXES)
def test_known_prefixes_and_other_modules(published, prefix):
    given = {f'{prefix}{key}': value for key, value in published.items()}
    given |= {'encoder_k.0.conv1.0.weight': torch.zeros(1), 'queue': torch.zeros(1)}
    converted, others = convert_reference(given)
    assert converted.keys() == convert_reference(published)[0].keys() and others == [
        'encoder_k.0.conv1.0.weight',
        'queue',
    ]
    assert convert_reference(published)[1] == []


def test_full_size_keys_fit():
    shapes = json.loads((DATA / 'keys_base64.json').read_text())
    with torch.device('meta'):
        tensors = {key: torch.empty(shape) for key, shape in shapes.items()}
        expected = SearchableResNeSt().state_dict()
    ours = {_our_name(key): value.shape for key, value in tensors.items()}
    assert ours == {key: value.shape for key, value in expected.items()}


def test_unequal_shortcut_copies_and_foreign_checkpoints_are_named(published):
    broken = dict(published)
    broken['layer2.0.3.downsample.1.weight'] = broken['layer2.0.3.downsample.1.weight'] + 1
    with pytest.raises(InputError, match='layer2.0.3.downsample.1.weight differs'):
        convert_reference(broken, 'x.pth')
    with pytest.raises(InputError, match='x.pth: no key'):
        convert_reference({'conv1.weight': torch.zeros(1)}, 'x.pth')
    del published['layer3.2.1.bn3.weight']
    with pytest.raises(InputError, match='layers.9.1.bn3.weight'):
        convert_reference(published, 'x.pth')
