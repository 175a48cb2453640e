"""Age and gender through every step of an adaptation: the supernet trained over sampled archs,
searched by the task's own metric, and the found subnet tested."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from age_pictures import AGES, write_list, write_utkface
from mmengine.config import Config
from mmengine.registry import MODELS

from pinas_mm.checkpoint import load_strict, save_checkpoint
from pinas_mm.engine.loaders import whole_set_loader
from pinas_mm.errors import InputError
from pinas_mm.pipelines.adaptation import JOINT, Adaptation

EXPECTED, CORAL = (
    dict(type=f'pinas_mm.{name}', in_channels=160, ages=AGES)
    for name in ('ExpectedAgeHead', 'CoralAgeHead')
)
GENDER = dict(type='LinearClsHead', in_channels=160, num_classes=2)
BOTH = dict(type='MultiTaskHead', task_heads=dict(age=EXPECTED, gender=GENDER))
AGE_METRIC = dict(type='pinas_mm.AgeMetric')
GENDER_METRICS = [
    dict(type='Accuracy', prefix='gender'),
    dict(type='SingleLabelMetric', items=('recall',), prefix='gender'),
]
BOTH_METRICS = [
    dict(type='pinas_mm.TaskMetric', task='age', metric=AGE_METRIC),
    *(dict(type='pinas_mm.TaskMetric', task='gender', metric=metric) for metric in GENDER_METRICS),
]
NAMES = dict(age={'age/mae', 'age/cs@5', 'age/neg_mae'}, gender={'gender/top1', 'gender/recall'})


def faces(root, layout, tasks, part):
    """Dataset configs of each part: a list for training and one for testing, or a single folder
    that is split twice."""
    pack = (
        dict(type='PackInputs')
        if isinstance(tasks, str)
        else dict(type='PackMultiTaskInputs', multi_task_fields=['gt_label'])
    )
    config = dict(
        tasks=tasks,
        ages=AGES,
        data_root=str(root),
        serialize_data=False,
        pipeline=[dict(type='LoadImageFromFile'), pack],
    )
    if layout is write_list:
        config |= dict(
            type='pinas_mm.AgeGenderList', ann_file='test.csv' if part == 'test' else 'train.csv'
        )
    else:
        config = dict(
            type='pinas_mm.SeededSplit',
            part='held_out' if part == 'test' else 'learning',
            held_out=32,
            dataset=config | dict(type='pinas_mm.UTKFace'),
        )
    return (
        config
        if part == 'test'
        else dict(type='pinas_mm.SeededSplit', part=part, held_out=32, dataset=config)
    )


def loader(*args):
    return dict(
        batch_size=16,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=args[-1] == 'learning'),
        dataset=faces(*args),
    )


@pytest.fixture
def adaptation(tiny, tmp_path):
    """Makes the config of an adaptation, and a source's supernet."""

    def make(layout, tasks, head, metrics, score):
        root = tmp_path / 'faces'
        if layout is write_list:
            write_list(root, 112)
            write_list(root, 32, seed=1, name='test')
        else:
            write_utkface(root, 144)
        model = tiny.classifier(widen_factor=0.125) | dict(
            head=head, data_preprocessor=dict(mean=[20.0] * 3, std=[60.0] * 3)
        )
        save_checkpoint(
            tmp_path / 'source.pth',
            tiny.randomise(MODELS.build(copy.deepcopy(model))).state_dict(),
            {},
        )
        # Not laid out by yapf, which takes longer than all else here.
        config = Config(
            dict(
                work_dir=str(tmp_path / 'adapt'),
                default_scope='mmpretrain',
                randomness=dict(seed=0),
                model=model,
                train_dataloader=loader(root, layout, tasks, 'learning'),
                train_cfg=dict(by_epoch=True, max_epochs=4),
                optim_wrapper=dict(optimizer=dict(type='Adam', lr=5e-3)),
                default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=4)),
                val_dataloader=loader(root, layout, tasks, 'held_out'),
                val_evaluator=metrics,
                val_cfg=dict(),
                test_dataloader=loader(root, layout, tasks, 'test'),
                test_evaluator=metrics,
                test_cfg=dict(),
                supernet_stage=dict(custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')]),
                search_loop=dict(
                    type='pinas_mm.SearchLoop',
                    searcher=dict(type='random'),
                    num_archs=4,
                    ask_size=4,
                    calibration_batches=2,
                    input_size=32,
                    score=score,
                    score_samples=16,
                    top_k=2,
                ),
            ),
            format_python_code=False,
        )
        return Adaptation(config, str(tmp_path / 'source.pth'))

    return make


