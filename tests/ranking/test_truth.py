import json

import numpy as np
import pytest
from wrong_files import of_bytes, of_json, of_values, try_files

from pinas_mm.errors import InputError
from pinas_mm.ranking.truth import TruthTable
from pinas_mm.spaces import get_space

SPACE = get_space('nasbench_macro')
RESNEST = get_space('resnest50')


@pytest.fixture
def table():
    """Two trainings of about 300 archs."""
    rng = np.random.default_rng(0)
    archs = list(dict.fromkeys(SPACE.sample(rng) for _ in range(300)))
    return TruthTable(SPACE, {arch: sorted(rng.uniform(50, 90, 2)) for arch in archs})


@pytest.fixture
def read(tmp_path):
    """Reads a table from text."""

    def read(text, space=SPACE, name='table.csv'):
        (tmp_path / name).write_text(text)
        return TruthTable.read(tmp_path / name, space)

    return read


A, B = (0, 2, 0, 1, 2, 1, 0, 0), (1,) * 8


@pytest.mark.parametrize(
    'text',
    [
        '{"02012100": {"test_acc": [89.5, 88.9], "mean_acc": 89.2, "params": 890666}, "11111111": '
        '{"test_acc": [91, 92], "mean_acc": 91.5}}',
        '{"02012100": [89.5, 88.9], "11111111": [91, 92]}',
        '{"0,2,0,1,2,1,0,0": [89.5, 88.9], "1,1,1,1,1,1,1,1": [91, 92]}',
        'arch,first,second\n02012100,89.5,88.9\n11111111,91,92\n',
        '02012100,89.5,88.9\n\n11111111, 91,92',
        '\ufefffirst,arch,second\n89.5,02012100,88.9\n91,"1,1,1,1,1,1,1,1",92\n',
    ],
)
def test_every_form_of_a_table(read, text):
    found = read(text)
    assert found.trainings == {A: (89.5, 88.9), B: (91, 92)}
    assert (len(found), found.repeats, found.mean(B)) == (2, 2, 91.5)


def test_one_accuracy_each_and_missing_ones(read):
    assert read('{"02012100": 89.5}').trainings == {A: (89.5,)}
    found = read('arch,first,second\n02012100,89.5,\n11111111,91,92\n')
    assert found.trainings == {A: (89.5,), B: (91, 92)} and found.repeats == 1


def test_the_same_network_in_another_form_is_found(read):
    """Identities of a stage may stand anywhere among its equal positions."""
    found = read('{"02012100": 80, "02110100": 70}')
    assert found[(0, 2, 0, 1, 2, 1, 0, 0)] == (80,) and (0, 2, 1, 1, 0, 1, 0, 0) in found
    assert found[(0, 2, 1, 1, 0, 1, 0, 0)] == found[(0, 2, 1, 0, 1, 1, 0, 0)] == (70,)
    with pytest.raises(InputError, match='arch 22222222 is not among its 2 archs'):
        found.mean((2,) * 8)


def test_what_is_written_is_read(table, tmp_path):
    table.write(tmp_path / 'truth.json')
    found = TruthTable.read(tmp_path / 'truth.json', SPACE)
    assert found.trainings == table.trainings
    plain = json.loads((tmp_path / 'truth.json').read_text())
    assert all(
        plain[SPACE.encode(arch)] == list(accuracies)
        for arch, accuracies in table.trainings.items()
    )


def test_networks_are_distinct(table):
    networks = table.networks()
    assert networks == sorted({SPACE.canonical(arch) for arch in table.trainings}) and len(
        networks
    ) < len(table)


def test_samples_are_seeded_distinct_networks(table):
    for sampling in ('uniform', 'stratified'):
        first, again, other = (table.sample(20, seed, sampling) for seed in (0, 0, 1))
        assert first == again != other and len(set(first)) == 20
        assert all(SPACE.canonical(arch) == arch and arch in table for arch in first)
    everything = table.networks()
    assert (
        table.sample(len(everything))
        == table.sample(len(everything), 3, 'stratified')
        == everything
    )


