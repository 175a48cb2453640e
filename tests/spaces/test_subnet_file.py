import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from wrong_files import of_bytes, of_values, try_files

from pinas_mm.errors import InputError
from pinas_mm.spaces import get_space
from pinas_mm.spaces.subnet_file import SubnetFile, read_arch


def test_round_trip(tmp_path):
    subnet = SubnetFile(
        'nasbench_macro',
        (2, 2, 2, 1, 2, 2, 2, 0),
        0.25,
        {'accuracy/top1': 81.5},
        dict(macs=85_151_744),
        3,
        'search.py',
        in_channels=4,
        arguments=dict(strides=[1, 2, 1, 1], style='caffe'),
    )
    subnet.write(tmp_path / 'subnet.yaml')
    assert SubnetFile.read(tmp_path / 'subnet.yaml') == subnet
    assert os.listdir(tmp_path) == ['subnet.yaml']


def test_candidates_are_named_beside_the_arch(tmp_path):
    path = tmp_path / 'subnet.yaml'
    SubnetFile('nasbench_macro', (0, 1, 2, 0, 0, 0, 0, 0)).write(path)
    data = yaml.safe_load(path.read_text())
    assert data['candidates'] == ['identity', 'mb3_k3', 'mb6_k5', *['identity'] * 5]
    assert [*data][:3] == ['space', 'arch', 'candidates']
    data['candidates'][1] = 'mb6_k5'
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(
        InputError, match=r"candidates=\['identity', 'mb6_k5'.*not those of arch=\[0"
    ):
        SubnetFile.read(path)
    del data['candidates']  # as 0.1 wrote it
    path.write_text(yaml.safe_dump(data))
    assert SubnetFile.read(path).arch == (0, 1, 2, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    'text, message',
    [
        ('space: nasbench_macro\narch: [0, 1]\n', '2 entries'),
        ('space: nasbench_macro\narch: [7, 0, 0, 0, 0, 0, 0, 0]\n', 'slot 0 holds 7'),
        ('space: resnet\narch: [0]\n', "unknown space 'resnet'"),
        ('arch: [0]\n', 'space is missing'),
        ('space: nasbench_macro\narch: [0, 0, 0, 0, 0, 0, 0, 0]\nlr: 3\n', 'lr: unknown key'),
        ('!!python/object/apply:os.system ["touch hacked"]', 'cannot be read as YAML'),
        ('{', 'cannot be read as YAML'),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    path = tmp_path / 'subnet.yaml'
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        SubnetFile.read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    'line',
    [
        'widen_factor: big',
        'widen_factor: 0',
        'widen_factor: -0.5',
        'widen_factor: .nan',
        'widen_factor: .inf',
        'widen_factor: true',
        'widen_factor: null',
        "widen_factor: '0.5'",
        'in_channels: 0',
        'in_channels: 1.5',
        'in_channels: .nan',
        'in_channels: rgb',
        'scores: [1]',
        'costs: 3',
        'arguments: [1]',
        'arguments: {1: 2}',
        'seed: first',
        'seed: 1.5',
        'config: [1]',
        'version: 2',
    ],
)
def test_values_of_another_kind_are_named(tmp_path, line):
    path = tmp_path / 'subnet.yaml'
    path.write_text(f'space: nasbench_macro\narch: [0, 0, 0, 0, 0, 0, 0, 0]\n{line}\n')
    with pytest.raises(InputError, match=line.split(':')[0]):
        SubnetFile.read(path)


GOOD = dict(
    space='nasbench_macro',
    arch=[2, 0, 1, 0, 2, 0, 1, 0],
    widen_factor=0.25,
    scores={'accuracy/top1': 81.5},
    costs=dict(macs=85_151_744),
    seed=3,
    config='search.py',
    in_channels=4,
    version='0.2.0',
)


def wrong_files():
    """By name, as a user or an attacker may write them."""
    text = yaml.safe_dump(GOOD, sort_keys=False)
    yield from of_values(GOOD, lambda data: yaml.safe_dump(data, sort_keys=False))
    yield from of_bytes(text.encode())
    bomb = 'a: &a [x, x, x, x, x, x, x, x, x]\n' + ''.join(
        f'{b}: &{b} [{", ".join([f"*{a}"] * 9)}]\n' for a, b in zip('abcdefgh', 'bcdefghi')
    )
    lines = {
        'bomb': bomb,
        'bomb in a value': f'{bomb}arch: *i\n',
        'bomb as space': bomb.replace('\ni:', '\nspace:'),
        'loop': 'arch: &a [*a]\n',
        'loop of mappings': 'scores: &a {x: *a}\n',
        'anchor': 'seed: &a 3\n',
        'merge': '<<: {seed: 3}\n',
        'merge by reference': 'scores: &a {x: 1}\ncosts: {<<: *a}\n',
        'date': 'space: 2020-01-01\n',
        'date as arch': 'arch: 2020-01-01\n',
        'date as config': 'config: 2020-01-01\n',
        'moment': 'version: 2020-01-01T00:00:00Z\n',
        'impossible date': 'config: 2020-99-99\n',
        'binary': 'config: !!binary aGVsbG8=\n',
        'set': 'scores: !!set {x}\n',
        'ordered mapping': 'scores: !!omap [x: 1]\n',
        'pairs': 'scores: !!pairs [x: 1]\n',
        'tagged text': 'config: !!str x\n',
        'tagged number': 'seed: !!int x\n',
        'tagged nothing': 'seed: !!int\n',
        'tagged truth': 'seed: !!bool x\n',
        'object': 'config: !!python/object/apply:os.getcwd []\n',
        'name': 'config: !!python/name:os.getcwd\n',
        'module': 'config: !!python/module:os\n',
        'tuple': 'arch: !!python/tuple [2, 0, 1, 0, 2, 0, 1, 0]\n',
        'own tag': 'config: !mine x\n',
        'deep list': f'scores: {"[" * 50_000}\n',
        'deep mapping': f'scores: {"{a: " * 50_000}\n',
        'deep block': f'scores: {"- " * 50_000}\n',
        'deep keys': f'scores: {"? " * 50_000}\n',
        'deep closed list': f'scores: {"[" * 500}{"]" * 500}\n',
        'key as list': '[a]: 1\n',
        'key as mapping': '{a: b}: 1\n',
        'key as number': '1: 1\n',
        'key as nothing': '~: 1\n',
        'key as nan': '.nan: 1\n',
        'key of a score as number': 'scores: {1: 1}\n',
        'long key': f'{"k" * 1000}: 1\n',
        'odd key': '"a\\nb\\e[31m": 1\n',
        'key twice': 'seed: 4\nseed: 4\n',
        'score twice': 'scores: {a: 1, a: 1}\n',
        'another document': '---\nseed: 3\n',
        'directive': '%YAML 9.9\n',
        'tab': '\tseed: 3\n',
        'octal arch': 'arch: 02010201\n',
        'arch as text': "arch: '20102010'\n",
        'arch of truths': 'arch: [yes, no, yes, no, yes, no, yes, no]\n',
        'arch of fractions': 'arch: [2.0, 0, 1, 0, 2, 0, 1, 0]\n',
        'arch as mapping': 'arch: {0: 2, 1: 0}\n',
        'long arch': f'arch: [{"0, " * 9000}]\n',
        'longer arch': f'arch: [{"0, " * 50_000}]\n',
        'deep arch': 'arch: [[2, 0, 1, 0, 2, 0, 1, 0]]\n',
        'long space': f'space: {"s" * 100_000}\n',
        'space of base 60': 'space: 1:30\n',
        'space by path': 'space: ../../x\n',
        'space of code': 'space: os.system\n',
        'another space': 'space: resnest50\n',
        'width below a float': 'widen_factor: 1.0e-400\n',
        'width above a float': 'widen_factor: 1.0e+400\n',
        'wide': 'widen_factor: 1.0e+300\n',
        'wider': 'widen_factor: 101\n',
        'narrow': 'widen_factor: 1.0e-300\n',
        'narrower than a channel': 'widen_factor: 1.0e-5\n',
        'many channels': 'in_channels: 10000000000\n',
        'long number': f'seed: {"9" * 100_000}\n',
        'long hexadecimal number': f'seed: 0x{"f" * 100_000}\n',
        'long number of base 60': f'seed: 1{":59" * 50_000}\n',
        'negative costs': 'costs: {macs: -1}\n',
        'many scores': 'scores:\n' + ''.join(f'  s{i}: x\n' for i in range(9000)),
        'too many scores': 'scores:\n' + ''.join(f'  s{i}: 1\n' for i in range(20_000)),
    }
    for name, line in lines.items():
        key = line.partition(':')[0]
        rest = {other: value for other, value in GOOD.items() if other != key}
        yield name, (line + yaml.safe_dump(rest, sort_keys=False)).encode()
    yield 'nothing but a reference', b'*a'
    yield 'text alone', b'nasbench_macro'


FITS = {
    'no widen_factor': 'the default',
    'no scores*': 'not every file has some',
    'no costs*': 'not every file has some',
    'no seed': 'not every file has one',
    'no config': 'not every file has one',
    'no in_channels': 'the default',
    'no version': 'files by hand have none',
    'seed=null': 'not every file has one',
    'config=null': 'not every file has one',
    '*s=mapping': 'not every file has some',
    'arch.*=0': 'another arch',
    'widen_factor=0.5': 'another width',
    'scores.accuracy/top1=-1': 'scores may be below zero',
    'scores.accuracy/top1=0*': 'another score',
    'costs.macs=0*': 'another cost',
    'seed=0': 'another seed',
    'with scores.new': 'another score',
    'with costs.new': 'another cost',
    'config=text': 'another name',
    'config=digits': 'another name',
    'version=text': 'another name',
    'version=digits': 'another name',
    'date as config': 'text, as in JSON',
    'impossible date': 'text, as in JSON',
    'moment': 'text, as in JSON',
    'anchor': 'a name that nothing refers to',
    'narrow*': 'the backbone says what width it can have',
    'cut at 6/8': 'what is left is a subnet file, as one by hand may be',
    'a byte order mark': 'editors on Windows write it',
    'Windows lines': 'editors on Windows write them',
    'flip *': 'a letter of a name, or a digit',
}


def test_wrong_files_are_refused_in_one_line(tmp_path):
    files = dict(wrong_files())
    tried, refused, _ = try_files(tmp_path / 'subnet.yaml', SubnetFile.read, files, FITS)
    assert tried > 200 and refused > 150
    path = tmp_path / 'subnet.yaml'
    for name in ('bomb', 'arch.0=nan', 'deep list'):
        path.write_bytes(files[name])
        with pytest.raises(InputError) as error:
            read_arch(path, MACRO, '--arch')
        assert str(path) in str(error.value)


MACRO, CELLS = get_space('nasbench_macro'), get_space('nasbench201')
ARCH = (2, 0, 1, 0, 2, 0, 1, 0)


@pytest.mark.parametrize(
    'given',
    [
        ARCH,
        [*ARCH],
        np.array(ARCH),
        '20102010',
        '2, 0,1,0,2,0,1,0',
        '[2, 0, 1, 0, 2, 0, 1, 0]',
        ' (2,0,1,0,2,0,1,0) ',
        '[20102010]',
    ],
)
def test_an_arch_is_read_from_a_list_or_text(given):
    assert read_arch(given, MACRO) == (ARCH, None)


def test_what_cfg_options_make_a_number_is_an_arch():
    """They read 20102010 as a number, and 01020102 as 1020102."""
    assert read_arch(20102010, MACRO) == (ARCH, None)
    assert read_arch(1020102, MACRO) == ((0, 1, 0, 2, 0, 1, 0, 2), None)
    assert read_arch(0, MACRO) == ((0,) * 8, None)


def test_a_cell_string_is_an_arch():
    text = '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|'
    assert read_arch(text, CELLS) == (CELLS.decode(text), None)


@pytest.mark.parametrize('kind', [str, Path])
@pytest.mark.parametrize('name', ['subnet.yaml', 'subnet.YML', './found'])
def test_an_arch_is_read_from_a_subnet_file_with_all_that_it_says(
    tmp_path, monkeypatch, kind, name
):
    monkeypatch.chdir(tmp_path)
    subnet = SubnetFile('nasbench_macro', ARCH, widen_factor=0.25)
    subnet.write(name)
    assert read_arch(kind(name), MACRO) == (ARCH, subnet)
    assert read_arch(kind(tmp_path / name), MACRO) == (ARCH, subnet)


@pytest.mark.parametrize(
    'given, message',
    [
        ('[2, 0, x]', "--arch: '2, 0, x' is not an arch of space 'nasbench_macro', written like"),
        ('[2, 0, 1]', '--arch: [2, 0, 1] has 3 entries'),
        ('found', "--arch: 'found' is not an arch of space 'nasbench_macro', written like"),
        ('2010201', 'entries, but space'),
        ([2, 0, 1], '--arch: [2, 0, 1] has 3 entries'),
        (220102010, '--arch=220102010: a number that is no arch of space'),
        (-2010201, '--arch=-2010201: a number that is no arch of space'),
        (2e7, 'expected its 8 entries with commas, such as 0,0,0,0,0,0,0,0'),
        (20102013, '--arch: slot 7 holds 3'),
        (None, '--arch: None is not a list of 8 candidate indices'),
        ('none.yaml', 'none.yaml: no such file'),
        (Path('none'), 'none: no such file'),
        (
            'cells.yaml',
            "--arch: cells.yaml is a subnet of space 'nasbench201', expected one of "
            "'nasbench_macro'",
        ),
        ('broken.yaml', 'broken.yaml: arch=3: expected a list'),
    ],
)
def test_what_is_no_arch_is_named(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    SubnetFile('nasbench201', (0,) * 6).write('cells.yaml')
    Path('broken.yaml').write_text('arch: 3')
    with pytest.raises(InputError) as error:
        read_arch(given, MACRO, '--arch')
    assert message in str(error.value)
