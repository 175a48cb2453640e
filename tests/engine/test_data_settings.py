import pytest
from odd_images import write_odd_images
from our_configs import TOP, check_each, names, read

from pinas_mm.engine.config import load_config
from pinas_mm.engine.data_settings import complete
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
    complete(config)
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
