import errno
import json
import os
import warnings

import pytest

from pinas_mm.errors import InputError
from pinas_mm.search.history import History, Record, read_history
from pinas_mm.spaces import get_space

SPACE = get_space('nasbench_macro')
HEADER = dict(seed=3, searcher=dict(type='random'), limits=(None, 4e6))
RECORDS = [
    Record(0, (0,) * 8, 61.5, {'accuracy/top1': 61.5, 'loss': 1.25}, dict(macs=10**12, params=3)),
    Record(1, (2, 1, 0, 0, 0, 0, 0, 0), None, error='OutOfMemoryError: no memory'),
    Record(0, (0,) * 8, 60.25, {'accuracy/top1': 60.25}, dict(macs=10**12, params=3), 'final'),
]
STATE, LATER = dict(rng=dict(state=2**127)), dict(rng=dict(state=5), fitted=80)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'work/history.jsonl'
    history = History(path, SPACE, HEADER)
    history.append(RECORDS[:2], STATE)
    history.append(RECORDS[2:], LATER)
    return path


def test_records_round_trip(path):
    header, records, state = read_history(path, SPACE)
    assert (
        records == RECORDS
        and state == LATER
        and header == HEADER | dict(space='nasbench_macro', limits=[None, 4e6])
    )
    lines = list(map(json.loads, path.read_text().splitlines()))
    assert len(lines) == 6 and lines[1]['metrics'] == RECORDS[0].metrics
    assert lines[3] == dict(spent=2, searcher=STATE) and lines[5] == dict(spent=3, searcher=LATER)
    assert os.listdir(path.parent) == ['history.jsonl']


def test_nothing_is_written_before_the_first_batch(tmp_path, monkeypatch):
    """So a search that fails before its first arch does not block the folder."""
    path = tmp_path / 'work/history.jsonl'
    assert History(path, SPACE, HEADER).records == [] and not list(tmp_path.iterdir())
    history = History(path, SPACE, HEADER | dict(seed=4))
    with monkeypatch.context() as patched:
        patched.setattr(os, 'fsync', no_space)
        with pytest.raises(OSError, match='No space left'):
            history.append(RECORDS, STATE)
    assert history.records == [] and not list(path.parent.iterdir())
    history.append(RECORDS, STATE)
    assert read_history(path, SPACE) == (history.header, RECORDS, STATE)
    assert os.listdir(path.parent) == ['history.jsonl']


def test_the_header_and_the_first_batch_are_one_write(tmp_path, monkeypatch):
    synced = []

    def fsync(descriptor):
        synced.append(os.fstat(descriptor).st_size)

    path = tmp_path / 'history.jsonl'
    monkeypatch.setattr(os, 'fsync', fsync)
    History(path, SPACE, HEADER).append(RECORDS, STATE)
    assert synced == [path.stat().st_size]


def test_a_file_of_a_header_alone_goes_on(path):
    """As versions before left it."""
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    history = History(path, SPACE, HEADER, resume=True)
    history.append(RECORDS, STATE)
    assert read_history(path, SPACE) == (history.header, RECORDS, STATE)


def no_space(descriptor):
    raise OSError(errno.ENOSPC, 'No space left on device')


def test_in_memory_it_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    history = History(None, SPACE, HEADER)
    history.append(RECORDS, STATE)
    assert (
        history.records == RECORDS and history.searcher_state == STATE and not os.listdir(tmp_path)
    )


def test_an_empty_batch_is_nothing(path):
    before = path.read_bytes()
    History(path, SPACE, HEADER, resume=True).append([], STATE)
    assert path.read_bytes() == before


def test_resuming_goes_on_from_the_records(path):
    before = path.read_bytes()
    history = History(path, SPACE, HEADER, resume=True)
    assert history.records == RECORDS and path.read_bytes() == before
    assert history.searcher_state == LATER
    assert history.stage('search') == RECORDS[:2] and history.stage('final') == RECORDS[2:]
    new = Record(2, (1,) * 8, 50.0)
    history.append([new], STATE)
    assert read_history(path, SPACE)[1:] == ([*RECORDS, new], STATE) and history.records == [
        *RECORDS,
        new,
    ]
    assert path.read_bytes().startswith(before)


def test_an_existing_file_is_not_overwritten_unasked(path):
    before = path.read_bytes()
    with pytest.raises(InputError, match='exists: resume that search') as error:
        History(path, SPACE, HEADER)
    assert str(path) in str(error.value) and path.read_bytes() == before


