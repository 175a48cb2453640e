from pinas_mm.spaces import SPACES
from pinas_mm.spaces.elastic_mobilenet_v2 import ELASTIC_MOBILENET_V2 as SPACE


def test_slots_by_hand():
    """Stages of 1, 2, 3, 4, 3, 3 and 1 blocks; the first one's does not expand."""
    assert SPACES['elastic_mobilenet_v2'] is SPACE
    stages = [[], [2, 3, 3], [3] * 4, [3] * 5, [3] * 4, [3] * 4, [3]]
    assert SPACE.num_candidates == tuple(sum(stages, []))
    assert [SPACE.own_slots(index) for index in (0, 1, 2, 3)] == [(), (1,), (2,), (4,)]
    assert [SPACE.depth_slot(stage) for stage in range(7)] == [None, 0, 3, 7, 12, 16, None]


def test_candidates_by_name():
    names = [tuple(candidate.name for candidate in slot) for slot in SPACE.candidates]
    assert set(names) == {
        ('depth1', 'depth2'),
        ('depth1', 'depth2', 'depth3'),
        ('depth2', 'depth3', 'depth4'),
        ('expansion3', 'expansion4', 'expansion6'),
    }
    assert [slot.block['width'] for slot in SPACE.candidates[1]] == [3 / 6, 4 / 6, 1]


def test_channels_and_strides():
    last = {position.stage: position for position in SPACE.positions}
    channels = [position.out_channels for position in last.values()]
    assert channels == [16, 24, 32, 64, 96, 160, 320] and SPACE.tail_channels == 1280
    assert [position.stride for position in SPACE.positions if position.stride == 2] == [2] * 4
