import pytest
import torch

from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableResNeSt


@pytest.mark.parametrize('arch, params', [
    (None, 91_522_388),
    ('3013231203213032', 24_997_278),  # published as Pi-NAS-cls
    ('3333113330011021', 24_990_016),  # published as Pi-NAS-trans
])
def test_published_parameter_counts(arch, params):
    with torch.device('meta'):
        net = SearchableResNeSt(arch=arch)
    assert sum(p.numel() for p in net.parameters()) == params


def test_shortcuts_per_candidate_are_an_option():
    shared, own = SearchableResNeSt(widen_factor=0.25), SearchableResNeSt(widen_factor=0.25, share_shortcut=False)
    shortcuts = sum(p.numel() for layer in shared.layers if 'shortcut' in layer for p in layer['shortcut'].parameters())
    assert sum(p.numel() for p in own.parameters()) == sum(p.numel() for p in shared.parameters()) + 3 * shortcuts
    own.set_arch((1, ) * 16)
    assert own(torch.zeros(2, 3, 64, 64))[0].shape == (2, 512, 2, 2)


def test_impossible_widths_are_errors():
    with pytest.raises(InputError, match='3x3 convolution'):
        SearchableResNeSt(widen_factor=1 / 16)
