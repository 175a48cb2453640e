import torch
from tiny_chain import TinyNet

from pinas_mm.models.backbones import ElasticResNet, SearchableResNeSt, SearchableShuffleNetV2
from pinas_mm.ranking.training_free import training_free_scores
from pinas_mm.ranking.training_free.depth import depth


def test_only_candidates_with_a_layer_count():
    archs = [(0, 1), (2, 0), (1, 1)]
    assert depth(TinyNet.space, archs).tolist() == [1, 0, 2]
    assert training_free_scores(TinyNet(), archs, torch.zeros(0), ['depth'])['depth'].tolist() == [
        1,
        0,
        2,
    ]


def test_other_spaces_have_depths_too():
    assert depth(SearchableResNeSt.space, [(0, 1, 2, 3) * 4, (0,) * 16]).tolist() == [16, 16]
    assert depth(SearchableShuffleNetV2.space, [(0, 1, 2, 3) * 5]).tolist() == [20]


def test_of_an_elastic_space_the_blocks_that_run_count():
    space = ElasticResNet.spaces[50]
    mixed = space.decode('10002222201111111020')  # 2 + 4 + 3 + 2
    assert depth(space, [space.smallest, space.largest, mixed]).tolist() == [7, 16, 11]