def test_resuming_another_search_names_what_changed(path):
    before = path.read_bytes()
    with pytest.raises(InputError) as error:
        History(
            path,
            SPACE,
            dict(seed=4, searcher=dict(type='random'), autocast='bfloat16'),
            resume=True,
        )
    assert str(error.value) == (
        f'{path}: begun by another search: seed was 3 and is 4; limits was [None, 4000000.0] and '
        "is not set; autocast was not set and is 'bfloat16'"
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize('resume', [False, True])
def test_archs_that_all_failed_bind_nothing(path, resume):
    """What made them fail may be the setting that was corrected."""
    path.unlink()
    failed = [Record(index, RECORDS[1].arch, None, error='no image') for index in range(3)]
    History(path, SPACE, HEADER).append(failed, STATE)
    history = History(path, SPACE, HEADER | dict(seed=4), resume)
    assert history.records == [] and read_history(path, SPACE)[1] == failed
    assert History(path, SPACE, HEADER, resume=True).records == failed
    history.append(RECORDS, LATER)
    assert read_history(path, SPACE) == (history.header, RECORDS, LATER)


def test_what_is_no_history_is_not_overwritten(path):
    path.write_text('my notes')
    for resume, message in ((False, 'exists: resume that search'), (True, 'not a search history')):
        with pytest.raises(InputError, match=message):
            History(path, SPACE, HEADER, resume)
    assert path.read_text() == 'my notes'


def test_another_space_is_named(path):
    with pytest.raises(
        InputError, match="a history of space 'nasbench_macro', expected 'resnest50'"
    ):
        History(path, get_space('resnest50'), HEADER, resume=True)


@pytest.mark.parametrize('cut', [2, 20, 150])
def test_a_torn_batch_is_dropped_and_the_rest_kept(path, cut):
    """Cut in its closing line, and in its record."""
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    torn = 6 if cut < 100 else 5
    with pytest.warns(UserWarning) as caught:
        history = History(path, SPACE, HEADER, resume=True)
    messages = [str(warning.message) for warning in caught]
    assert f'history.jsonl, line {torn}: not a record, left out' in messages[0]
    assert len(messages) == (2 if torn == 6 else 1) and (
        torn == 5 or 'lines 5 to 5: a batch that was not finished' in messages[1]
    )
    assert history.records == RECORDS[:2] and history.searcher_state == STATE
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        history.append(RECORDS[2:], LATER)
        assert History(path, SPACE, HEADER, resume=True).records == RECORDS
    assert path.read_bytes() == whole


def test_a_missing_last_newline_loses_nothing(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    History(path, SPACE, HEADER, resume=True).append([Record(2, (1,) * 8, 50.0)], STATE)
    assert read_history(path, SPACE)[1] == [
        *RECORDS,
        Record(2, (1,) * 8, 50.0),
    ] and path.read_bytes().startswith(whole)


def test_a_lost_closing_line_loses_no_record(path):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b''.join(lines[:3] + lines[4:]))
    assert read_history(path, SPACE)[1:] == (RECORDS, LATER)


@pytest.mark.parametrize(
    'line',
    [
        b'\x00\x00\x00',
        b'\xff',
        b'[1, 2]',
        b'7',
        b'{"index": 0}',
        b'{"index": 0, "arch": [0, 0, 0, 0, 0, 0, 0, 9], "score": 1.0}',
        b'{"index": 0, "arch": [0, 0, 0, 0, 0, 0, 0, 0], "score": 1.0, "colour": "red"}',
    ],
)
def test_a_damaged_middle_line_is_named_and_left_out(path, line):
    lines = path.read_bytes().split(b'\n')
    lines[2] = line
    path.write_bytes(b'\n'.join(lines))
    with pytest.warns(UserWarning, match='line 3: not a record') as caught:
        _, records, _ = read_history(path, SPACE)
    assert len(caught) == 1 and records == [RECORDS[0], RECORDS[2]]


@pytest.mark.parametrize('content', [b'', b'{"space": ', b'[]\n', b'{"seed": 3}\n', b'\xff\xfe\n'])
def test_what_is_no_history_is_named(tmp_path, content):
    (tmp_path / 'other.jsonl').write_bytes(content)
    with pytest.raises(InputError, match='other.jsonl: not a search history'):
        read_history(tmp_path / 'other.jsonl', SPACE)


def test_a_full_disk_leaves_the_file_as_it_was(path, monkeypatch):
    history = History(path, SPACE, HEADER, resume=True)
    before = path.read_bytes()
    new = Record(2, (1,) * 8, 50.0)
    with monkeypatch.context() as patched:
        patched.setattr(os, 'fsync', no_space)
        with pytest.raises(OSError, match='No space left'):
            history.append([new], STATE)
        assert path.read_bytes() == before and history.records == RECORDS
    history.append([new], STATE)
    assert read_history(path, SPACE)[1] == history.records == [*RECORDS, new]


def test_every_batch_is_synced_at_once(path, monkeypatch):
    synced = []

    def fsync(descriptor):
        synced.append(os.fstat(descriptor).st_size)

    history = History(path, SPACE, HEADER, resume=True)
    monkeypatch.setattr(os, 'fsync', fsync)
    history.append(RECORDS, STATE)
    assert synced == [path.stat().st_size]
