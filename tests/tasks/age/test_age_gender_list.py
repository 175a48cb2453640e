import pytest
from age_pictures import write_list
from mmengine.registry import DATASETS, init_default_scope
from wrong_files import of_bytes, try_files

import pinas_mm  # noqa: F401
from pinas_mm.errors import InputError
from pinas_mm.tasks.age import AgeGenderList


def faces(root, text, name='list.csv', tasks=('age', 'gender'), **kwargs):
    (root / name).write_text(text)
    dataset = AgeGenderList(tasks, name, data_root=str(root), serialize_data=False, **kwargs)
    return [
        (dataset.get_data_info(i)['img_path'], dataset.get_data_info(i)['gt_label'])
        for i in range(len(dataset))
    ]


def test_a_table_and_its_pictures(tmp_path):
    init_default_scope('mmpretrain')
    rows = write_list(tmp_path, 12)
    config = dict(
        type='pinas_mm.AgeGenderList',
        ann_file='train.csv',
        data_root=str(tmp_path),
        serialize_data=False,
    )
    load = dict(type='LoadImageFromFile')
    for tasks, expected in dict(
        age=[row['age'] for row in rows], gender=['MF'.index(row['gender']) for row in rows]
    ).items():
        dataset = DATASETS.build(
            config | dict(tasks=tasks, pipeline=[load, dict(type='PackInputs')])
        )
        samples = [dataset[i] for i in range(len(dataset))]
        assert [sample['data_samples'].gt_label.item() for sample in samples] == expected
        assert [sample['data_samples'].img_path for sample in samples] == [
            f'{tmp_path}/{row["image"]}' for row in rows
        ]
        assert all(sample['inputs'].shape == (3, 32, 32) for sample in samples)
        assert dataset.metainfo == (
            dict(tasks=('age',)) if tasks == 'age' else dict(classes=('male', 'female'))
        )
    pack = dict(type='PackMultiTaskInputs', multi_task_fields=['gt_label'])
    dataset = DATASETS.build(config | dict(tasks=['age', 'gender'], pipeline=[load, pack]))
    for row, data in zip(rows, (dataset[i] for i in range(len(dataset)))):
        sample = data['data_samples']
        assert (sample.age.gt_label.item(), sample.gender.gt_label.item()) == (
            row['age'],
            'MF'.index(row['gender']),
        )
    assert dataset.metainfo == dict(tasks=('age', 'gender'))


def test_a_held_out_part_fixed_by_a_seed(tmp_path):
    rows = write_list(tmp_path, 20)
    parts = []
    for part in ('learning', 'held_out'):
        dataset = DATASETS.build(
            dict(
                type='pinas_mm.SeededSplit',
                part=part,
                held_out=6,
                dataset=dict(
                    type='pinas_mm.AgeGenderList',
                    tasks='age',
                    ann_file='train.csv',
                    data_root=str(tmp_path),
                ),
            )
        )
        parts.append({dataset.get_data_info(i)['img_path'] for i in range(len(dataset))})
    assert [len(part) for part in parts] == [14, 6] and set.union(*parts) == {
        f'{tmp_path}/{row["image"]}' for row in rows
    }


def test_a_published_table(tmp_path):
    """As Cao et al. publish their split of MORPH: the image's column has no name, ages count from
    16, men are 1 and women -1."""
    text = (
        ',id_num,picture_num,race,Male,facial_hair,age,glasses,quality\n'
        '1_01M22.jpg,1,1,B,1,,6,,GOOD\n3_00F32.jpg,3,0,B,-1,,16,,GOOD\n'
    )
    found = faces(
        tmp_path,
        text,
        ages=(16, 70),
        columns=dict(image='', age='age', gender='Male'),
        age_offset=16,
        data_prefix='faces',
        genders=dict(male=['1'], female=['-1']),
    )
    assert found == [
        (f'{tmp_path}/faces/1_01M22.jpg', dict(age=22, gender=0)),
        (f'{tmp_path}/faces/3_00F32.jpg', dict(age=32, gender=1)),
    ]


@pytest.mark.parametrize(
    'tasks, text, expected',
    [
        (
            ('age', 'gender'),
            'a.jpg 20 M\n\nb/c.jpg  31.0\tfemale \n',
            [dict(age=20, gender=0), dict(age=31, gender=1)],
        ),
        ('age', 'a.jpg 20\nb/c.jpg 31\n', [20, 31]),
        ('gender', 'a.jpg ? F\nb/c.jpg 300 male\n', [1, 0]),
    ],
)
def test_plain_text(tmp_path, tasks, text, expected):
    assert faces(tmp_path, text, 'list.txt', tasks) == list(
        zip([f'{tmp_path}/a.jpg', f'{tmp_path}/b/c.jpg'], expected)
    )


