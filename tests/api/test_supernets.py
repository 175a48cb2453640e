import copy

import pytest
import torch
from mmengine.config import Config
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)
from torchvision.models import resnet18

import pinas_mm as nas
from pinas_mm.checkpoint import load_checkpoint
from pinas_mm.errors import InputError
from pinas_mm.spaces import SPACES, get_space


def test_a_supernet_of_a_config_has_the_weights_of_its_checkpoint(supernet, checkpoint, config):
    state = load_checkpoint(checkpoint)['state_dict']
    found = supernet.model.state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key].cpu(), value) for key, value in state.items())
    assert supernet.space is get_space('nasbench_macro') and not supernet.model.training
    assert supernet.is_trained and str(checkpoint) in repr(supernet)
    assert 'search_loop' not in config, 'the config itself is left as it was'


def test_a_config_file_and_one_that_ships_are_read(tmp_path):
    shipped = nas.supernet('pinas_mm::quickstart/search.py')
    assert shipped.name == 'search' and shipped.config.search_loop.num_archs == 96
    assert not shipped.is_trained
    path = nas.config_path('pinas_mm::quickstart/search.py')
    own = nas.supernet(path, overrides={'search_loop.num_archs': 7})
    assert own.config.search_loop.num_archs == 7
    given = copy.deepcopy(own.config)
    again = nas.supernet(own.config, overrides={'search_loop.num_archs': 8})
    assert again.config.search_loop.num_archs == 8 and own.config.to_dict() == given.to_dict()


def floats(count, classes=5, size=64):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, size, size, generator=generator)
    return TensorDataset(images, torch.randint(0, classes, (count,), generator=generator))


def test_an_elastic_backbone_starts_from_torchvisions_weights(tmp_path):
    torch.manual_seed(0)
    theirs = resnet18(num_classes=5).eval()
    torch.save(theirs.state_dict(), 'resnet18.pth')
    own = nas.supernet('elastic_resnet18', 'resnet18.pth', train=floats(32), val=floats(16))
    assert own.is_trained and own.model.head.num_classes == 5
    # The largest arch is torchvision's network, whose BN statistics are as they were.
    own.backbone.set_arch(own.space.largest)
    images = floats(2).tensors[0]
    with torch.no_grad():
        expected, found = theirs(images), own.model(images.to(next(own.model.parameters()).device))
    assert torch.allclose(found.cpu(), expected, atol=1e-4)
    # Floats are normalised already.
    data = own.model.data_preprocessor(dict(inputs=[*images], data_samples=None))['inputs']
    assert torch.equal(data.cpu(), images)


def test_a_network_without_a_classifier_has_scores_that_train_nothing_alone():
    state = resnet18(num_classes=5).state_dict()
    torch.save({key: value for key, value in state.items() if 'fc' not in key}, 'backbone.pth')
    own = nas.supernet(
        'elastic_resnet18',
        'backbone.pth',
        train=floats(32),
        val=floats(16),
        overrides={'model.head.num_classes': 5},
    )
    assert own.untrained == ('head.fc.weight', 'head.fc.bias') and not own.is_trained
    for call in (lambda: nas.search(own, archs=2), lambda: nas.evaluate(own, ['0' * 12])):
        with pytest.raises(
            InputError, match='backbone.pth has no head.fc.weight, head.fc.bias: expected'
        ):
            call()


def test_pil_images_and_bytes_are_normalised_as_rgb(config, checkpoint, images):
    """As mm does with what it loads: BGR, made RGB by the preprocessor."""
    train, val = images
    flipped = copy.deepcopy(config)
    flipped.model.data_preprocessor.update(to_rgb=True, mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0])
    own = nas.supernet(flipped, checkpoint, train=train, val=val)
    colours = TensorDataset(torch.arange(3, dtype=torch.uint8).view(1, 3, 1, 1) * 50, torch.ones(1))
    for dataset in (colours, [(torch.zeros(3, 1, 1), 1)]):
        assert len(dataset) == 1
    own = nas.supernet(flipped, checkpoint, train=train, val=colours)
    sample = own.config.val_dataloader.dataset[0]
    data = own.model.data_preprocessor(
        dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
    )
    expected = (torch.tensor([0.0, 50.0, 100.0]) - torch.tensor([1.0, 2.0, 3.0])) / torch.tensor(
        [4.0, 5.0, 6.0]
    )
    assert torch.allclose(data['inputs'].flatten().cpu(), expected)


