import pytest
from mmengine.config import Config
from mmengine.registry import MODELS

from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.engine.metric_check import check_metrics
from pinas_mm.errors import InputError
from pinas_mm.pipelines.adaptation import Adaptation
from pinas_mm.pipelines.dsnas import run_stages
from pinas_mm.pipelines.pinas import Pipeline

WRONG = dict(type='pinas_mm.TaskMetric', task='age', metric=dict(type='Accuracy'))


@pytest.fixture
def config(tiny):
    """A training of digits whose test metric is of another task."""
    return tiny.config(
        train_dataloader=tiny.digits(),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        val_dataloader=tiny.digits('held_out', indices=20),
        val_evaluator=dict(type='Accuracy', topk=(1,)),
        test_dataloader=tiny.digits('test', indices=20),
        test_evaluator=WRONG,
        test_cfg=dict(),
        arch_evaluation=dict(calibration_dataloader=tiny.digits(), calibration_batches=4),
    )


NAMED = r"^test_evaluator \(TaskMetric\): .* TaskMetric: no task 'age' in predictions"


def test_metrics_of_a_config(config):
    check_metrics(config, 'val', 'accuracy/top1')
    with pytest.raises(InputError, match="score='accuracy/top5' is not among"):
        check_metrics(config, 'val', 'accuracy/top5')
    with pytest.raises(InputError, match=NAMED):
        check_metrics(config, 'test')
    config.test_dataloader = None
    check_metrics(config, 'test')


def test_an_adaptation_checks_its_metrics_before_it_trains(tiny, config):
    config.supernet_stage = dict(custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')])
    config.search_loop = dict(
        type='pinas_mm.SearchLoop', searcher=dict(type='random'), num_archs=2, input_size=32
    )
    state = {
        f'backbone.{key}': value
        for key, value in MODELS.build(config.model.backbone).state_dict().items()
    }
    save_checkpoint(tiny.folder / 'source.pth', state, {})
    with pytest.raises(InputError, match=NAMED):
        Adaptation(config, str(tiny.folder / 'source.pth')).run('search')
    assert not list(tiny.folder.glob('supernet*'))


def test_dsnas_checks_its_metrics_before_it_trains(tiny, config):
    config.optim_wrapper.update(
        type='pinas_mm.DSNASOptimWrapper', logits_optimizer=dict(type='Adam', lr=0.01)
    )
    config.custom_hooks = [dict(type='pinas_mm.DSNASHook', search=1)]
    with pytest.raises(InputError, match=NAMED):
        run_stages(config)
    assert not list(tiny.folder.glob('search*'))


def test_the_method_checks_its_metrics_before_it_trains(tiny, config):
    config.search_loop = dict(type='pinas_mm.SearchLoop', score='accuracy/top5')
    files = {}
    for stage in ('learn', 'linear', 'search', 'finetune'):
        part = Config(dict(config))
        if stage in ('learn', 'linear'):
            part.test_dataloader = None
        part.dump(tiny.folder / f'{stage}.py')
        files[stage] = tiny.folder / f'{stage}.py'
    with pytest.raises(InputError, match="^val_evaluator .*score='accuracy/top5' is not among"):
        Pipeline(files, tiny.folder / 'work', 0, {}).run(1)
    with pytest.raises(InputError, match=NAMED):
        Pipeline(files, tiny.folder / 'work', 0, {'search_loop.score': 'accuracy/top1'}).run(1)
    assert not (tiny.folder / 'work').exists()
