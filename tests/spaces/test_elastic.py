import itertools

import pytest

from pinas_mm.errors import InputError
from pinas_mm.spaces import Candidate, Position
from pinas_mm.spaces.elastic import ElasticSpace, depths, elastic_space, kernels, widths


def tiny(**kwargs):
    return elastic_space(
        **dict(
            name='tiny',
            stage_depths=[(1, 2), (3,)],
            choices=[widths(0.5, 1), kernels(3, 5, 7)],
            channels=(8, 12),
            strides=(1, 2),
            stem_channels=4,
        )
        | kwargs
    )


def test_slots_are_in_the_order_of_the_network():
    """Stage 0: depth, then two blocks of width and kernel; stage 1 has no depth."""
    space = tiny()
    assert space.num_candidates == (2, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3)
    assert [position.slots for position in space.positions] == [
        (1, 2), (0, 3, 4), (5, 6), (7, 8), (9, 10)
    ]  # fmt: skip
    assert [position.stride for position in space.positions] == [1, 1, 2, 1, 1]
    assert [position.in_channels for position in space.positions] == [4, 8, 8, 12, 12]
    assert space.places == (0, 1, 0, 1, 2)
    assert (space.depth_slot(0), space.depth_slot(1)) == (0, None)
    assert space.smallest == (0,) * 11 and space.encode(space.largest) == '11212121212'
    assert space.decode('11212121212') == space.largest


def test_what_a_block_is_and_whether_it_runs():
    space = tiny()
    assert space.choice(0, space.smallest) == dict(width=0.5, kernel_size=3)
    assert space.choice(1, space.smallest) is None
    assert space.choice(1, space.largest) == dict(width=1, kernel_size=7)
    assert space.own_slots(1) == (3, 4)


def test_archs_of_the_same_blocks_have_one_canonical_form():
    """By enumeration: with the second block off, its 6 choices are one network."""
    space = tiny(stage_depths=[(1, 2)], channels=(8,), strides=(1,))
    archs = [*itertools.product(*map(range, space.num_candidates))]
    networks = {arch: tuple(str(space.choice(index, arch)) for index in range(2)) for arch in archs}
    canonical = {arch: space.canonical(arch) for arch in archs}
    assert len(archs) == 2 * 36 and len(set(networks.values())) == 6 + 36
    assert len(set(canonical.values())) == 6 + 36
    assert all(networks[arch] == networks[canonical[arch]] for arch in archs)
    assert canonical[(0, 1, 2, 1, 1)] == (0, 1, 2, 0, 0)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(stage_depths=[(0, 2), (3,)]), r'stage 0 has depths \[0, 2\], expected whole numb'),
        (dict(stage_depths=[(2,), (0,)]), r'stage 1 has depths \[0\], expected whole numbers fr'),
        (
            dict(stage_depths=[(1, 2), ()]),
            r'stage 1 has depths \[\], expected whole numbers from 1',
        ),
        (dict(stage_depths=[(1.0, 2.0), (3,)]), r'stage 0 has depths \[1.0, 2.0\], expected'),
        (dict(stage_depths=[(2, 1), (3,)]), r'depth \[2, 1\] in slot 0: expected each to be more'),
        (dict(choices=[kernels(3, 4)]), r'kernel_size=4 in slot 1: expected odd whole numbers'),
        (dict(choices=[kernels(5, 3)]), r'kernel_size \[5, 3\] in slot 1: .*smallest to the larg'),
        (dict(choices=[widths(0, 1)]), r'width=0 in slot 1: expected numbers above 0 up to 1'),
        (dict(choices=[widths(0.5, 1.5)]), r'width=1.5 in slot 1: expected numbers above 0 up to'),
        (dict(choices=[widths(0.25, 0.5)]), r'width \[0.25, 0.5\] in slot 1: .*the last to be 1'),
        (dict(choices=[(Candidate('x', dict(radix=2)),)]), r"slot 1 chooses \[{'radix': 2}\]: exp"),
        (dict(choices=[(*widths(1), *kernels(3))]), 'slot 1 chooses .* depths, widths or kernels'),
        (dict(choices=[kernels(*range(1, 23, 2))]), '11 candidates in slot 1, expected at most 10'),
    ],
)
def test_wrong_candidates_are_named(kwargs, message):
    with pytest.raises(InputError, match=f"^space 'tiny': {message}"):
        tiny(**kwargs)


@pytest.mark.parametrize(
    'slots, message',
    [
        ([(), (0,), (1,)], r'stage 0 reads the depths of slots \[0, 1\], expected one depth'),
        ([(), (0,)], r'depths \[1, 3\] of a stage of 2 blocks, expected the last to be 2'),
        ([(), (0,), ()], r'block 2 of stage 0 does not read the depth .* \[1, 3\]'),
        ([(0,), (0,), (0,)], r'block 0 of stage 0 reads the depth .* \[1, 3\]'),
    ],
)
def test_positions_that_do_not_fit_their_depth_are_named(slots, message):
    positions = tuple(Position(0, 8, 8, 1, read) for read in slots)
    candidates = (depths(1, 3),) * (2 if (1,) in slots else 1)
    with pytest.raises(InputError, match=f"^space 'own': {message}"):
        ElasticSpace('own', candidates, positions, 8)


def test_a_depth_of_zero_is_refused_without_the_function_too():
    positions = tuple(Position(0, 8, 8, 1, (0,)) for _ in range(2))
    with pytest.raises(InputError, match='depth=0 in slot 0: expected whole numbers from 1'):
        ElasticSpace('own', (depths(0, 2),), positions, 8)
