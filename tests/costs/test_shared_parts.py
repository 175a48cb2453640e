import digit_supernets
import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from mmpretrain.evaluation import Accuracy

from pinas_mm.costs import measure_costs
from pinas_mm.costs.counter import counting
from pinas_mm.costs.shared_parts import macs_together
from pinas_mm.scoring.evaluator import ArchEvaluator


@pytest.mark.slow
@pytest.mark.parametrize(
    'backbone, channels',
    [('SearchableMacroNet', 160), ('SearchableNASBench201', 8), ('ElasticConvNeXt', 96)],
)
def test_it_is_what_an_evaluation_runs(loaders, backbone, channels):
    """By PyTorch's own counter, around the evaluator."""
    elastic = dict(size='tiny', gap_before_final_norm=False) if 'ConvNeXt' in backbone else {}
    model = digit_supernets.build(backbone=backbone, channels=channels, **elastic)
    space, rng = model.backbone.space, np.random.default_rng(0)
    first = space.sample(rng)
    archs = [first, *(space.mutate(first, 0.2, rng) for _ in range(4)), space.sample(rng)]
    archs = sorted(set(archs))
    costs = measure_costs(model, 32)
    evaluator = ArchEvaluator(model, *loaders, lambda: Evaluator([Accuracy(topk=(1,))]))
    with counting() as count:
        _, together, _ = count(evaluator.evaluate, archs)
        evaluator.share_prefixes = False
        _, alone, _ = count(evaluator.evaluate, archs)
    images = 2 * 32 + 60  # of both loaders
    assert macs_together(costs, model.backbone, archs) * images == together
    assert costs.array('macs', archs).sum() * images == alone > together


def test_equal_archs_run_once(model):
    costs = measure_costs(model, 32)
    arch = (0, 1, 2, 0, 1, 2, 0, 0)
    assert macs_together(costs, model.backbone, [arch] * 3) == costs.arch_costs(arch)['macs']
    assert macs_together(costs, model.backbone, []) == 0
