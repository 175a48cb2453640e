import itertools

from pinas_mm.spaces import get_space


def test_size_and_shape():
    space = get_space('nasbench_macro')
    assert space.size == 6561 and space.num_slots == 8
    assert [p.stage for p in space.positions] == [0, 0, 1, 1, 1, 2, 2, 2]
    assert [p.stride for p in space.positions] == [2, 1, 2, 1, 1, 2, 1, 1]


def test_there_are_3969_distinct_networks():
    space = get_space('nasbench_macro')
    canonical = {space.canonical(arch) for arch in itertools.product(range(3), repeat=8)}
    assert len(canonical) == 3969
    assert all(space.canonical(arch) == arch for arch in canonical)


def test_only_identities_that_keep_the_shape_move():
    space = get_space('nasbench_macro')
    assert space.canonical((0, 1, 0, 0, 2, 1, 0, 1)) == (0, 1, 0, 2, 0, 1, 1, 0)
    assert space.canonical((0, 0, 0, 1, 2, 0, 2, 1)) == (0, 0, 0, 1, 2, 0, 2, 1)
