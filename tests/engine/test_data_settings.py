import json
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpretrain.datasets import CustomDataset
from odd_images import write_odd_images
from our_configs import TOP, check_each, names, read

from pinas_mm.datasets.scene_layouts import write_digit_scenes
from pinas_mm.engine.config import load_config
from pinas_mm.engine.data_settings import compare_splits, fill_in_from_data, hold_out
from pinas_mm.engine.loaders import built_dataset
from pinas_mm.errors import InputError

FOLDER = TOP / 'pinas/pinas_nasbench-macro_1xb128-coslr-4e_cifar10.py'
LINEAR = TOP / 'pinas/pinas_nasbench-macro-search_cifar10.py'


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Without a slash at the end."""
    monkeypatch.setenv('PINAS_DATA', str(tmp_path / 'images'))
    return write_odd_images(tmp_path / 'images', train=3, test=1)


def splits(value):
    """Every split of a config's loaders, wherever it is."""
    if isinstance(value, dict):
        if 'part' in value and 'dataset' in value:
            yield value['part'], value['held_out']
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from splits(each)


@pytest.mark.parametrize('held_out', [None, 0.25, 3])
def test_the_held_out_part_is_stated_once(root, held_out):
    """Of loaders, of the kNN hook and of arch_evaluation."""
    config = load_config(FOLDER, {} if held_out is None else {'held_out': held_out})
    expected = 0.1 if held_out is None else held_out
    loaders = [config.train_dataloader, *config.custom_hooks, config.arch_evaluation]
    found = list(splits([part.to_dict() for part in loaders]))
    assert sorted(found) == sorted([('learning', expected)] * 3 + [('held_out', expected)])
    before = config.to_dict()
    fill_in_from_data(config)
    assert config.to_dict() == before


@pytest.mark.slow
def test_every_split_of_every_config_has_its_number():
    def check(name):
        assert all(number is not None for _, number in splits(read(name).to_dict()))

    check_each(check, names())


@pytest.mark.parametrize(
    'change, message',
    [
        (
            {'train_dataloader.dataset.held_out': 50},
            r'val_dataloader.dataset.held_out=0.1, but train_dataloader.dataset.held_out=50 of the '
            r'same images: .* stated once: held_out=... of the config',
        ),
        (
            {'val_dataloader.dataset.seed': 3},
            r'val_dataloader.dataset.seed=3, but train_dataloader.dataset.seed=0 of the same',
        ),
        (
            {
                f'{key}.dataset.held_out': 5
                for key in (
                    'train_dataloader',
                    'val_dataloader',
                    'arch_evaluation.calibration_dataloader',
                )
            },
            r'held_out=0.1: no split of this config takes it: train_dataloader.dataset has its own '
            r'held_out=5; leave that out',
        ),
    ],
)
def test_splits_of_the_same_images_are_the_same(root, change, message):
    with pytest.raises(InputError, match=message):
        load_config(LINEAR, change)


FOLDERS = 'mmpretrain.CustomDataset'


