import pytest
from age_pictures import write_utkface
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS

import pinas_mm  # noqa: F401
from pinas_mm.errors import InputError
from pinas_mm.tasks.age import UTKFace


def labels(root, tasks, **kwargs):
    dataset = UTKFace(tasks, data_root=str(root), serialize_data=False, **kwargs)
    samples = map(dataset.get_data_info, range(len(dataset)))
    return {sample['img_path'].removeprefix(f'{root}/'): sample['gt_label'] for sample in samples}


def test_file_names_say_age_and_gender(tmp_path):
    rows = write_utkface(tmp_path, 12)
    assert labels(tmp_path, 'age') == {row['image']: row['age'] for row in rows}
    assert labels(tmp_path, 'gender') == {row['image']: row['gender'] for row in rows}
    assert labels(tmp_path, ['gender', 'age']) == {
        row['image']: dict(gender=row['gender'], age=row['age']) for row in rows
    }
    assert UTKFace('gender', data_root=str(tmp_path)).metainfo == dict(classes=('male', 'female'))


def test_folders_of_it_and_names_that_lack_a_part(tmp_path, caplog):
    """Such names occur in the data set itself."""
    good = [
        'part1/1_0_2_20161219140623097.jpg',
        'part2/110_1_0_20170109142408075.jpg.chip.jpg',
        '24_0_1_20170116220224657 .jpg',
        '55_0_0_20170116232725357jpg.chip.jpg',
        '9_1_3_20161220222856346.PNG.png',
    ]
    bad = [
        '39_1_20170116174525125.jpg.chip.jpg',
        '53__0_20170116184028385.jpg',
        'readme.jpg',
        '5_7_0_20170116184028385.jpg',
    ]
    for name in [*good, *bad, 'part1/notes.txt', '7_0_0_20170116184028385.txt']:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    MMLogger.get_current_instance().addHandler(caplog.handler)
    try:
        assert labels(tmp_path, 'age') == dict(zip(good, [1, 110, 24, 55, 9]))
    finally:
        MMLogger.get_current_instance().removeHandler(caplog.handler)
    (message,) = [
        record.getMessage() for record in caplog.records if 'left out' in record.getMessage()
    ]
    assert message.startswith('UTKFace: 4 image(s) of') and all(name in message for name in bad)
    assert labels(tmp_path, 'age', data_prefix='part1') == {good[0]: 1}


@pytest.mark.slow
def test_a_test_set_and_a_held_out_part_by_nested_splits(tmp_path):
    rows = write_utkface(tmp_path, 40)

    def images(*parts):
        config = dict(type='pinas_mm.UTKFace', tasks='age', data_root=str(tmp_path))
        for part in parts:
            config = dict(type='pinas_mm.SeededSplit', part=part, held_out=10, dataset=config)
        dataset = DATASETS.build(config)
        return {dataset.get_data_info(i)['img_path'] for i in range(len(dataset))}

    test, held_out, learning = (
        images('held_out'),
        images('learning', 'held_out'),
        images('learning', 'learning'),
    )
    assert [len(test), len(held_out), len(learning)] == [10, 10, 20]
    assert test | held_out | learning == {f'{tmp_path}/{row["image"]}' for row in rows}


def test_an_age_outside_the_range_names_the_file(tmp_path):
    write_utkface(tmp_path, 4)
    (tmp_path / '117_0_0_20170116184028385.jpg').touch()
    with pytest.raises(
        InputError,
        match=rf'^{tmp_path}/117_0_0_20170116184028385.jpg: age 117, expected 0 to 116 \(`ages` '
        rf'of UTKFace\)$',
    ):
        labels(tmp_path, 'age')
    assert len(labels(tmp_path, 'gender')) == 5


def test_a_folder_that_is_missing_or_has_no_face(tmp_path):
    with pytest.raises(InputError, match=f'UTKFace: .*{tmp_path}/none'):
        labels(tmp_path / 'none', 'age')
    (tmp_path / 'face.jpg').touch()
    with pytest.raises(InputError, match=f'UTKFace: no face in {tmp_path}'):
        labels(tmp_path, 'age')