def test_what_is_not_asked_is_not_read(tmp_path):
    assert faces(tmp_path, 'image,age\na.jpg,20\n', tasks='age') == [(f'{tmp_path}/a.jpg', 20)]
    assert faces(tmp_path, 'image,age,gender\na.jpg,999,M\n', tasks='gender') == [
        (f'{tmp_path}/a.jpg', 0)
    ]


@pytest.mark.parametrize('age', [15, 71])
def test_an_age_outside_the_range(tmp_path, age):
    with pytest.raises(
        InputError,
        match=rf'^{tmp_path}/list.csv: b.jpg: age {age}, expected 16 to 70 \(`ages` of '
        rf'AgeGenderList\)$',
    ):
        faces(tmp_path, f'image,age,gender\na.jpg,16,M\nb.jpg,{age},M\n', ages=(16, 70))
    assert len(faces(tmp_path, 'image,age,gender\na.jpg,16,M\nb.jpg,70,M\n', ages=(16, 70))) == 2


@pytest.mark.parametrize(
    'line, message',
    [
        ('a.jpg,old,M', "list.csv: a.jpg: age 'old', expected a whole number of years"),
        ('a.jpg,30.5,M', "list.csv: a.jpg: age '30.5', expected a whole number"),
        ('a.jpg,nan,M', "list.csv: a.jpg: age 'nan', expected a whole number"),
        ('a.jpg,inf,M', "list.csv: a.jpg: age 'inf', expected a whole number"),
        ('a.jpg,-1,M', 'list.csv: a.jpg: age -1, expected 0 to 100'),
        (
            'a.jpg,30,X',
            r"list.csv: a.jpg: gender 'X', expected one of \['M', 'm', .*`genders` of "
            r'AgeGenderList',
        ),
        (
            'a.jpg,30',
            r"list.csv: face 1 has \['a.jpg', '30', None\], expected \['image', 'age', 'gender'\]",
        ),
        ('', 'AgeGenderList: no face in .*list.csv'),
    ],
)
def test_wrong_lines_are_named(tmp_path, line, message):
    with pytest.raises(InputError, match=message):
        faces(tmp_path, f'image,age,gender\n{line}\n')


def test_wrong_files_and_arguments_are_named(tmp_path):
    with pytest.raises(InputError, match='none.csv: no such file'):
        AgeGenderList('age', 'none.csv', data_root=str(tmp_path))
    with pytest.raises(
        InputError,
        match=r"list.csv: no column 'gender' in \['image', 'age'\] \(`columns` of AgeGenderList\)",
    ):
        faces(tmp_path, 'image,age\na.jpg,20\n')
    for tasks in ('race', [], ['age', 'age'], ['age', 'race']):
        with pytest.raises(
            InputError, match=r"tasks=.* of AgeGenderList: expected one of \('age', 'gender'\)"
        ):
            faces(tmp_path, 'image,age\na.jpg,20\n', tasks=tasks)


FITS = {
    'cut at ?/8': 'what is left is a list',
    'a byte order mark': 'spreadsheets on Windows write it',
    'Windows lines': 'editors on Windows write them',
    'a line too much': 'an empty line',
    'flip *': 'a letter of a name, or a digit',
}


@pytest.mark.parametrize('name', ['list.csv', 'list.txt'])
def test_wrong_files_are_refused_in_one_line(tmp_path, name):
    fits = dict(FITS)
    good = b'image,age,gender\na.jpg,30,M\nb.jpg,31,F\nc.jpg,32,M\nd.jpg,33,F\n'
    if name == 'list.txt':
        good = good.partition(b'\n')[2].replace(b',', b' ')
        fits |= {'no start': 'another name', 'twice': 'every face twice'}
    age = [b'30', b'"30', b'9' * 5000, b'9' * 200_000, b'1e999', b'nan', b'-30', b'0x1e', b'3_0.5']
    files = dict(of_bytes(good)) | {f'age {a[:9]!r}': good.replace(b'30', a) for a in age[1:]}
    files['long name'] = good.replace(b'a.jpg', b'a' * 5000).replace(b'30', b'x')
    files['a line too much'] = good + b'\n'

    def read(path):
        AgeGenderList(
            ('age', 'gender'), path.name, data_root=str(tmp_path), serialize_data=False
        ).full_init()

    tried, refused, _ = try_files(tmp_path / name, read, files, fits)
    assert tried > 40 and refused > 15
