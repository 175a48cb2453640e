from pinas_mm.spaces import SPACES
from pinas_mm.spaces.elastic_efficientnet_lite0 import ELASTIC_EFFICIENTNET_LITE0 as SPACE


def test_slots_by_hand():
    """Stages of 1, 2, 2, 3, 3, 4 and 1 blocks; the third, fifth and sixth have kernels of 5."""
    assert SPACES['elastic_efficientnet_lite0'] is SPACE
    block = [3, 2]
    stages = [[], [2, 3, 3], [2, *block * 2], [3] * 4, [3, *block * 3], [3, *block * 4], [3]]
    assert SPACE.num_candidates == tuple(sum(stages, []))
    kernels = [slot for slot in SPACE.candidates if 'kernel_size' in slot[0].block]
    assert len(kernels) == 9
    assert {tuple(candidate.name for candidate in slot) for slot in kernels} == {
        ('kernel3', 'kernel5')
    }


def test_channels_and_strides():
    channels = {position.stage: position.out_channels for position in SPACE.positions}
    assert [*channels.values()] == [16, 24, 40, 80, 112, 192, 320]
    first = {}
    for position in SPACE.positions:
        first.setdefault(position.stage, position.stride)
    assert [*first.values()] == [1, 2, 2, 2, 1, 2, 1]
