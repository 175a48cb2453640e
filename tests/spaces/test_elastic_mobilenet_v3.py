from pinas_mm.spaces import SPACES
from pinas_mm.spaces.elastic_mobilenet_v3 import ELASTIC_MOBILENET_V3


def test_depths_expansions_and_kernels():
    space = ELASTIC_MOBILENET_V3
    assert SPACES['elastic_mobilenet_v3'] is space
    assert (space.num_slots, space.num_stages, len(space.positions)) == (45, 5, 20)
    assert set(space.num_candidates) == {3}
    for stage in range(5):
        depths = space.candidates[space.depth_slot(stage)]
        assert [candidate.block['depth'] for candidate in depths] == [2, 3, 4]
    for index in range(20):
        expansion, kernel = (space.candidates[slot] for slot in space.own_slots(index))
        assert [candidate.name for candidate in expansion] == [
            'expansion3', 'expansion4', 'expansion6'
        ]  # fmt: skip
        assert [candidate.block['kernel_size'] for candidate in kernel] == [3, 5, 7]
    # As published (w1.0): channels and strides of the first block of every stage.
    first = [position for index, position in enumerate(space.positions) if index % 4 == 0]
    assert [position.out_channels for position in first] == [24, 40, 80, 112, 160]
    assert [position.in_channels for position in first] == [16, 24, 40, 80, 112]
    assert [position.stride for position in first] == [2, 2, 2, 1, 2]


def test_as_many_networks_as_the_paper_counts():
    """((3 x 3)^2 + (3 x 3)^3 + (3 x 3)^4)^5, about 2 x 10^19 (section 3.1)."""
    space = ELASTIC_MOBILENET_V3
    one_stage = {
        space.canonical((depth, *(0,) * 8, *(0,) * 36))
        for depth in range(3)
    }  # fmt: skip
    assert len(one_stage) == 3
    count = 1
    for stage in range(5):
        of_stage = 0
        for depth in (2, 3, 4):
            blocks = [i for i, p in enumerate(space.positions) if p.stage == stage][:depth]
            choices = 1
            for index in blocks:
                for slot in space.own_slots(index):
                    choices *= space.num_candidates[slot]
            of_stage += choices
        count *= of_stage
    assert count == 7371**5 and 2e19 < count < 3e19
