import json
import shutil
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger
from torch.optim import SGD
from typing_extensions import TypedDict
from wrong_files import of_bytes, of_json, of_values, try_files

from pinas_mm.errors import InputError
from pinas_mm.fileio import PART
from pinas_mm.pipelines.stages import into_folder, is_done, run_once
from pinas_mm.schema import Measured, NotNegative


@pytest.fixture
def config():
    return Config(
        dict(model=dict(type='A'), visualizer=dict(type='V', name='shared'), load_from='start.pth')
    )


def test_a_stage_runs_once(config, tmp_path):
    ran = []

    def run(config):
        ran.append(config.work_dir)
        return dict(value=len(ran))

    assert (
        run_once(config, tmp_path / 'one', run)
        == dict(value=1)
        == run_once(config, tmp_path / 'one', run)
    )
    assert ran == [str(tmp_path / 'one')]
    assert run_once(config, tmp_path / 'two', run) == dict(value=2)
    stage = json.loads((tmp_path / 'one/stage.json').read_text())
    assert (
        stage == dict(config=config.to_dict(), data={}, result=dict(value=1))
        and 'work_dir' not in config
    )


@pytest.mark.parametrize('kept', [None, 'last_checkpoint', 'history.jsonl'])
def test_a_stage_of_another_config_is_refused(config, tmp_path, kept):
    """Of a finished one, and of one that was stopped and has something to keep."""

    def run(config):
        if kept:
            (tmp_path / kept).write_text('')
            raise KeyboardInterrupt
        return {}

    if not kept:
        run_once(config, tmp_path, run)
    else:
        with pytest.raises(KeyboardInterrupt):
            run_once(config, tmp_path, run)
    config.model.type, config.seed = 'B', 1
    with pytest.raises(
        InputError,
        match="made with another config: model.type was 'A' and is 'B'; seed was not set and is 1; "
        'choose another --work-dir',
    ):
        run_once(config, tmp_path, run)


def test_a_stage_that_failed_at_its_start_takes_a_corrected_config(config, tmp_path):
    def run(config):
        (tmp_path / '20260101_000000').mkdir(exist_ok=True)  # its log
        if config.model.type == 'A':
            raise InputError('model.type: expected B')
        return {}

    with pytest.raises(InputError, match='expected B'):
        run_once(config, tmp_path, run)
    config.model.type = 'B'
    assert run_once(config, tmp_path, run) == {}
    assert json.loads((tmp_path / 'stage.json').read_text())['config']['model'] == dict(type='B')


@pytest.fixture
def folders(tmp_path):
    """A config of two images, and the folder they are in."""
    for name in ('cat', 'dog'):
        (tmp_path / 'data/train' / name).mkdir(parents=True)
        (tmp_path / f'data/train/{name}/0.jpg').write_bytes(b'never opened')
    dataset = dict(type='pinas_mm.ClassFolders', data_root='', data_prefix='train', pipeline=[])
    config = Config(dict(train_dataloader=dict(batch_size=1, dataset=dataset)))
    config.train_dataloader.dataset.data_root = str(tmp_path / 'data')
    return config, tmp_path / 'data'


def stopped(config):
    (Path(config.work_dir) / 'history.jsonl').touch()
    raise KeyboardInterrupt


@pytest.mark.parametrize('done', [False, True])
def test_a_stage_of_other_data_is_refused(folders, tmp_path, done):
    config, data = folders
    with nullcontext() if done else pytest.raises(KeyboardInterrupt):
        run_once(config, tmp_path / 'one', (lambda config: {}) if done else stopped)
    (data / 'train/dog/1.jpg').touch()
    with pytest.raises(
        InputError,
        match=r'one: its data changed since it began: train_dataloader.samples was 2 and is 3; '
        r"train_dataloader.contents was '\w+' and is '\w+'; put them back, or choose another",
    ):
        run_once(config, tmp_path / 'one', lambda config: {})
    (data / 'train/dog/1.jpg').unlink()
    assert run_once(config, tmp_path / 'one', lambda config: {}) == {}


def test_a_stage_goes_on_with_moved_data_and_keeps_its_result_without_any(folders, tmp_path):
    config, data = folders
    with pytest.raises(KeyboardInterrupt):
        run_once(config, tmp_path / 'one', stopped)
    data.rename(tmp_path / 'moved')
    config.train_dataloader.dataset.data_root = str(tmp_path / 'moved')
    assert run_once(config, tmp_path / 'one', lambda config: dict(ran=True)) == dict(ran=True)
    shutil.rmtree(tmp_path / 'moved')
    assert run_once(config, tmp_path / 'one', lambda config: {}) == dict(ran=True)


def test_data_of_a_stage_that_failed_at_its_start_may_be_mended(folders, tmp_path):
    def fail(config):
        raise InputError('too few images')

    config, data = folders
    with pytest.raises(InputError, match='too few'):
        run_once(config, tmp_path / 'one', fail)
    (data / 'train/dog/1.jpg').touch()
    assert run_once(config, tmp_path / 'one', lambda config: {}) == {}
    stage = json.loads((tmp_path / 'one/stage.json').read_text())
    assert stage['data']['train_dataloader']['samples'] == 3


