import collections

import pytest
from mmengine.registry import DATASETS
from person_pictures import write_persons

import pinas_mm  # noqa: F401
from pinas_mm.errors import InputError
from pinas_mm.tasks.reid import PersonReID


def samples(root, split='train', **kwargs):
    dataset = PersonReID(
        str(root), split, pipeline=[], serialize_data=False, **kwargs
    )  # serialising collects garbage, which takes long
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def layout(root, **folders):
    """Empty files; lists of names, of which missing folders have none."""
    for folder, names in folders.items():
        (root / folder).mkdir()
        for name in names:
            (root / folder / name).touch()
    return root


@pytest.fixture(scope='module')
def market(tmp_path_factory):
    return write_persons(
        tmp_path_factory.mktemp('reid') / 'market', learning=12, test=3, cameras=3, pictures=3
    )


def test_market_as_it_is_unpacked(tmp_path):
    root = layout(
        tmp_path,
        bounding_box_train=[
            '0007_c3s3_077419_03.jpg',
            '0002_c1s1_000451_03.jpg',
            '0002_c6s2_000801_01.jpg',
            'Thumbs.db',
        ],
        query=['0001_c1s1_001051_00.jpg'],
        bounding_box_test=[
            '-1_c1s1_000401_03.jpg',
            '0000_c4s1_000151_01.jpg',
            '0001_c2s1_000301_00.jpg',
            '1501_c6s4_001902_01.jpg',
        ],
    )
    train = PersonReID(str(root), pipeline=[])
    found = [
        (sample['gt_label'], sample['camera'])
        for sample in (train.get_data_info(index) for index in range(len(train)))
    ]
    assert found == [(0, 1), (0, 6), (1, 3)] and train.metainfo['classes'] == ('2', '7')
    test = samples(root, 'test')
    assert [(sample['gt_label'], sample['camera'], sample['query']) for sample in test] == [
        (1, 1, True),
        (0, 4, False),
        (1, 2, False),
        (1501, 6, False),
    ]
    assert test[0]['img_path'] == str(root / 'query/0001_c1s1_001051_00.jpg')


def test_duke_as_it_is_unpacked(tmp_path):
    root = layout(
        tmp_path,
        bounding_box_train=['0001_c2_f0046182.jpg', '7139_c8_f0046985.jpg'],
        query=['0005_c2_f0046985.jpg'],
        bounding_box_test=['0005_c5_f0051781.jpg', '4035_c8_f0205226.jpg'],
    )
    assert [(sample['gt_label'], sample['camera']) for sample in samples(root)] == [(0, 2), (1, 8)]
    assert [
        (sample['gt_label'], sample['camera'], sample['query']) for sample in samples(root, 'test')
    ] == [(5, 2, True), (5, 5, False), (4035, 8, False)]


def test_held_out_persons_are_others_with_queries_of_their_own(market):
    whole = samples(market)
    learning, held_out = samples(market, held_out=5), samples(market, 'held_out', held_out=5)
    assert {sample['img_path'] for sample in learning + held_out} == {
        sample['img_path'] for sample in whole
    }
    assert len(learning) + len(held_out) == len(whole) == 12 * 9
    persons = {sample['gt_label'] for sample in held_out}
    assert len(persons) == 5 and persons <= set(range(2, 25, 2))  # by the ids of the files
    assert {sample['gt_label'] for sample in learning} == set(range(7)) and not any(
        sample['query'] for sample in learning
    )
    kept = PersonReID(str(market), held_out=5, pipeline=[]).metainfo['classes']
    for sample in learning:
        assert f'/{int(kept[sample["gt_label"]]):04d}_c{sample["camera"]}s' in sample['img_path']
    asked = collections.Counter(
        (sample['gt_label'], sample['camera']) for sample in held_out if sample['query']
    )
    assert asked == {(person, camera): 1 for person in persons for camera in (1, 2, 3)}


def test_the_seed_fixes_what_is_held_out(market):
    def held_out(seed=0):
        return samples(market, 'held_out', held_out=5, split_seed=seed)

    assert held_out() == held_out()
    persons = [{sample['gt_label'] for sample in held_out(seed)} for seed in range(4)]
    assert len(set(map(frozenset, persons))) > 1
    # Not the first picture of each camera either.
    assert {
        int(sample['img_path'].split('_')[-2]) % 3 for sample in held_out() if sample['query']
    } == {0, 1, 2}
    learning = [
        {sample['img_path'] for sample in samples(market, held_out=5, split_seed=seed)}
        for seed in range(4)
    ]
    for seed, paths in enumerate(learning):
        assert not paths & {sample['img_path'] for sample in held_out(seed)}