def test_images_may_come_as_a_loader_or_an_mm_config(config, checkpoint, images):
    train, val = images
    loader = DataLoader(val, batch_size=8, num_workers=1)
    own = nas.supernet(config, checkpoint, train=train, val=loader, batch_size=32)
    assert (own.config.val_dataloader.batch_size, own.config.val_dataloader.num_workers) == (8, 1)
    assert own.arch_evaluation()['calibration_dataloader'].batch_size == 32
    dataset = dict(
        type='pinas_mm.Digits', split='test', indices=20, pipeline=[dict(type='PackInputs')]
    )
    own = nas.supernet(config, checkpoint, val=dataset)
    assert own.config.val_dataloader.dataset == dataset
    assert own.config.val_dataloader.batch_size == config.val_dataloader.batch_size
    assert len(own.evaluator().loader.dataset) == 20
    whole = dict(config.val_dataloader.to_dict(), batch_size=4)
    assert nas.supernet(config, checkpoint, val=whole).config.val_dataloader.batch_size == 4


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(sampler=SubsetRandomSampler(range(8))), 'val: a DataLoader with SubsetRandomSampler'),
        (dict(sampler=WeightedRandomSampler([1.0] * 64, 64)), 'WeightedRandomSampler'),
        (dict(sampler=RandomSampler(range(64), num_samples=8)), 'RandomSampler of 8 samples'),
        (dict(batch_sampler=BatchSampler(range(8), 4, False)), 'a batch_sampler of its own'),
        (dict(collate_fn=lambda samples: default_collate(samples)), 'a collate_fn of its own'),
    ],
)
def test_a_loader_that_chooses_or_changes_images_is_refused(config, images, settings, message):
    """Archs are scored on the dataset, every image once."""
    with pytest.raises(InputError, match=f'{message}.*expected') as error:
        nas.supernet(config, val=DataLoader(images[1], **settings))
    if 'collate_fn' not in settings:
        assert 'torch.utils.data.Subset(dataset, indices)' in str(error.value)


def test_a_loader_that_reads_every_image_once_is_taken(config, images):
    for settings in (dict(shuffle=True), dict(batch_size=None), dict(drop_last=True, batch_size=9)):
        own = nas.supernet(config, val=DataLoader(Subset(images[1], range(10)), **settings))
        assert len(own.config.val_dataloader.dataset) == 10


def test_a_loader_of_a_stream_is_named_as_one(config):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter([])

    with pytest.raises(InputError, match='val: Stream has no samples or no length'):
        nas.supernet(config, val=DataLoader(Stream()))


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(source='elastic_resnet19'), "source='elastic_resnet19': no such space, expected one"),
        (dict(source='elastic_resnet18'), 'is a space and brings no images: give train and val'),
        (dict(source='elastic_resnet18', val=floats(4)), 'no images: give train, such as'),
        (dict(source='none.py'), 'none.py: no such config file'),
        (dict(source='c.yaml'), 'c.yaml: no such config file'),
        (dict(source='configs/none'), 'configs/none: no such config file'),
        (dict(source='pinas_mm::quickstart/none'), 'source: .*ships no such config'),
        (dict(source='pinas_mm::none.py'), 'source: .*pinas_mm ships no such config'),
        (dict(source=3), 'source=int: expected the path of a config file'),
        (dict(source=Config()), 'source=supernet: the config has no model'),
        (dict(checkpoint='none.pth'), 'checkpoint=none.pth: no such file'),
        (dict(batch_size=0), 'batch_size=0: expected a whole number'),
        (dict(train=[1, 2]), r'train=\[1, 2\]: expected a torch Dataset of \(image, label\)'),
        (dict(val=7), 'val=int: expected a torch Dataset'),
        (dict(val=floats(4)), 'train and val: one gives float tensors and the other images'),
        (
            dict(train=floats(32, size=32), val=floats(4, classes=40, size=32)),
            'val: a label is [1-3][0-9], but the head of supernet has the 10 classes 0 to 9',
        ),
    ],
)
def test_what_does_not_fit_is_named(config, arguments, message):
    with pytest.raises(InputError, match=message):
        nas.supernet(**dict(source=config) | arguments)


def test_an_unknown_name_lists_all_spaces():
    with pytest.raises(InputError) as error:
        nas.supernet('resnet')
    assert all(repr(name) in str(error.value) for name in SPACES)


def test_another_checkpoint_is_named(config, tmp_path):
    torch.save(resnet18(num_classes=5).state_dict(), 'resnet18.pth')
    with pytest.raises(InputError, match='resnet18.pth: does not fit this ImageClassifier'):
        nas.supernet(config, 'resnet18.pth')


@pytest.mark.parametrize('name', [name for name in SPACES if name.startswith('elastic')])
def test_every_elastic_backbone_is_built_by_its_name(name):
    own = nas.supernet(
        name, train=floats(16), val=floats(2), overrides={'model.head.num_classes': 5}
    )
    own.backbone.set_arch(own.space.smallest)
    own.model.train()
    images = floats(2).tensors[0].to(next(own.model.parameters()).device)
    assert own.model(images).shape == (2, 5) and own.space.name == name