def test_files_that_no_stage_made_are_not_mixed_in(config, tmp_path):
    (tmp_path / 'one').mkdir()
    (tmp_path / 'one/hand_over.pth').touch()
    with pytest.raises(InputError, match='one: has files, but no stage.json that says how'):
        run_once(config, tmp_path / 'one', lambda config: {})


def test_a_stage_that_was_killed_as_it_wrote_its_first_file_runs(config, tmp_path):
    (tmp_path / f'stage.json.1{PART}').touch()
    assert run_once(config, tmp_path, lambda config: dict(value=1)) == dict(value=1)
    assert [path.name for path in tmp_path.iterdir()] == ['stage.json']


def test_a_stopped_stage_goes_on_from_its_checkpoint(config, tmp_path):
    def stop(config):
        assert not config.resume and config.load_from == 'start.pth'
        (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_once(config, tmp_path, stop)
    assert run_once(
        config, tmp_path, lambda config: dict(resume=config.resume, load_from=config.load_from)
    ) == dict(resume=True, load_from=None)


def test_runners_of_stages_share_no_name(config, tmp_path):
    first, second = (
        into_folder(Config(config.to_dict()), tmp_path / name, resume=False) for name in 'ab'
    )
    assert (
        first.experiment_name != second.experiment_name
        and 'name' not in first.visualizer
        and first.visualizer.type == 'V'
    )


@pytest.mark.parametrize(
    'train_cfg, checkpoint, said',
    [(dict(max_epochs=1), False, True), (dict(max_epochs=1), True, False), (None, False, False)],
)
def test_a_stage_that_has_nothing_to_go_on_from_says_so(
    config, tmp_path, caplog, train_cfg, checkpoint, said
):
    """Not a search: it goes on from its history."""
    if checkpoint:
        (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    logger = MMLogger.get_instance(f'resume-{time.time_ns()}')
    logger.addHandler(caplog.handler)
    config.train_cfg = train_cfg
    into_folder(config, tmp_path, resume=True)
    assert ('no checkpoint to resume from, starts from the beginning' in caplog.text) == said


def test_a_stage_is_the_same_whatever_way_its_types_are_written(tmp_path):
    ways = ('SGD', 'mmengine.SGD', 'torch.optim.SGD', SGD)
    for kind in ways:
        config = Config(dict(optim_wrapper=dict(optimizer=dict(type=kind))))
        assert run_once(
            config, tmp_path / 'one', lambda config, kind=kind: dict(first=kind)
        ) == dict(first='SGD')
    stage = json.loads((tmp_path / 'one/stage.json').read_text())
    assert stage['config']['optim_wrapper'] == dict(optimizer=dict(type='mmengine.SGD'))


def test_a_stage_that_was_killed_before_it_had_said_how_it_is_made_starts(config, tmp_path):
    """It was refused for good: the part of stage.json was a file of no stage."""
    (tmp_path / 'one').mkdir()
    (tmp_path / 'one/stage.json.123.pinas_mm.part').write_bytes(b'{"conf')
    assert run_once(config, tmp_path / 'one', lambda config: dict(value=1)) == dict(value=1)
    assert [path.name for path in (tmp_path / 'one').iterdir()] == ['stage.json']


FITS = {
    'no data': 'stages of before have none',
    'data=mapping': 'stages of before have none',
    'no result': 'a stage that was not finished and has nothing to keep runs again',
    'result=null': 'a stage that was not finished and has nothing to keep runs again',
    'result.seconds=0*': 'another time',
    'result.metrics=mapping': 'no metrics',
    'no result.metrics.*': 'a metric less',
    'with result.metrics.new': 'another metric',
    'result.metrics.*=-1': 'another number',
    'result.metrics.*=0*': 'another number',
    'a byte order mark': 'editors on Windows write it',
    'Windows lines': 'editors on Windows write them',
    'flip *': 'a digit',
}


class Tested(TypedDict):
    seconds: NotNegative
    metrics: dict[str, Measured]


def test_wrong_files_are_refused_in_one_line(config, tmp_path):
    folder = tmp_path / 'one'

    def run(config):
        return dict(seconds=3.5, metrics=dict(top1=81.5, missing=float('nan')))

    run_once(config, folder, run)
    path = folder / 'stage.json'
    good = path.read_bytes()
    data = json.loads(good)
    files = dict(of_values(data)) | dict(of_json(data)) | dict(of_bytes(good))

    def read(path):
        is_done(folder)
        run_once(config, folder, lambda config: {}, kind=Tested)

    tried, refused, _ = try_files(path, read, files, FITS, named=folder)
    assert tried > 150 and refused > 120


def test_a_result_that_is_not_finite_comes_back(config, tmp_path):
    def run(config):
        return dict(a=float('nan'), b=float('inf'), c=0.5)

    first = run_once(config, tmp_path / 'one', run, kind=dict[str, Measured])
    again = run_once(config, tmp_path / 'one', run, kind=dict[str, Measured])
    assert repr(again) == repr(first) == "{'a': nan, 'b': inf, 'c': 0.5}"