def predicted_and_true(adaptation, report):
    """Of every face of the test set, from the adapted network's checkpoint, one at a time: ages and
    genders by task."""
    config = copy.deepcopy(adaptation.config)
    config.model.backbone.arch = report['arch']
    model = MODELS.build(config.model).eval()
    load_strict(model, Path((adaptation.work_dir / 'subnet/last_checkpoint').read_text()))
    found = []
    for data in whole_set_loader(dict(config.test_dataloader, batch_size=1)):
        with torch.no_grad():
            (sample,) = model.val_step(data)
        tasks = (
            {task: sample.get(task) for task in ('age', 'gender')}
            if 'age' in sample
            else {'age' if 'pred_age' in sample else 'gender': sample}
        )
        found.append(
            {
                task: (
                    float(one.pred_age) if task == 'age' else int(one.pred_score.argmax()),
                    int(one.gt_label),
                )
                for task, one in tasks.items()
            }
        )
    return {task: np.array([sample[task] for sample in found]).T for task in found[0]}


@pytest.mark.slow
@pytest.mark.parametrize(
    'layout, tasks, head, metrics, score',
    [
        (write_list, 'age', EXPECTED, AGE_METRIC, 'age/neg_mae'),
        (write_utkface, 'age', CORAL, AGE_METRIC, 'age/neg_mae'),
        (write_utkface, 'gender', GENDER, GENDER_METRICS, 'gender/recall'),
        (write_list, ['age', 'gender'], BOTH, BOTH_METRICS, 'age/neg_mae'),
    ],
    ids=['expected', 'coral', 'gender', 'both'],
)
def test_every_step(adaptation, layout, tasks, head, metrics, score):
    steps = adaptation(layout, tasks, head, metrics, score)
    report = steps.run('subnet')
    records = [
        json.loads(line)
        for line in (steps.work_dir / 'search/history.jsonl').read_text().splitlines()[1:]
    ]
    records = [record for record in records if 'arch' in record]
    names = set.union(*(NAMES[task] for task in ([tasks] if isinstance(tasks, str) else tasks)))
    assert [record['stage'] for record in records] == ['search'] * 4 + ['final'] * 2
    assert all(
        record['metrics'].keys() == names and record['score'] == record['metrics'][score]
        for record in records
    )
    assert len({json.dumps(record['metrics']) for record in records}) > 1
    final = [record for record in records if record['stage'] == 'final']
    assert report['arch'] in [''.join(map(str, record['arch'])) for record in final]

    found, predictions = report['rows'][JOINT]['metrics'], predicted_and_true(steps, report)
    assert found.keys() == names
    if 'age' in tasks:
        (predicted, true), constant = predictions['age'], np.median(range(AGES[0], AGES[1] + 1))
        errors = np.abs(predicted - true)
        assert (
            found['age/mae'] == pytest.approx(errors.mean(), rel=1e-4)
            and found['age/neg_mae'] == -found['age/mae']
        )
        assert found['age/cs@5'] == pytest.approx(100 * (errors <= 5).mean())
        assert found['age/mae'] < 0.8 * np.abs(constant - true).mean()
    if 'gender' in tasks:
        predicted, true = predictions['gender']
        assert found['gender/top1'] == pytest.approx(100 * (predicted == true).mean(), rel=1e-4)
        assert found['gender/recall'] == pytest.approx(
            100 * np.mean([(predicted[true == g] == g).mean() for g in (0, 1)]), rel=1e-4
        )
        assert found['gender/recall'] > 70  # by chance 50


def test_the_head_of_a_task_that_does_not_fit_is_named(adaptation):
    for change, message in (
        (
            {'model.head.task_heads.age.in_channels': 320},
            r'task_heads.age: in_channels=320 of ExpectedAgeHead: model.neck gives \[160\]',
        ),
        (
            {'model.head.task_heads.age.ages': (20, 40)},
            rf'ages=\(20, 40\) of ExpectedAgeHead: AgeGenderList has ages of {AGES[0]} to '
            rf'{AGES[1]}',
        ),
    ):
        steps = adaptation(write_list, ['age', 'gender'], BOTH, BOTH_METRICS, 'age/neg_mae')
        steps.config.merge_from_dict(change)
        steps.config.work_dir = steps.work_dir = steps.work_dir.with_name(message[:6].strip('\\'))
        with pytest.raises(InputError, match=message):
            steps.run('supernet')