@pytest.mark.parametrize(
    'spelling, other',
    [
        (dict(data_root='x/train'), dict(data_root='x/train/')),
        (dict(data_root='x/train'), dict(data_root='{here}/x/train')),
        (dict(data_root='x', data_prefix='train'), dict(data_root='x/', data_prefix='train/')),
        (dict(data_root='x', data_prefix='train'), dict(data_prefix=dict(img_path='x//train'))),
        (
            dict(data_root='x', ann_file='meta/train.txt'),
            dict(data_root='x', ann_file='{here}/x/./meta/train.txt'),
        ),
        (dict(data_root='x', pipeline=[]), dict(type='CustomDataset', data_root='x')),
        (dict(data_root='x', pipeline=[]), dict(type=CustomDataset, data_root='link')),
    ],
)
def test_the_same_images_however_they_are_spelled(spelling, other, tmp_path, monkeypatch):
    """In one config and in two, also within a wrapper."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'x').mkdir()
    (tmp_path / 'link').symlink_to('x')
    here = {
        key: value.format(here=tmp_path) if isinstance(value, str) else value
        for key, value in other.items()
    }
    wrap = [lambda data: data, lambda data: dict(type='ConcatDataset', datasets=[data])]
    for wrapped in wrap:
        learning, held_out = (
            dict(
                dataset=dict(
                    type='pinas_mm.SeededSplit',
                    part=part,
                    held_out=number,
                    dataset=wrapped(dict(type=FOLDERS) | data),
                )
            )
            for part, number, data in (('learning', 0.2, spelling), ('held_out', 0.1, here))
        )
        scope = dict(default_scope='mmpretrain')
        with pytest.raises(InputError, match='held_out=0.1, but train_dataloader.dataset.held_out'):
            hold_out(Config(dict(train_dataloader=learning, val_dataloader=held_out) | scope))
        learn = Config(dict(train_dataloader=learning) | scope)
        search = Config(dict(val_dataloader=held_out) | scope)
        with pytest.raises(
            InputError,
            match=r'^search: val_dataloader.dataset.held_out=0.1, but learn: train_dataloader.'
            r'dataset.held_out=0.2 of the same images: .* held_out=... of all configs$',
        ):
            compare_splits(dict(learn=learn, search=search))
        held_out['dataset']['held_out'] = 0.2
        compare_splits(dict(learn=learn, search=Config(dict(val_dataloader=held_out) | scope)))


def test_splits_of_other_images_may_differ():
    splits = [
        dict(
            type='pinas_mm.SeededSplit',
            part='learning',
            held_out=number,
            dataset=dict(type=FOLDERS, data_root='x', data_prefix=folder),
        )
        for folder, number in (('a', 0.2), ('b', 0.1))
    ]
    datasets = dict(type='ConcatDataset', datasets=splits)
    hold_out(Config(dict(train_dataloader=dict(dataset=datasets))))


@pytest.mark.parametrize(
    'name, number, place',
    [
        (
            'quickstart/learn.py',
            0.5,
            r"custom_hooks.0.query_dataloader.dataset.split='held_out' of pinas_mm.Digits",
        ),
        (
            'adapt/reid_resnest50_1xb64-22k_market1501.py',
            50,
            r'train_dataloader.dataset.held_out=100 of pinas_mm.PersonReID, '
            r'val_dataloader.dataset.held_out=100 of pinas_mm.PersonReID',
        ),
    ],
)
def test_a_part_that_nothing_holds_out_is_refused(name, number, place):
    with pytest.raises(
        InputError,
        match=rf'^held_out={number}: no SeededSplit of this config takes it; it has {place}',
    ):
        load_config(TOP / name, {'held_out': number})


# A detector's config as mm has them: it validates and tests on the same images.
SCENES = """
_base_ = __import__('pinas_mm').config_path('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
digits = dict(metainfo=dict(classes=tuple('0123456789')))
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=digits)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=digits)
test_dataloader = val_dataloader
"""


@pytest.fixture
def scenes(tmp_path, monkeypatch):
    """The file of that config."""
    monkeypatch.chdir(tmp_path)
    Path('scenes.py').write_text(SCENES)
    return 'scenes.py'


class Oracle(BaseModel):
    """Detects what is there."""

    def forward(self, inputs, data_samples, mode):
        for sample in data_samples:
            truth = sample.gt_instances  # of the image before it is resized, in mm's test pipeline
            boxes = truth.bboxes.tensor
            sample.pred_instances = InstanceData(
                bboxes=boxes, labels=truth.labels, scores=boxes.new_ones(len(boxes))
            )
        return data_samples


def read_images(config):
    """The names of the images that a dataset reads, in order, and their number in the file."""
    init_default_scope('mmdet')
    dataset = built_dataset(config)
    return [Path(dataset.get_data_info(i)['img_path']).name for i in range(len(dataset))]


def in_file(part):
    scenes = json.loads(Path(f'data/coco/annotations/instances_{part}2017.json').read_text())
    return sorted(image['file_name'] for image in scenes['images'])


def test_one_line_holds_out_a_part_of_the_training_set(scenes):
    """The metric counts the held-out images: of an annotation file it would count all twelve, and
    what is always right would be wrong on the others."""
    write_digit_scenes(Path('data'), dict(train=12, val=3, test=3), 64)
    before = Config.fromfile(scenes)
    config = load_config(scenes, {'held_out': 4})
    learning = read_images(config.train_dataloader.dataset)
    scored = read_images(config.val_dataloader.dataset)
    assert len(scored) == 4 and sorted(learning + scored) == in_file('train')
    assert config.test_dataloader == before.test_dataloader
    assert config.test_evaluator == before.test_evaluator
    assert sorted(read_images(config.test_dataloader.dataset)) == in_file('val')

    pipeline = config.val_dataloader.dataset.dataset.pipeline
    assert [step.type for step in pipeline] == [step.type for step in before.test_pipeline]
    runner = Runner(
        Oracle(),
        'work',
        val_dataloader=config.val_dataloader,
        val_evaluator=config.val_evaluator,
        val_cfg=dict(),
        default_scope='mmdet',
        experiment_name='one_line',
    )
    metrics = runner.val()
    assert metrics['coco/bbox_mAP'] == 1
    (metric,) = runner.val_evaluator.metrics
    assert len(metric._coco_api.imgs) == 4


def test_a_config_that_was_split_is_read_again_as_it_is(scenes):
    """Also the config of a work dir."""
    config = load_config(scenes, {'held_out': 4})
    before = config.to_dict()
    fill_in_from_data(config)
    assert config.to_dict() == before
    config.dump('dumped.py')
    assert load_config('dumped.py', {}).to_dict() == before


def test_the_split_is_inside_wrappers_and_wherever_the_images_are_read(scenes):
    """An image that is repeated is repeated in the learning part alone."""
    own = Config.fromfile(scenes)
    plain = own.train_dataloader.dataset.to_dict()
    other = dict(plain, ann_file='annotations/instances_test2017.json', data_prefix={'img': 'test'})
    both = dict(type='ConcatDataset', datasets=[plain, other])
    for whole, metric in ((plain, 'CocoMetric'), (both, 'VOCMetric')):
        own.val_evaluator = dict(type=metric)
        own.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=whole)
        own.custom_hooks = [dict(type='Any', dataloader=dict(batch_size=2, dataset=whole))]
        own.arch_evaluation = dict(calibration_dataloader=dict(own.train_dataloader))
        own.held_out = 2
        config = Config(own.to_dict())
        hold_out(config)
        parts = dict(type='pinas_mm.SeededSplit', held_out=2)
        learning = dict(parts, part='learning', dataset=whole)
        repeated = dict(type='RepeatDataset', times=2, dataset=learning)
        assert config.train_dataloader.dataset == repeated
        assert config.arch_evaluation.calibration_dataloader.dataset == repeated
        assert config.custom_hooks[0].dataloader.dataset == learning
        scored = config.val_dataloader.dataset.to_dict()
        inner = scored.pop('dataset')
        assert scored == dict(parts, part='held_out')
        for found, expected in zip(
            inner.get('datasets', [inner]), whole.get('datasets', [whole]), strict=True
        ):
            pack = found.pop('pipeline')[-1]
            assert (pack['meta_keys'][-1] == 'instances') == (metric == 'CocoMetric')
            assert found == {key: value for key, value in expected.items() if key != 'pipeline'}


def test_the_keys_of_a_packing_that_has_none_are_mmdets_and_the_annotations(scenes):
    config = load_config(
        scenes,
        {
            'held_out': 4,
            'val_dataloader.dataset.pipeline': [dict(type='mmdet.PackDetInputs')],
            'val_evaluator': [dict(type='CocoMetric'), dict(type='VOCMetric')],
        },
    )
    (pack,) = config.val_dataloader.dataset.dataset.pipeline
    default = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip')
    assert pack.meta_keys == [*default, 'flip_direction', 'instances']
    assert [metric.get('ann_file') for metric in config.val_evaluator] == [None, None]


@pytest.mark.parametrize(
    'change',
    [
        dict(indices=6),
        dict(filter_cfg=None),
        dict(metainfo=dict(classes=('0',))),
        lambda plain: dict(type='ConcatDataset', datasets=[plain]),
        lambda plain: dict(type='RepeatDataset', times=2, dataset=dict(plain, indices=6)),
    ],
)
def test_what_would_read_held_out_images_is_refused(scenes, change):
    """A choice of the training images, wherever it is learned from or calibrated with."""
    plain = Config.fromfile(scenes).train_dataloader.dataset.to_dict()
    data = change(plain) if callable(change) else plain | change
    loader = dict(batch_size=2, dataset=data)
    changes = {'held_out': 4, 'arch_evaluation': dict(calibration_dataloader=loader)}
    with pytest.raises(
        InputError,
        match=r'^arch_evaluation\.calibration_dataloader\.dataset.* has images that '
        r'(train|val)_dataloader\.dataset splits, and is not split: it would read what is held out',
    ):
        load_config(scenes, changes)


def test_settings_that_choose_no_images_make_no_other_images(scenes):
    plain = Config.fromfile(scenes).train_dataloader.dataset.to_dict()
    plain.pop('backend_args')  # None is its default
    loader = dict(batch_size=2, dataset=dict(plain, lazy_init=True, pipeline=[]))
    config = load_config(
        scenes, {'held_out': 4, 'arch_evaluation': dict(calibration_dataloader=loader)}
    )
    assert config.arch_evaluation.calibration_dataloader.dataset.part == 'learning'


def test_a_split_of_the_validation_set_alone_is_no_split(root):
    whole = Config.fromfile(LINEAR).val_dataloader.dataset.dataset.to_dict()
    for key in ('train_dataloader', 'arch_evaluation.calibration_dataloader'):
        with pytest.raises(InputError, match=rf'^{key}.dataset has images that .* splits, and is'):
            load_config(LINEAR, {f'{key}.dataset': dict(whole, _delete_=True)})


def test_parts_of_a_config_of_voc_may_not_differ(scenes):
    """Where the scored part alone has small boxes too."""
    small = dict(filter_empty_gt=True, min_size=32, bbox_min_size=32)
    changes = {'held_out': 4, 'train_dataloader.dataset.filter_cfg': small}
    load_config(scenes, changes).dump('dumped.py')
    assert load_config('dumped.py', {}).val_dataloader.dataset.held_out == 4
    with pytest.raises(InputError, match='val_dataloader.dataset.held_out=3, but train_dataloader'):
        load_config('dumped.py', {'val_dataloader.dataset.held_out': 3})


def test_a_split_may_leave_its_number_open_as_none(root):
    places = [
        f'{key}.dataset.held_out'
        for key in ('train_dataloader', 'val_dataloader', 'arch_evaluation.calibration_dataloader')
    ]
    config = load_config(LINEAR, dict.fromkeys(places) | {'held_out': 0.2})
    assert {number for _, number in splits(config.to_dict())} == {0.2}


def test_a_word_of_another_meaning_holds_nothing_out(scenes):
    hooks = [dict(type='DetVisualizationHook', test_out_dir='held_out')]
    config = load_config(scenes, {'held_out': 4, 'custom_hooks': hooks})
    assert config.val_dataloader.dataset.part == 'held_out'


def test_several_files_are_split_and_repeated_as_mms_configs_of_voc_do(tmp_path, monkeypatch):
    """mmengine's wrapper asks what it wraps to finish its own start."""
    monkeypatch.chdir(tmp_path)
    write_digit_scenes(Path('data'), dict(train=12, val=3, test=3), 64)
    Path('two.py').write_text(
        SCENES
        + """
files = [
    dict(type='CocoDataset', data_root='data/coco/', pipeline=_base_.train_pipeline,
         ann_file=f'annotations/instances_{part}2017.json', **digits,
         data_prefix=dict(img=f'{part}2017/'))
    for part in ('train', 'test')]
train_dataloader['dataset'] = dict(
    _delete_=True, type='RepeatDataset', times=2,
    dataset=dict(type='ConcatDataset', datasets=files))
val_evaluator = dict(_delete_=True, type='VOCMetric')
held_out = 5
"""
    )
    config = load_config('two.py', {})
    init_default_scope('mmdet')
    learning, scored = (
        Runner.build_dataloader(config[f'{part}_dataloader']).dataset for part in ('train', 'val')
    )
    assert len(learning) == 2 * (12 + 3 - 5) and len(scored) == 5
    seen = [
        {data.get_data_info(i)['img_path'] for i in range(len(data))} for data in (learning, scored)
    ]
    assert not seen[0] & seen[1] and len(seen[0] | seen[1]) == 15
    assert all('inputs' in learning[i] for i in range(20))