def test_a_held_out_query_leaves_its_camera_a_picture_and_has_a_match(tmp_path):
    """Person 1: by one camera alone. 2: one picture in each of two. 3: two in one, one in another.
    9 is learned from, whichever it is."""
    names = [
        '0001_c1_f1.jpg',
        '0001_c1_f2.jpg',
        '0002_c1_f1.jpg',
        '0002_c2_f1.jpg',
        '0003_c1_f1.jpg',
        '0003_c1_f2.jpg',
        '0003_c2_f1.jpg',
        '0009_c1_f1.jpg',
    ]
    layout(tmp_path, bounding_box_train=names)
    for seed in range(8):
        try:
            found = samples(tmp_path, 'held_out', held_out=3, split_seed=seed)
        except InputError as error:  # 3 is the one that is learned from
            assert 'no query (5 images, 0 of them queries)' in str(error)
            continue
        queries = [sample for sample in found if sample['query']]
        assert [(query['gt_label'], query['camera']) for query in queries] == [(3, 1)]


def test_the_pipeline_reads_the_picture(market):
    dataset = DATASETS.build(
        dict(
            type='pinas_mm.PersonReID',
            data_root=str(market),
            split='test',
            pipeline=[dict(type='LoadImageFromFile')],
        )
    )
    assert (
        dataset[0]['img'].shape == (32, 16, 3) and dataset[0]['query'] and not dataset[-1]['query']
    )


@pytest.mark.parametrize(
    'split, held_out, message',
    [
        ('val', 0, "split='val', expected 'train', 'held_out' or 'test'"),
        (
            'train',
            12,
            "held_out=12 of 12 persons in .*at least 0 for split='train', and one person left",
        ),
        ('train', -1, 'held_out=-1: expected a whole number of at least 0'),
        ('held_out', 0, "held_out=0 of 12 persons in .*at least 1 for split='held_out'"),
    ],
)
def test_wrong_arguments_are_named(market, split, held_out, message):
    with pytest.raises(InputError, match=message):
        samples(market, split, held_out=held_out)


@pytest.mark.parametrize(
    'query, gallery, message',
    [
        ([], ['0001_c2_f1.jpg'], r'no image \(\*.jpg\) in .*/query'),
        (['0001_c1_f1.jpg'], [], r'no image \(\*.jpg\) in .*/bounding_box_test'),
        (
            ['0001_c1_f1.jpg'],
            ['-1_c1_f1.jpg'],
            r"test of '.*': an empty gallery \(1 images, 1 of them queries\)",
        ),
        (
            ['-1_c1_f1.jpg'],
            ['0001_c1_f1.jpg'],
            r"test of '.*': no query \(1 images, 0 of them queries\)",
        ),
        (
            ['0001_c1_f1.jpg', '0002_c1_f2.jpg', '0003_c1_f3.jpg'],
            ['0001_c2_f1.jpg', '0002_c1_f1.jpg'],
            r'2 of 3 queries without a match \(the same person, by another camera\) in the '
            r'gallery: 0002_c1_f2.jpg, 0003_c1_f3.jpg$',
        ),
        (
            ['0000_c1_f1.jpg'],
            ['0000_c2_f1.jpg'],
            '1 of 1 queries without a match .*: 0000_c1_f1.jpg$',
        ),
        (
            [f'000{person}_c1_f1.jpg' for person in range(1, 8)],
            ['0009_c2_f1.jpg'],
            '7 of 7 .*0005_c1_f1.jpg, ...$',
        ),
        (
            ['0001_c1_f1.jpg'],
            ['me.jpg'],
            'me.jpg: expected a name such as 0002_c1s1_000451_03.jpg or 0005_c2_f0046985.jpg',
        ),
    ],
)
def test_what_cannot_be_asked_is_named_before_anything_runs(tmp_path, query, gallery, message):
    layout(tmp_path, query=query, bounding_box_test=gallery)
    with pytest.raises(InputError, match=message):
        samples(tmp_path, 'test')


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r'no image \(\*.jpg\) in .*/bounding_box_train'):
        samples(tmp_path)
