import os
from pathlib import Path

import numpy as np
import pytest

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
    )
    subnet.write(tmp_path / 'subnet.yaml')
    assert SubnetFile.read(tmp_path / 'subnet.yaml') == subnet
    assert os.listdir(tmp_path) == ['subnet.yaml']


@pytest.mark.parametrize(
    'text, message',
    [
        ('space: nasbench_macro\narch: [0, 1]\n', '2 entries'),
        ('space: nasbench_macro\narch: [7, 0, 0, 0, 0, 0, 0, 0]\n', 'slot 0 holds 7'),
        ('space: resnet\narch: [0]\n', "unknown space 'resnet'"),
        ('arch: [0]\n', "'space' and 'arch'"),
        (
            'space: nasbench_macro\narch: [0, 0, 0, 0, 0, 0, 0, 0]\nlr: 3\n',
            "unknown keys \\['lr'\\]",
        ),
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
        (None, '--arch: None is not a list of 8 candidate indices'),
        ('none.yaml', 'none.yaml: no such file'),
        (Path('none'), 'none: no such file'),
        (
            'cells.yaml',
            "--arch: cells.yaml is a subnet of space 'nasbench201', expected one of "
            "'nasbench_macro'",
        ),
        ('broken.yaml', 'broken.yaml: not a subnet file'),
    ],
)
def test_what_is_no_arch_is_named(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    SubnetFile('nasbench201', (0,) * 6).write('cells.yaml')
    Path('broken.yaml').write_text('arch: 3')
    with pytest.raises(InputError) as error:
        read_arch(given, MACRO, '--arch')
    assert message in str(error.value)
