from pinas_mm.spaces import get_space


def test_size_and_shape():
    space = get_space('resnest50')
    assert space.size == 4**16 and space.num_candidates == (4,) * 16
    assert [p.out_channels for p in space.positions] == [256] * 3 + [512] * 4 + [1024] * 6 + [
        2048
    ] * 3
    assert [i for i, p in enumerate(space.positions) if p.changes_shape] == [0, 3, 7, 13]
    assert [tuple(c.block.values()) for c in space.candidates[0]] == [
        (1, 1, 64),
        (2, 1, 64),
        (1, 2, 42),
        (2, 2, 40),
    ]
