import pytest

from pinas_mm.spaces import SPACES, get_space
from pinas_mm.spaces.arch_text import arch_text, candidate_names, is_cell_space, position_names


@pytest.mark.parametrize(
    'space, arch, text',
    [
        (
            'nasbench_macro',
            '21100121',
            'stage 0: mb6_k5, mb3_k3\n'
            'stage 1: mb3_k3, identity, identity\n'
            'stage 2: mb3_k3, mb6_k5, mb3_k3',
        ),
        (
            'nasbench201',
            '432110',
            'every cell: avg_pool_3x3, nor_conv_3x3, nor_conv_1x1, skip_connect, skip_connect, '
            'none',
        ),
        # Of each stage its depth, and the widths of the blocks that run.
        (
            'elastic_resnet18',
            '012112000120',
            'stage 0: depth1, width0.75\n'
            'stage 1: depth2, width0.75, width1\n'
            'stage 2: depth1, width0.5\n'
            'stage 3: depth2, width1, width0.5',
        ),
    ],
)
def test_an_arch_in_words(space, arch, text):
    space = get_space(space)
    assert arch_text(space, space.decode(arch)) == text


def test_every_slot_has_a_name():
    space = get_space('nasbench_macro')
    assert candidate_names(space, (0, 1, 2, 0, 0, 0, 0, 0))[:3] == ['identity', 'mb3_k3', 'mb6_k5']


def test_what_does_not_run_has_no_name():
    space = get_space('elastic_resnet18')
    names = position_names(space, space.decode('012112000120'))
    assert names == [
        'width0.75',
        None,
        'width0.75',
        'width1',
        'width0.5',
        None,
        'width1',
        'width0.5',
    ]


@pytest.mark.parametrize('name', sorted(SPACES))
def test_every_space_has_words_for_its_archs(name):
    space = SPACES[name]
    for arch in ((0,) * space.num_slots, tuple(n - 1 for n in space.num_candidates)):
        lines = arch_text(space, arch).splitlines()
        assert len(lines) == (1 if is_cell_space(space) else space.num_stages)
        assert len(position_names(space, arch)) == len(space.positions)