def test_a_stratified_sample_has_one_arch_of_every_quantile(table):
    truth = np.sort([table.mean(arch) for arch in table.networks()])
    bins = np.array_split(truth, 10)
    for seed in range(5):
        found = np.sort([table.mean(arch) for arch in table.sample(10, seed, 'stratified')])
        assert all(low[0] <= value <= low[-1] for low, value in zip(bins, found))


@pytest.mark.parametrize(
    'arguments, message',
    [
        ((9,), '9 archs asked of truth: expected at least 10'),
        ((301,), r'at most the 2\d\d distinct networks'),
        ((20, 0, 'even'), "sampling='even', expected one of"),
    ],
)
def test_a_wrong_sample(table, arguments, message):
    with pytest.raises(InputError, match=message):
        table.sample(*arguments)


@pytest.mark.parametrize(
    'text, message',
    [
        ('{"02012100": NaN}', '02012100=nan: expected a finite number'),
        ('{"02012100": [89.5, 890666]}', '02012100=890666: expected a number from 0 to 100'),
        ('{"02012100": -1}', '02012100=-1: expected a number from 0 to 100'),
        ('{"02012100": []}', 'no accuracy of arch 02012100'),
        ('{"02012100": {"accuracy": 3}}', '02012100=None: expected a number from 0 to 100'),
        ('{"02012100": true}', '=True: expected a number from 0'),
        ('{"02012100": [[1]]}', r'=\[1\]: expected a number from 0'),
        ('{"02012100": 80, "0,2,0,1,2,1,0,0": 81}', "arch '0,2,0,1,2,1,0,0' is there twice"),
        ('{"02012100": 80, "02012100": 81}', "key '02012100' is there twice"),
        (
            '{"02012100": 80, "0201210": 81}',
            'has 7 entries, but space .nasbench_macro. has 8 slots',
        ),
        ('{"0123012301230123": 80}', 'has 16 entries, but space .nasbench_macro. has 8 slots'),
        ('{"|none~0|": 80}', 'is not an arch of space .nasbench_macro., written like .00000000.'),
        ('{"02012100": 80', 'cannot be read as JSON'),
        ('["02012100"]', 'not of the form {arch: accuracy}'),
        ('{}', 'a table without archs'),
        ('', 'neither JSON nor a CSV'),
        ('hello', 'neither JSON nor a CSV with a column of archs of space .nasbench_macro.'),
        ('arch,acc\n0123012301230123,80\n', "neither JSON nor a CSV .* it begins with 'arch,acc"),
        ('arch,acc\n02012100,nan\n', "'nan' is not an accuracy in %"),
        ('arch,acc\n02012100,high\n', "'high' is not an accuracy"),
        ('arch,acc\n02012100,\n', 'no accuracy of arch'),
        ('arch,acc\n02012100,80\n2012100,80\n', 'has 7 entries'),
        ('2012100,80\n02012100,80\n', 'has 7 entries'),
        ('acc,arch\n80,02012100\n81\n', r"without its column of archs: \['81'\]"),
        ('a,"b\n', 'neither JSON nor CSV: unexpected end'),
        ('\x00\x01', 'no text: byte 0 is 0'),
    ],
)
def test_a_wrong_table(read, text, message):
    with pytest.raises(InputError, match=f'table.csv: .*{message}'):
        read(text)


GOOD = {'02012100': [89.5, 88.9], '11111111': [91, 92], '22222222': 90.5}
GOOD_CSV = b'arch,first,second\n02012100,89.5,88.9\n11111111,91,92\n22222222,90.5,\n'