def test_the_scored_part_has_all_boxes_and_a_folder_of_its_own(scenes):
    """mmdet's VOC sets leave small boxes out of learning; CityScapesMetric keeps the truth of the
    first set that it sees in a folder."""
    filter_cfg = dict(filter_empty_gt=True, min_size=32, bbox_min_size=32)
    metric = dict(type='CityScapesMetric', seg_prefix='gtFine', outfile_prefix='work/instance')
    config = load_config(
        scenes,
        {
            'held_out': 4,
            'train_dataloader.dataset.filter_cfg': filter_cfg,
            'val_evaluator': [metric],
            'test_evaluator': [metric],
        },
    )
    assert config.train_dataloader.dataset.dataset.filter_cfg == filter_cfg
    scored = config.val_dataloader.dataset.dataset.filter_cfg
    assert scored == dict(filter_empty_gt=True, min_size=32)
    assert config.val_evaluator[0].outfile_prefix == 'work/instance_held_out_4'
    assert config.test_evaluator[0].outfile_prefix == 'work/instance'


def test_a_validation_set_of_ones_own_is_replaced_with_a_warning_or_kept(root, scenes, monkeypatch):
    """That of a base is the test set."""
    said = []
    monkeypatch.setattr('pinas_mm.engine.data_settings.warn_once', said.append)
    Path('line.py').write_text("_base_ = 'scenes.py'\nheld_out = 4")
    load_config('line.py', {})
    assert not said
    own = dict(ann_file='annotations/own.json', data_prefix=dict(img='own/'))
    change = f"_base_ = 'line.py'\nval_dataloader = dict(dataset={own})\n"
    Path('child.py').write_text(change)
    assert load_config('child.py', {}).val_dataloader.dataset.part == 'held_out'
    (line,) = said
    assert line == (
        'held_out=4: a part of the training set takes the place of the images of val_dataloader, '
        'which may be your own (test_dataloader has others); held_out=None keeps them'
    )
    load_config('line.py', dict(test_dataloader=None, test_evaluator=None, test_cfg=None))
    assert 'there is no test_dataloader' in said.pop() and len(said) == 1
    before = Config.fromfile('child.py')
    for text, overrides in ((change + 'held_out = None', {}), (change, dict(held_out=None))):
        Path('child.py').write_text(text)
        config = load_config('child.py', overrides)
        assert config.val_dataloader == before.val_dataloader
        assert config.train_dataloader == before.train_dataloader
    assert load_config(LINEAR, {'held_out': None}).val_dataloader.dataset.held_out == 0.1


