import pytest
from mmengine.config import Config
from mmpretrain.datasets import CustomDataset
from odd_images import write_odd_images
from our_configs import TOP, check_each, names, read

from pinas_mm.engine.config import load_config
from pinas_mm.engine.data_settings import compare_splits, fill_in_from_data, hold_out
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


def test_a_part_that_nothing_holds_out_is_refused_in_a_file(root, tmp_path):
    """Unless it comes from a base whose data the file replaces."""
    own = """
dataset = dict(_delete_=True, type='pinas_mm.Digits', split='learning', pipeline=[])
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dataset)
arch_evaluation = dict(calibration_dataloader=dict(dataset=dataset))
"""
    file = tmp_path / 'own.py'
    file.write_text(f"_base_ = '{LINEAR}'{own}")
    load_config(file, {})
    file.write_text(f"_base_ = '{LINEAR}'\nheld_out = 0.3{own}")
    with pytest.raises(
        InputError,
        match=r'^held_out=0.3: no SeededSplit of this config takes it; expected a training set '
        r"dict\(type='pinas_mm.SeededSplit', part='learning', dataset=...\)$",
    ):
        load_config(file, {})


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
        r'not say its classes: --cfg-options model.head.num_classes=12 '
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
