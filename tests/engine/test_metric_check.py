import copy

import pytest
from mmengine.registry import MODELS

from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.engine.metric_check import check_metrics, check_search
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
        val_cfg=dict(),
        test_dataloader=tiny.digits('test', indices=20),
        test_evaluator=WRONG,
        test_cfg=dict(),
        arch_evaluation=dict(calibration_dataloader=tiny.digits(), calibration_batches=4),
    )


NAMED = r"^test_evaluator \(TaskMetric\): .* TaskMetric: no task 'age' in predictions"


def test_metrics_of_a_config(config):
    check_metrics(config, 'val')
    with pytest.raises(InputError, match=NAMED):
        check_metrics(config, 'test')
    config.test_dataloader = None
    check_metrics(config, 'test')


SEARCH = dict(type='pinas_mm.SearchLoop', searcher=dict(type='partition_tree'), input_size=32)


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(score='accuracy/top5'), "^val_evaluator .*score='accuracy/top5' is not among"),
        (dict(nonsense=1), '^search_loop.nonsense: unknown key, expected some of'),
        (dict(searcher=dict(type='partition_tree', num_initial=5000)), 'num_initial=5000 random'),
        (dict(searcher=dict(type='evolution', num_initial=5)), 'searcher.num_initial: unknown key'),
        (dict(constraints=dict(macs=1)), 'no arch of space .* with macs <= 1 '),
        (dict(constraints=dict(watts=1)), "unknown cost 'watts'"),
        (dict(race=dict(top=2)), "^search_loop.race.top: unknown key, expected 'top_k'"),
        (dict(race=dict(top_k=8)), 'race: top_k=8 of the 8 archs asked at a time'),
        (
            dict(autocast='float8'),
            "^search_loop.autocast='float8': expected 'bfloat16' or 'float16'",
        ),
        (
            dict(score_samples=0),
            '^search_loop.score_samples=0: expected a whole number of at least 1',
        ),
        (dict(num_archs=0), '^search_loop.num_archs=0'),
        (dict(latency_table='none.json'), 'none.json'),
        (dict(calibration_batches=0), '^search_loop.calibration_batches=0'),
    ],
)
def test_a_search_that_cannot_begin_is_refused(config, change, message):
    config.search_loop = dict(SEARCH)
    check_search(config)
    config.search_loop.update(change)
    with pytest.raises(InputError, match=message):
        check_search(config)


def test_a_search_has_no_calibration_data_but_its_own(config):
    """As the search itself."""
    config.search_loop, config.arch_evaluation = dict(SEARCH), None
    with pytest.raises(InputError, match='arch_evaluation has no calibration_dataloader'):
        check_search(config)
    config.search_loop.calibration_dataloader = config.train_dataloader
    check_search(config)


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
    config.search_loop = dict(SEARCH, score='accuracy/top5')
    files = {}
    for stage in ('learn', 'linear', 'search', 'finetune', 'transfer'):
        part = copy.deepcopy(config)
        if stage in ('learn', 'linear', 'transfer'):
            part.test_dataloader = part.test_evaluator = part.test_cfg = None
        if stage == 'transfer':  # the width is in the subnet file
            part.model.backbone = dict(type='pinas_mm.SearchableMacroNet', arch='subnet.yaml')
            part.val_evaluator = dict(WRONG)
        part.dump(tiny.folder / f'{stage}.py')
        files[stage] = tiny.folder / f'{stage}.py'

    def run(**search):
        changes = {f'search_loop.{key}': value for key, value in search.items()}
        Pipeline(files, tiny.folder / 'work', 0, {}, dict(search=changes)).run(1)

    with pytest.raises(InputError, match="^val_evaluator .*score='accuracy/top5' is not among"):
        run()
    with pytest.raises(InputError, match='^search_loop.nonsense: unknown key'):
        run(nonsense=1)
    with pytest.raises(InputError, match=NAMED):
        run(score='accuracy/top1')
    config.test_evaluator = config.val_evaluator
    config.dump(files['finetune'])
    with pytest.raises(InputError, match=NAMED.replace('test_', 'val_')):
        run(score='accuracy/top1')
    assert not (tiny.folder / 'work').exists()


def test_stages_that_are_done_are_not_checked_again(tiny, config):
    config.search_loop = dict(SEARCH, score='accuracy/top5')
    files = {}
    for stage in ('linear', 'search', 'finetune', 'transfer'):
        config.dump(tiny.folder / f'{stage}.py')
        files[stage] = tiny.folder / f'{stage}.py'
    pipeline = Pipeline(files, tiny.folder / 'work', 0, {})
    for folder in ('linear', 'search', 'finetune/searched', 'transfer'):
        with pytest.raises(InputError):
            pipeline.check_metrics()
        (tiny.folder / 'work' / folder).mkdir(parents=True)
        (tiny.folder / 'work' / folder / 'stage.json').write_text('{"config": {}, "result": {}}')
    pipeline.check_metrics()
