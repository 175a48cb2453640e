import errno
import json
import os
import stat
import warnings

import pytest
from wrong_files import of_bytes, of_json, of_values, try_files

from pinas_mm.errors import InputError
from pinas_mm.searching.history import History, Record, read_history
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
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):  # not its folder
            synced.append(status.st_size)

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
    assert History(path, SPACE, HEADER, resume=True).records == []
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
    last = 6 if cut < 100 else 5
    message = f'history.jsonl, lines 5 to {last}: a batch that was not finished, asked again'
    with pytest.warns(UserWarning, match=message) as caught:
        history = History(path, SPACE, HEADER, resume=True)
    assert len(caught) == 1
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
def test_a_damaged_middle_line_is_refused_and_what_to_do_said(path, line):
    """Left out, a resumed search would have other archs than one that was not stopped."""
    lines = path.read_bytes().split(b'\n')
    lines[2] = line
    path.write_bytes(b'\n'.join(lines))
    with pytest.raises(InputError, match='history.jsonl, line 3: ') as error:
        read_history(path, SPACE)
    assert str(error.value).endswith(
        '; to go on from the batches before, remove this line and all after it'
    )


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


def wrong_files(path):
    """By name, as an editor, a broken disk or an attacker may leave them: of two batches with an
    arch that failed, and one that scores the best again."""
    good = path.read_bytes()
    lines = list(map(json.loads, good.splitlines()))
    names = ('header', 'scored', 'failed', 'first closing', 'again', 'last closing')

    def file(*contents):
        return b'\n'.join(
            line if isinstance(line, bytes) else json.dumps(line).encode() for line in contents
        )

    for number, name in enumerate(names):
        before, after = lines[:number], lines[number + 1 :]
        for change, line in of_values(lines[number]):
            yield f'{name}: {change}', file(*before, line, *after)
        for change, line in of_json(lines[number]) if name == 'scored' else ():
            yield f'{name}: {change}', file(*before, line, *after)
        yield f'{name} left out', file(*before, *after)
        yield f'{name} twice', file(*before, lines[number], lines[number], *after)
        yield f'{name}: zero bytes', file(*before, bytes(100), *after)
        yield f'{name}: not UTF-8', file(*before, b'{"a": "\xff"}', *after)
        yield f'{name}: cut', file(*before, json.dumps(lines[number])[:-3].encode(), *after)
        yield f'{name}: a blank line before it', file(*before, b' ', *lines[number:])
    header, scored, failed, closing, again, last = lines
    other = scored | dict(arch=[1] * 8)
    yield 'other order', file(header, failed, scored, closing, again, last)
    yield 'other index', file(header, scored, failed | dict(index=2), closing, again, last)
    yield 'index twice', file(header, scored, failed | dict(index=0), closing, again, last)
    yield 'index from 1', file(header, scored | dict(index=1), failed | dict(index=2), closing)
    yield 'arch of another slot count', file(header, scored | dict(arch=[0] * 9), failed, closing)
    yield 'candidate of no slot', file(header, scored | dict(arch=[0] * 7 + [3]), failed, closing)
    yield 'arch as text', file(header, scored | dict(arch='0' * 8), failed, closing)
    yield 'arch of fractions', file(header, scored | dict(arch=[0.0] * 8), failed, closing)
    yield 'long arch', file(header, scored | dict(arch=[0] * 10**5), failed, closing)
    yield 'arch twice', file(header, scored, failed | dict(arch=[0] * 8), closing)
    yield 'score and error', file(header, scored, failed | dict(score=1.0), closing)
    yield 'neither score nor error', file(header, scored, failed | dict(error=None), closing)
    yield 'score beyond floats', good.replace(b'61.5', b'1e400')
    yield 'score below floats', good.replace(b'61.5', b'1e-400')
    yield 'large score', good.replace(b'61.5', b'1e308')
    yield 'nan as text', good.replace(b'61.5', b'"nan"')
    yield 'another arch again', file(header, scored, failed, closing, again | other, last)
    yield 'none again', file(header, scored, failed, closing, again | dict(index=2), last)
    yield 'again twice', file(header, scored, failed, closing, again, again, last | dict(spent=4))
    yield 'again before', file(header, again, scored, failed, last)
    yield 'fewer spent', file(header, scored, failed, closing | dict(spent=1), again, last)
    yield 'more spent', file(header, scored, failed, closing, again, last | dict(spent=4))
    yield 'closings alone', file(header, closing, last)
    yield 'nothing spent', file(header, closing | dict(spent=0))
    yield 'another space', file(header | dict(space='resnest50'), *lines[1:])
    yield 'another seed', file(header | dict(seed=4), *lines[1:])
    yield 'long setting', file(header | dict(seed='x' * 10**6), *lines[1:])
    yield 'two headers', file(header, *lines)
    yield 'two histories', good + good
    yield 'spaces at the ends', good.replace(b'\n', b'  \n')
    yield 'tabs', good.replace(b'\n', b'\t\n\t')
    for change, content in of_bytes(good, flips=60):
        yield change, content


FITS = {
    'header: limits.0=null': 'as it is',
    'scored: index=0': 'as it is',
    'again: index=0': 'as it is',
    '*: arch.*=0': 'another arch, or as it is',
    '*: score=-1': 'another score',
    '*: score=0*': 'another score',
    '*score': 'another score, where a float can hold it',
    'failed: score=null': 'as it is',
    '*: no metrics*': 'the score is beside them',
    '*: metrics=mapping': 'the score is beside them',
    '*: metrics.*=-1': 'another number',
    '*: metrics.*=0*': 'another number',
    '*: with metrics.new': 'another number',
    '*: no costs*': 'the loop asks for those it needs',
    '*: costs=mapping': 'the loop asks for those it needs',
    '*: costs.*=0*': 'another number',
    '*: with costs.new': 'another number',
    'scored: no stage': 'the default',
    'failed: no stage': 'the default',
    '*: no error': 'the default',
    '*: error=null': 'as it is',
    'failed: error=text': 'another reason',
    'failed: error=digits': 'another reason',
    'first closing: *searcher*': 'only the last state is read',
    'first closing left out': 'the batches are one then',
    'first closing twice': 'nothing between the two',
    '*: a blank line before it': 'nothing',
    'last closing: *searcher*': 'the searcher checks its state',
    'last closing: *': 'where it is none, its batch is asked again',
    'last closing left out': 'a batch that was not finished is asked again',
    'last closing twice': 'nothing between the two',
    'score below floats': 'zero',
    'nothing spent': 'a header alone is a history',
    'too large': 'spaces, within the 256 MiB of a history',
    'arch twice': 'a searcher of another package may ask twice',
    'cut at *': 'a batch that was not finished is asked again',
    'zero bytes after it': 'as a crash of the file system leaves the end',
    'Windows lines': 'editors on Windows write them',
    'spaces at the ends': 'nothing',
    'tabs': 'nothing',
    'flip *': 'a digit, or a part of a batch that is asked again',
}


@pytest.mark.filterwarnings('ignore:.*a batch that was not finished')
def test_wrong_files_are_refused_in_one_line(path):
    files = dict(wrong_files(path))

    def read(path):
        return History(path, SPACE, HEADER, resume=True)

    tried, refused, _ = try_files(path, read, files, FITS)
    assert tried > 400 and refused > 300