def two_sets(scenes):
    """A validation set whose images are read in two ways."""
    sets = [Config.fromfile(scenes).val_dataloader.dataset.to_dict() for _ in range(2)]
    sets[0]['pipeline'] = []
    return dict(_delete_=True, type='ConcatDataset', datasets=sets)


def two_domains(scenes):
    dataset = Config.fromfile(scenes).train_dataloader.dataset.to_dict()
    return dict(_delete_=True, type='pinas_mm.DomainPair', source=dataset, target=dataset)


def two_files(scenes):
    return dict(_delete_=True, type='ConcatDataset', datasets=[some_images(scenes)] * 2)


def some_images(scenes):
    return Config.fromfile(scenes).train_dataloader.dataset.to_dict() | dict(indices=6)


def some_fold(scenes):
    dataset = Config.fromfile(scenes).train_dataloader.dataset.to_dict()
    return dict(_delete_=True, type='mmpretrain.KFoldDataset', dataset=dataset)


def mixed_within(scenes):
    dataset = Config.fromfile(scenes).train_dataloader.dataset.to_dict()
    mixed = dict(type='MultiImageMixDataset', dataset=dataset, pipeline=[dict(type='Mosaic')])
    return dict(_delete_=True, type='ConcatDataset', datasets=[mixed])


