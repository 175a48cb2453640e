import dataclasses

import pytest

from pinas_mm.errors import InputError
from pinas_mm.spaces import SPACES, Candidate, SearchSpace, chain, get_space, register_space
from pinas_mm.spaces.nasbench_macro import NASBENCH_MACRO


@pytest.fixture
def own_space(monkeypatch):
    """A space that no other test sees."""
    monkeypatch.setattr('pinas_mm.spaces.known.SPACES', dict(SPACES))
    slot = (Candidate('a', dict(size=1)), Candidate('b', dict(size=3)))
    return SearchSpace('own', (slot, slot), chain((2,), (8,), (1,), 8), 8)


def test_a_registered_space_is_found_by_its_name(own_space):
    with pytest.raises(InputError, match="subnet.yaml: unknown space 'own', .*custom_imports"):
        get_space('own', 'subnet.yaml')
    assert register_space(own_space) is own_space and get_space('own') is own_space


def test_a_space_may_be_registered_again_but_its_name_is_its_own(own_space):
    register_space(own_space)
    register_space(dataclasses.replace(own_space))
    with pytest.raises(InputError, match="a different space is already named 'own'"):
        register_space(dataclasses.replace(own_space, stem_channels=4))
    with pytest.raises(InputError, match="already named 'nasbench_macro'"):
        register_space(dataclasses.replace(own_space, name='nasbench_macro'))
    assert get_space('own') is own_space and get_space('nasbench_macro') is NASBENCH_MACRO


def test_the_closest_names_are_shown_for_an_unknown_one():
    with pytest.raises(InputError, match=r"such as \['elastic_resnet50', ") as error:
        get_space('elastic_resnet5')
    assert len(str(error.value)) < 250


def test_our_spaces_are_known():
    assert set(SPACES) >= {'nasbench201', 'nasbench_macro', 'resnest50', 'shufflenetv2'}
