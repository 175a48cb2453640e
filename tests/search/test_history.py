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
    Record(0, (0, ) * 8, 61.5, {'accuracy/top1': 61.5, 'loss': 1.25}, dict(macs=10**12, params=3)),
    Record(1, (2, 1, 0, 0, 0, 0, 0, 0), 1 / 3),
    Record(0, (0, ) * 8, 60.25, {'accuracy/top1': 60.25}, dict(macs=10**12, params=3), 'final'),
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'work/history.jsonl'
    history = History(path, SPACE, HEADER)
    for record in RECORDS:
        history.append(record)
    return path


def test_records_round_trip(path):
    header, records = read_history(path, SPACE)
    assert records == RECORDS and header == HEADER | dict(space='nasbench_macro', limits=[None, 4e6])
    lines = path.read_text().splitlines()
    assert len(lines) == 4 and json.loads(lines[1])['metrics'] == RECORDS[0].metrics
    assert os.listdir(path.parent) == ['history.jsonl']


def test_resuming_goes_on_from_the_records(path):
    before = path.read_bytes()
    history = History(path, SPACE, HEADER, resume=True)
    assert history.records == RECORDS and path.read_bytes() == before
    assert history.stage('search') == {record.arch: record for record in RECORDS[:2]}
    assert history.stage('final') == {RECORDS[2].arch: RECORDS[2]}
    new = Record(2, (1, ) * 8, 50.0)
    history.append(new)
    assert history.records == read_history(path, SPACE)[1] == [*RECORDS, new]
    assert path.read_bytes().startswith(before)


def test_an_existing_file_is_not_overwritten_unasked(path):
    before = path.read_bytes()
    with pytest.raises(InputError, match='exists: resume that search') as error:
        History(path, SPACE, HEADER)
    assert str(path) in str(error.value) and path.read_bytes() == before


def test_resuming_another_search_names_what_changed(path):
    before = path.read_bytes()
    with pytest.raises(InputError) as error:
        History(path, SPACE, dict(seed=4, searcher=dict(type='random'), fp16=True), resume=True)
    assert str(error.value) == (f'{path}: begun by another search: fp16 was None and is True; limits was [None, 4000000.0] and is None'
                                '; seed was 3 and is 4')
    assert path.read_bytes() == before


def test_another_space_is_named(path):
    with pytest.raises(InputError, match="a history of space 'nasbench_macro', expected 'resnest50'"):
        History(path, get_space('resnest50'), HEADER, resume=True)


@pytest.mark.parametrize('cut', [1, 10, 40])
def test_a_torn_last_line_is_dropped_and_the_rest_kept(path, cut):
    whole = path.read_bytes()
    path.write_bytes(whole[:-1 - cut])
    with pytest.warns(UserWarning, match=r'history.jsonl, line 4: not a record, left out') as caught:
        history = History(path, SPACE, HEADER, resume=True)
    assert len(caught) == 1 and history.records == RECORDS[:2]
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        history.append(RECORDS[2])
        assert History(path, SPACE, HEADER, resume=True).records == RECORDS
    assert path.read_bytes() == whole


def test_a_missing_last_newline_loses_nothing(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    History(path, SPACE, HEADER, resume=True).append(Record(2, (1, ) * 8, 50.0))
    assert read_history(path, SPACE)[1] == [*RECORDS, Record(2, (1, ) * 8, 50.0)] and path.read_bytes().startswith(whole)


@pytest.mark.parametrize('line', [
    b'\x00\x00\x00',
    b'\xff',
    b'[1, 2]',
    b'7',
    b'{"index": 0}',
    b'{"index": 0, "arch": [0, 0, 0, 0, 0, 0, 0, 9], "score": 1.0}',
    b'{"index": 0, "arch": [0, 0, 0, 0, 0, 0, 0, 0], "score": 1.0, "colour": "red"}',
])
def test_a_damaged_middle_line_is_named_and_left_out(path, line):
    lines = path.read_bytes().split(b'\n')
    lines[2] = line
    path.write_bytes(b'\n'.join(lines))
    with pytest.warns(UserWarning, match='line 3: not a record') as caught:
        _, records = read_history(path, SPACE)
    assert len(caught) == 1 and records == [RECORDS[0], RECORDS[2]]


@pytest.mark.parametrize('content', [b'', b'{"space": ', b'[]\n', b'{"seed": 3}\n', b'\xff\xfe\n'])
def test_what_is_no_history_is_named(tmp_path, content):
    (tmp_path / 'other.jsonl').write_bytes(content)
    with pytest.raises(InputError, match='other.jsonl: not a search history'):
        read_history(tmp_path / 'other.jsonl', SPACE)


def test_a_full_disk_leaves_the_file_as_it_was(path, monkeypatch):
    def no_space(descriptor):
        raise OSError(errno.ENOSPC, 'No space left on device')

    history = History(path, SPACE, HEADER, resume=True)
    before = path.read_bytes()
    new = Record(2, (1, ) * 8, 50.0)
    with monkeypatch.context() as patched:
        patched.setattr(os, 'fsync', no_space)
        with pytest.raises(OSError, match='No space left'):
            history.append(new)
        assert path.read_bytes() == before and history.records == RECORDS
    history.append(new)
    assert read_history(path, SPACE)[1] == history.records == [*RECORDS, new]


def test_every_record_is_synced(path, monkeypatch):
    synced = []

    def fsync(descriptor):
        synced.append(os.fstat(descriptor).st_size)

    history = History(path, SPACE, HEADER, resume=True)
    monkeypatch.setattr(os, 'fsync', fsync)
    history.append(RECORDS[1])
    assert synced == [path.stat().st_size]