@pytest.mark.parametrize(
    'change, message',
    [
        (
            lambda scenes: {'train_dataloader.dataset': mixed_within(scenes)},
            "this config: 'MultiImageMixDataset' of train_dataloader is within another; expected",
        ),
        (
            lambda scenes: {'val_dataloader.dataset': two_sets(scenes)},
            'the training set cannot be split for this config: val_dataloader has 2 pipelines, not '
            'one; expected splits of your own: train_dataloader.dataset=dict(type='
            "'pinas_mm.SeededSplit', part='learning', dataset=...), and with part='held_out' in "
            'val_dataloader',
        ),
        (
            lambda scenes: {'train_dataloader.dataset': two_domains(scenes)},
            "this config: 'pinas_mm.DomainPair' of train_dataloader has no pipeline; expected",
        ),
        (
            lambda scenes: {'val_evaluator.type': 'LVISMetric'},
            'this config: val_evaluator.ann_file of LVISMetric is of other images; expected',
        ),
        (
            lambda scenes: {'val_dataloader.dataset.pipeline': [dict(type='LoadImageFromFile')]},
            'this config: the pipeline of val_dataloader has no PackDetInputs; expected',
        ),
        (
            lambda scenes: {'train_dataloader': None},
            'no SeededSplit of this config takes it; expected a training set to split and a '
            'validation set, it has no train_dataloader',
        ),
        (
            lambda scenes: {'held_out': 1.5},
            'held_out=1.5: expected a share of the training set between 0 and 1, such as 0.1, or '
            'a number of samples, at the top of the config',
        ),
        (lambda scenes: {'held_out': 0}, 'held_out=0: expected a share'),
        (
            lambda scenes: {'train_dataloader.dataset': two_files(scenes)},
            'this config: val_evaluator needs one image per id, but the 2 datasets of '
            'train_dataloader may use the same ids; expected',
        ),
        (
            lambda scenes: {'train_dataloader.dataset': some_fold(scenes)},
            "this config: 'mmpretrain.KFoldDataset' of train_dataloader may leave out images; "
            'expected',
        ),
        (lambda scenes: {'held_out': True}, 'held_out=True: expected a share'),
        (lambda scenes: {'held_out': '0,1'}, "held_out='0,1': expected a share"),
    ],
)
def test_a_training_set_that_cannot_be_split_is_refused(scenes, change, message):
    with pytest.raises(InputError) as caught:
        load_config(scenes, {'held_out': 4} | change(scenes))
    assert message in str(caught.value) and str(caught.value).startswith('held_out=')


