"""What TensorBoard's event files have of a training, a search and DSNAS, read by TensorBoard."""

import json

import cv2
import numpy as np
import pytest
import tiny_dsnas
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pinas_mm.engine.hand_over import HAND_OVER, HandOver
from pinas_mm.engine.runner import build_runner
from pinas_mm.spaces.nasbench_macro import NASBENCH_MACRO

TENSORBOARD = dict(type='UniversalVisualizer', vis_backends=[dict(type='TensorboardVisBackend')])


def events(folder):
    """The scalars of every event file in a folder, and its images."""
    (file,) = folder.rglob('events.out.tfevents.*')
    found = EventAccumulator(str(file), size_guidance=dict(scalars=0, images=0)).Reload()
    return found


def curve(found, name):
    return {event.step: event.value for event in found.Scalars(name)}


def test_a_training(tiny):
    losses = {}
    runner = tiny.training(
        model=tiny.classifier(arch='01201201'),
        visualizer=TENSORBOARD,
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        log_processor=dict(window_size=1),
    )
    runner.register_hook(
        tiny.Record(
            after_train_iter=lambda runner, batch_idx, data_batch=None, outputs=None: losses.update(
                {runner.iter + 1: outputs['loss'].item()}
            )
        )
    )
    runner.train()
    assert curve(events(tiny.folder), 'loss') == pytest.approx(losses) and len(losses) == 4


@pytest.fixture
def searched(tiny):
    """A search of 12 archs, the best two of which are scored again."""

    def run(**loop):
        runner = tiny.searching(
            visualizer=TENSORBOARD,
            search_loop=dict(
                type='pinas_mm.SearchLoop',
                searcher=dict(type='random'),
                num_archs=12,
                ask_size=4,
                calibration_batches=1,
                calibration_dataloader=tiny.digits(shuffle=True),
                input_size=32,
                score_samples=29,
                top_k=2,
            )
            | loop,
            val_dataloader=tiny.digits('held_out', indices=64),
            val_evaluator=dict(type='Accuracy', topk=(1,)),
        )
        tiny.randomise(runner.model)
        runner.test()
        lines = (tiny.folder / 'history.jsonl').read_text().splitlines()[1:]
        records = [record for record in map(json.loads, lines) if 'spent' not in record]
        return [[r for r in records if r['stage'] == stage] for stage in ('search', 'final')]

    return run


@pytest.mark.slow
def test_a_search(tiny, searched):
    first, final = searched()
    found = events(tiny.folder)
    steps = [record['index'] + 1 for record in first]
    assert steps == list(range(1, 13))
    scores = [record['score'] for record in first]
    best = np.maximum.accumulate(scores)
    for name, values in (
        ('score', scores),
        ('best', best),
        ('macs', [record['costs']['macs'] for record in first]),
        ('params', [record['costs']['params'] for record in first]),
        ('accuracy/top1', [record['metrics']['accuracy/top1'] for record in first]),
    ):
        assert curve(found, f'search/{name}') == pytest.approx(dict(zip(steps, values)))
    assert curve(found, 'search_final/score') == pytest.approx(
        {record['index'] + 1: record['score'] for record in final}
    )
    assert not [name for name in found.Tags()['scalars'] if 'test' in name]
    for name in ('search_curve', 'pareto'):
        (image,) = found.Images(f'search_{name}')
        shown = cv2.imdecode(np.frombuffer(image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
        assert image.step == 12
        assert np.array_equal(shown, cv2.imread(str(tiny.folder / f'{name}.png')))


@pytest.mark.slow
def test_a_score_on_held_out_data_is_not_logged_as_a_test(tiny, searched):
    searched(num_archs=4)
    (log,) = tiny.folder.glob('*/*.log')
    assert 'Epoch(test)' not in log.read_text() and 'accuracy/top1' in log.read_text()


@pytest.mark.slow
def test_dsnas(tiny, tmp_path):
    config = tiny_dsnas.dsnas(
        tmp_path / 'run', visualizer=TENSORBOARD, hook=dict(interval=2), experiment_name='curves'
    )
    build_runner(config).train()
    found = events(tmp_path / 'run')
    assert set(curve(found, 'arch_entropy')) and set(curve(found, 'slots_fixed'))
    # The first stage has 6 iterations, of which 3 warm up.
    names = [
        [f'dsnas/slot_{slot}/{candidate.name}' for candidate in candidates]
        for slot, candidates in enumerate(NASBENCH_MACRO.candidates)
    ]
    rows = [[curve(found, name) for name in row] for row in names]
    assert {tuple(values) for row in rows for values in row} == {(2, 4, 6)}
    for row in rows:
        assert [values[2] for values in row] == pytest.approx([1 / 3] * 3)
        assert sum(values[4] for values in row) == pytest.approx(1)
    ended = HandOver.read(tmp_path / 'run' / HAND_OVER)[0].probabilities
    assert [[values[6] for values in row] for row in rows] == [
        pytest.approx(list(row)) for row in ended
    ]
