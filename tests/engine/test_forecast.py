import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.evaluation import Accuracy, SingleLabelMetric

from pinas_mm.engine.forecast import forecast
from pinas_mm.engine.loaders import calibration_loader, whole_set_loader
from pinas_mm.scoring.evaluator import ArchEvaluator

ARCHS = [(0, 0, 0, 0, 0, 0, 0, 0), (1, 1, 1, 1, 1, 1, 1, 1)]


class Clock:
    """A pass takes 10 seconds, and each arch 5 per calibration and 0.5 per scoring batch; the first
    pass takes 100 more."""

    def __init__(self, model):
        self.now, self.first = 0.0, True
        model.register_forward_pre_hook(self.step, with_kwargs=True)

    def step(self, model, args, kwargs):
        self.now += 5 if kwargs['mode'] == 'tensor' else 0.5
        self.now += 100 if self.first else 0
        self.first = False

    def __call__(self):
        self.now += 5
        return self.now


@pytest.fixture
def model(tiny):
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    return MODELS.build(
        tiny.classifier(widen_factor=0.125)
        | dict(
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=160),
        )
    )


@pytest.mark.parametrize('num_archs, rescored', [(10, 0), (11, 4)])
def test_known_times_are_scaled_up(tiny, model, num_archs, rescored):
    loaders = (
        calibration_loader(tiny.digits(), 4),
        whole_set_loader(tiny.digits('held_out', batch_size=8)),
    )

    def evaluator(loader):
        return ArchEvaluator(model, loaders[0], loader, lambda: Evaluator([Accuracy()]))

    whole = evaluator(whole_set_loader(tiny.digits('held_out', batch_size=4)))
    found = forecast(evaluator(loaders[1]), ARCHS, num_archs, rescored, whole, Clock(model))
    asked = -(-num_archs // 2)
    # Per asked batch of two archs, 4 calibration and 8 scoring batches; the clock itself is read at
    # the start and at the end: 5 s.
    expected = asked * (5 + 2 * (4 * 5 + 8 * 0.5))
    if rescored:
        expected += 5 + rescored * (4 * 5 + 16 * 0.5)
    assert (
        found.seconds == pytest.approx(expected)
        and found.asked_batches == asked
        and found.data_batches == (4, 8)
    )
    assert found.disk_mb > 0 and found.memory_mb > 0
    assert found.lines()[2].startswith(f'time     0 h {-(-expected // 60):.0f} min')
    assert found.lines()[3].endswith('of the probe, and 0 MB of predictions that the metrics keep')


def test_what_metrics_keep_of_all_batches_is_forecast(tiny, model):
    """Of 8 scoring batches the probe reads three: as much memory as an evaluation of all takes."""
    loaders = (
        calibration_loader(tiny.digits(), 1),
        whole_set_loader(tiny.digits('held_out', batch_size=8)),
    )

    def found(metric, **kwargs):
        evaluator = ArchEvaluator(model, *loaders, lambda: Evaluator([metric()]), **kwargs)
        forecasts = [forecast(evaluator, ARCHS, 10, rescored, evaluator) for rescored in (0, 6)]
        evaluator.evaluate(ARCHS)
        return [one.results_mb for one in forecasts], evaluator.bytes_per_batch * 8 / 2**20

    (searched, rescored), whole = found(SingleLabelMetric)
    assert whole > 0.05 and searched == 2 * whole and rescored == 6 * whole
    assert found(SingleLabelMetric, results_mb=1.5 * whole)[0] == [1.5 * whole] * 2
    assert found(SingleLabelMetric, results_mb=0.01)[0] == [whole] * 2, 'one arch at a time'
    assert found(Accuracy) == ([0, 0], 0), 'sums'
