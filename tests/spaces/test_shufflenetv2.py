from pinas_mm.spaces import get_space


def test_size_and_shape():
    space = get_space('shufflenetv2')
    assert space.size == 4**20 and space.num_candidates == (4,) * 20
    assert [p.stage for p in space.positions] == [0] * 4 + [1] * 4 + [2] * 8 + [3] * 4
    assert [p.out_channels for p in space.positions] == [64] * 4 + [160] * 4 + [320] * 8 + [640] * 4
    assert [(i, p.in_channels) for i, p in enumerate(space.positions) if p.stride == 2] == [
        (0, 16),
        (4, 64),
        (8, 160),
        (16, 320),
    ]
    assert (space.stem_channels, space.tail_channels) == (16, 1024)
    names = [candidate.name for candidate in space.candidates[0]]
    assert names == ['shuffle_3x3', 'shuffle_5x5', 'shuffle_7x7', 'shuffle_xception']


def test_the_published_arch_is_read_as_it_is_written():
    space = get_space('shufflenetv2')
    assert space.decode('0,0,3,0,3,2,0,0,3,3,2,3,3,3,2,0,0,3,3,0') == space.decode(
        '00303200332333200330'
    )
