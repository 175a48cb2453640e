import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from pinas_mm.engine.loader_settings import check_loaders
from pinas_mm.engine.runner import build_runner
from pinas_mm.errors import InputError

FAULTS = [
    (
        dict(persistent_workers=True),
        r'\.persistent_workers=True: expected .*num_workers of at least 1 with it, or '
        r'persistent_workers=False',
    ),
    (dict(prefetch_factor=4), r'\.prefetch_factor=4: expected .*or prefetch_factor=None'),
    (dict(timeout=5), r'\.timeout=5: expected .*or timeout=0'),
    (dict(multiprocessing_context='fork'), r"\.multiprocessing_context='fork': expected"),
    (dict(num_workers=-1), r'\.num_workers=-1: expected a whole number of at least 0'),
    (dict(num_workers='2'), r"\.num_workers='2': expected a whole number of at least 0"),
    (dict(batch_size=0), r'\.batch_size=0: expected a whole number of at least 1'),
    (dict(batch_size=2.5), r'\.batch_size=2.5: expected a whole number of at least 1'),
    (dict(shuffle=True), r"\.shuffle=True: expected sampler=dict\(type='DefaultSampler'"),
    (dict(dataset=None), r' has no dataset: expected dataset=dict\(type='),
    (
        dict(batch_sampler=dict(type='AspectRatioBatchSampler'), drop_last=True),
        r'\.drop_last=True: expected it as an argument of the batch_sampler',
    ),
]


@pytest.mark.parametrize('fault, message', FAULTS)
@pytest.mark.parametrize(
    'key',
    [
        'train_dataloader',
        'val_dataloader',
        'test_dataloader',
        'arch_evaluation.calibration_dataloader',
    ],
)
def test_a_loader_that_cannot_be_built_is_named(tiny, key, fault, message):
    config = Config()
    config.merge_from_dict({key: tiny.digits()})
    check_loaders(config)
    config.merge_from_dict({f'{key}.{name}': value for name, value in fault.items()})
    with pytest.raises(InputError, match=f'^{key}{message}'):
        check_loaders(config)


@pytest.mark.parametrize(
    'fault',
    [fault for fault, _ in FAULTS if not {'dataset', 'batch_sampler', 'timeout'} & {*fault}],
)
def test_torch_refuses_them_too(tiny, fault):
    """Each of these is a traceback of the loader's own, or one of its first batch."""
    with pytest.raises((ValueError, TypeError)):
        next(iter(Runner.build_dataloader(tiny.digits() | fault)))


def test_loaders_of_hooks_and_loops_are_checked(tiny):
    wrong = tiny.digits(persistent_workers=True)
    for key, config in {
        'custom_hooks.1.bank_dataloader': dict(custom_hooks=[{}, dict(bank_dataloader=wrong)]),
        'search_loop.calibration_dataloader': dict(search_loop=dict(calibration_dataloader=wrong)),
    }.items():
        with pytest.raises(InputError, match=rf'^{key}\.persistent_workers=True'):
            check_loaders(Config(config))


def test_what_a_batch_sampler_and_a_training_need(tiny):
    loader = tiny.digits(batch_sampler=dict(type='BatchSampler'))
    check_loaders(Config(dict(train_dataloader=loader)))
    del loader['batch_size']
    with pytest.raises(InputError, match='train_dataloader has no batch_size'):
        check_loaders(Config(dict(train_dataloader=loader)))
    loader = tiny.digits()
    del loader['sampler']
    none = loader | dict(sampler=None)  # mm's own word for no sampler, which a stream needs
    check_loaders(Config(dict(train_dataloader=none, train_cfg=dict(max_epochs=1))))
    check_loaders(Config(dict(train_dataloader=loader)))  # it may serve to recalibrate BN alone
    with pytest.raises(InputError, match='train_dataloader has no sampler: expected sampler=dict'):
        check_loaders(Config(dict(train_dataloader=loader, train_cfg=dict(max_epochs=1))))


def test_what_a_stage_changes_in_a_loader_is_no_loader():
    check_loaders(Config(dict(subnet_stage=dict(train_dataloader=dict(persistent_workers=True)))))


def test_a_runner_is_built_of_loaders_that_can_be(tiny):
    config = tiny.config(test_dataloader=tiny.digits(prefetch_factor=2))
    with pytest.raises(InputError, match='test_dataloader.prefetch_factor=2'):
        build_runner(config)
