import pytest

from pinas_mm.spaces import SPACES, get_space
from pinas_mm.spaces.elastic_convnext import ELASTIC_CONVNEXTS


@pytest.mark.parametrize(
    'size, slots, third, channels',
    [
        ('tiny', 4 + 2 * 18, [4, 6, 9], (96, 192, 384, 768)),
        ('small', 4 + 2 * 36, [13, 20, 27], (96, 192, 384, 768)),
        ('base', 4 + 2 * 36, [13, 20, 27], (128, 256, 512, 1024)),
    ],
)
def test_depths_kernels_and_mlp_ratios(size, slots, third, channels):
    space = ELASTIC_CONVNEXTS[size]
    assert get_space(f'elastic_convnext_{size}') is space is SPACES[space.name]
    assert space.num_slots == slots and set(space.num_candidates) == {3}  # which fairness needs
    found = [
        [candidate.block['depth'] for candidate in space.candidates[space.depth_slot(stage)]]
        for stage in range(4)
    ]
    assert found == [[1, 2, 3], [1, 2, 3], third, [1, 2, 3]]
    for index in range(len(space.positions)):
        kernel, width = space.own_slots(index)
        assert [space.candidates[kernel][i].block['kernel_size'] for i in range(3)] == [3, 5, 7]
        # Of an MLP ratio of 4.
        assert [4 * space.candidates[width][i].block['width'] for i in range(3)] == [2, 3, 4]
    last = {position.stage: position.out_channels for position in space.positions}
    assert tuple(last.values()) == channels
