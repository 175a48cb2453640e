import pytest

from pinas_mm.spaces import SPACES, get_space
from pinas_mm.spaces.elastic_resnet import ELASTIC_RESNETS


@pytest.mark.parametrize(
    'depth, slots, depths, channels',
    [
        (18, 4 + 8, [[1, 2]] * 4, (64, 128, 256, 512)),
        (34, 4 + 16, [[1, 2, 3], [2, 3, 4], [3, 4, 6], [1, 2, 3]], (64, 128, 256, 512)),
        (50, 4 + 16, [[1, 2, 3], [2, 3, 4], [3, 4, 6], [1, 2, 3]], (256, 512, 1024, 2048)),
        (101, 4 + 33, [[1, 2, 3], [2, 3, 4], [11, 17, 23], [1, 2, 3]], (256, 512, 1024, 2048)),
    ],
)
def test_depths_and_widths(depth, slots, depths, channels):
    space = ELASTIC_RESNETS[depth]
    assert get_space(f'elastic_resnet{depth}') is space is SPACES[space.name]
    assert space.num_slots == slots
    found = [
        [candidate.block['depth'] for candidate in space.candidates[space.depth_slot(stage)]]
        for stage in range(4)
    ]
    assert found == depths
    for index in range(len(space.positions)):
        (slot,) = space.own_slots(index)
        assert [candidate.name for candidate in space.candidates[slot]] == [
            'width0.5', 'width0.75', 'width1'
        ]  # fmt: skip
    last = {position.stage: position.out_channels for position in space.positions}
    assert tuple(last.values()) == channels


def test_strict_fairness_can_train_all_but_the_shallowest():
    fair = [depth for depth, space in ELASTIC_RESNETS.items() if set(space.num_candidates) == {3}]
    assert fair == [34, 50, 101]
