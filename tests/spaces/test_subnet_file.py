import os

import pytest

from pinas_mm.errors import InputError
from pinas_mm.spaces.subnet_file import SubnetFile


def test_round_trip(tmp_path):
    subnet = SubnetFile(
        'nasbench_macro',
        (2, 2, 2, 1, 2, 2, 2, 0),
        0.25,
        {'accuracy/top1': 81.5},
        dict(macs=85_151_744),
        3,
        'search.py',
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


@pytest.mark.parametrize('line', ['widen_factor: big', 'scores: [1]', 'costs: 3'])
def test_values_of_another_kind_are_named(tmp_path, line):
    path = tmp_path / 'subnet.yaml'
    path.write_text(f'space: nasbench_macro\narch: [0, 0, 0, 0, 0, 0, 0, 0]\n{line}\n')
    with pytest.raises(InputError, match=line.split(':')[0]):
        SubnetFile.read(path)