OTHER_DATA = """
dataset = dict(_delete_=True, type='pinas_mm.Digits', split='learning', pipeline=[])
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dataset)
arch_evaluation = dict(calibration_dataloader=dict(dataset=dataset))
"""


def test_the_line_of_a_base_is_for_the_data_that_it_was_written_for(root, scenes):
    """With splits of its own it is for those alone, without it is for the configs that inherit
    it."""
    Path('own.py').write_text(f"_base_ = '{LINEAR}'{OTHER_DATA}")
    config = load_config('own.py', {})
    assert not list(splits(config.to_dict())) and 'held_out' not in config
    config.dump('dumped.py')
    assert load_config('dumped.py', {}).to_dict() == config.to_dict()
    # What the file itself states is for its data, also where a base states the same.
    Path('stated.py').write_text(f"_base_ = '{LINEAR}'\nheld_out = 0.3")
    yaml = '_base_: ./stated.py\nheld_out: 0.3\n'
    for base, share in ((LINEAR, 0.3), ('stated.py', 0.3)):
        Path('own.py').write_text(f"_base_ = '{base}'\nheld_out = {share}{OTHER_DATA}")
        config = load_config('own.py', {})
        assert list(splits(config.to_dict())) == [
            ('learning', 0.3),
            ('held_out', 0.3),
            ('learning', 0.3),
        ]
        assert config.test_dataloader.dataset.split == 'learning', 'as it was written'
    Path('own.py').write_text(f"_base_ = 'stated.py'{OTHER_DATA}")
    assert 'held_out' not in load_config('own.py', {})
    parts = OTHER_DATA.replace('learning', 'held_out')
    Path('own.py').write_text(f"_base_ = 'stated.py'\nheld_out = 0.3{parts}")
    with pytest.raises(InputError, match='^held_out=0.3: no SeededSplit of this config takes it'):
        load_config('own.py', {})
    Path('own.yaml').write_text(yaml)
    assert load_config('own.yaml', {}).held_out == 0.3