def wrong_files():
    """By name, as a user or an attacker may write them."""
    macro = {name: dict(test_acc=[80, 81], params=3) for name in list(GOOD)[:2]}
    for kind, good in dict(JSON=GOOD, macro=macro).items():
        for name, content in of_values(good):
            yield f'{kind}: {name}', content
        for name, content in of_json(good):
            yield f'{kind}: {name}', content
    for kind, content in {'JSON': json.dumps(GOOD).encode(), 'CSV': GOOD_CSV}.items():
        for name, changed in of_bytes(content):
            yield f'{kind}: {name}', changed
    cells = 'nan inf -inf -1 101 1e999 1_0 0x10 high True None [80] =80 80%'.split()
    for cell in [*cells, '"80,81"', '\u0668\u0660', '9' * 5000, '8' * 200_000]:
        yield f'CSV: {cell[:9]}', GOOD_CSV.replace(b'88.9', cell.encode())
    for arch in '0201210 020121000 92012100 abc -2012100 1e7 0,2 x;y'.split():
        yield f'CSV: arch {arch}', GOOD_CSV.replace(b'02012100', f'"{arch}"'.encode())
    yield 'CSV: long arch', GOOD_CSV.replace(b'02012100', b'0' * 5000)
    yield 'CSV: arch of long numbers', GOOD_CSV.replace(b'02012100', b'"' + b'1' * 5000 + b',0"')
    yield 'CSV: arch twice', GOOD_CSV + b'02012100,80\n'
    yield 'CSV: arch twice, written otherwise', GOOD_CSV + b'"0,2,0,1,2,1,0,0",80\n'
    yield 'CSV: no accuracy', GOOD_CSV + b'00000000,,\n'
    yield 'CSV: no arch', GOOD_CSV + b',80,\n'
    yield 'CSV: quote', GOOD_CSV + b'"0'
    yield 'CSV: other separator', GOOD_CSV.replace(b',', b';')
    yield 'CSV: header alone', GOOD_CSV.splitlines()[0]
    yield 'CSV: no header', GOOD_CSV.partition(b'\n')[2]
    yield 'CSV: other columns', GOOD_CSV.replace(b'88.9', b'88.9,890666')
    yield 'JSON: arch as number', b'{2012100: 80}'
    yield 'JSON: arch twice, written otherwise', b'{"02012100": 1, "0,2,0,1,2,1,0,0": 1}'
    yield 'JSON: arch of long numbers', json.dumps({'1' * 5000 + ',0': 1}).encode()
    yield 'JSON: arch of another space', b'{"0123012301230123": 80}'
    yield 'JSON: cell', b'{"|none~0|+|none~0|none~1|+|none~0|none~1|none~2|": 80}'


FITS = {
    'JSON: no *': 'a smaller table',
    'macro: no 02012100': 'a smaller table',
    'macro: no 11111111': 'a smaller table',
    'macro: no *.test_acc.*': 'a training less',
    'macro: *.params*': 'not read',
    'macro: *.test_acc*=0*': 'another accuracy',
    'macro: with *.new': 'not read',
    '*: ????????=0*': 'another accuracy',
    'JSON: *.?=0*': 'another accuracy',
    '*: a byte order mark': 'spreadsheets on Windows write it',
    '*: Windows lines': 'editors on Windows write them',
    'CSV: cut at ?/8': 'what is left is a table',
    'CSV: no start': 'another name in the header',
    'CSV: no header': 'it needs none',
    '*: flip *': 'a digit',
}


def test_wrong_tables_are_refused_in_one_line(tmp_path):
    files = dict(wrong_files())
    tried, refused, _ = try_files(
        tmp_path / 'truth', lambda path: TruthTable.read(path, SPACE), files, FITS
    )
    assert tried > 300 and refused > 250


def test_no_file(tmp_path):
    with pytest.raises(InputError, match='none.json: no such file'):
        TruthTable.read(tmp_path / 'none.json', SPACE)
    (tmp_path / 'image.png').write_bytes(b'\x89PNG\xff')
    with pytest.raises(InputError, match='image.png: no text in UTF-8'):
        TruthTable.read(tmp_path / 'image.png', SPACE)


def test_another_space(read):
    assert read('{"0123012301230123": 80}', RESNEST).trainings == {(0, 1, 2, 3) * 4: (80,)}
    with pytest.raises(InputError, match='has 8 entries, but space .resnest50. has 16 slots'):
        read('{"02012100": 80}', RESNEST)