@pytest.mark.parametrize(
    'name, text, number',
    [
        ('own.json', '{\n\t"_base_": "./line.py",\n\t"held_out": 3}', 3),
        ('own.yaml', '_base_: ./line.py\nheld_out: 3\nfolder: "{{ fileDirname }}"\n', 3),
        ('own.yaml', '_base_: ./line.py\nlog_level: INFO\n', 4),
        ('own.py', "_base_ = './line.py'\nfrom math import pi as x", 4),
        ('own.py', "_base_ = './line.py'\nglobals()['held_out'] = 3", 3),
        ('own.py', "_base_ = './line.py'\nx = [held_out for held_out in (1, 2)]", 4),
    ],
)
def test_a_file_of_any_format_states_the_number(scenes, name, text, number):
    Path('line.py').write_text("_base_ = 'scenes.py'\nheld_out = 4")
    Path(name).write_text(text)
    assert load_config(name, {}).val_dataloader.dataset.held_out == number
    # As mmengine's own tools write it: with tuples, which plain YAML does not know.
    Config.fromfile(name).dump('dumped.yaml')
    assert load_config('dumped.yaml', {}).val_dataloader.dataset.held_out == number


def test_a_pure_python_config_inherits_the_number(scenes):
    Config.fromfile(scenes).dump('plain.py')
    inherit = 'from mmengine.config import read_base\nwith read_base():\n    from .{} import *\n'
    Path('line.py').write_text(inherit.format('plain') + 'held_out = 4\n')
    Path('child.py').write_text(inherit.format('line'))
    assert load_config('child.py', {}).val_dataloader.dataset.held_out == 4

    Path('line.py').write_text("_base_ = 'scenes.py'\nheld_out = 4")
    Path('child.py').write_text("_base_ = 'line.py'\ntrain_dataloader = dict(batch_size=1)")
    assert load_config('child.py', {}).val_dataloader.dataset.held_out == 4


def test_a_preprocessor_may_have_no_number_of_classes(tmp_path):
    """None is mmpretrain's default; a head needs a number."""
    open_one = dict(data_preprocessor=dict(num_classes=None), model=dict(head=dict(num_classes=3)))
    (tmp_path / 'list.txt').write_text('a.png 0\n')
    data = dict(type='CustomDataset', data_root=str(tmp_path), ann_file='list.txt')
    loader = dict(train_dataloader=dict(dataset=data), default_scope='mmpretrain')
    for config in (Config(open_one), Config(open_one | loader)):
        fill_in_from_data(config)
        assert config.data_preprocessor.num_classes is None
        config.model.head.num_classes = None
        with pytest.raises(InputError, match=r'^model.head.num_classes is left to the data, but'):
            fill_in_from_data(config)
    named = Config(open_one | loader)
    named.train_dataloader.dataset.metainfo = dict(classes=('a', 'b', 'c'))
    fill_in_from_data(named)
    assert named.data_preprocessor.num_classes == 3


def test_the_number_of_classes_is_that_of_the_training_set(root):
    config = load_config(LINEAR, {})
    assert config.model.head.num_classes == config.data_preprocessor.num_classes == 3
    given = load_config(LINEAR, {'model.head.num_classes': 12, 'data_preprocessor.num_classes': 12})
    assert given.model.head.num_classes == 12, 'refused where it is trained'


def test_classes_that_cannot_be_read_are_named(root, monkeypatch):
    with pytest.raises(
        InputError,
        match=r'model.head.num_classes is left to the data, but Digits of train_dataloader does '
        r'not say its classes: expected an attribute `classes` of the dataset, such as .*, or the '
        r'number in the config: --cfg-options model.head.num_classes=12 '
        r'data_preprocessor.num_classes=12',
    ):
        monkeypatch.setattr('pinas_mm.datasets.Digits.METAINFO', {})
        load_config(
            LINEAR,
            {'train_dataloader.dataset': dict(_delete_=True, type='pinas_mm.Digits', split='test')},
        )
    monkeypatch.setenv('PINAS_DATA', f'{root}/none')
    with pytest.raises(
        InputError,
        match=rf'{root}/none/train: No such file or directory: expected a folder with one',
    ):
        load_config(LINEAR, {})
