"""Turns the training of any mm model with a searchable backbone into single-path supernet training."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ...errors import InputError
from ...models.backbones import SearchableBackbone
from ...registry import HOOKS
from ...spaces import arch_rng


@HOOKS.register_module()
class ArchSamplingHook(Hook):
    """Sets a uniformly sampled arch before every training iteration (SPOS, Guo et al., ECCV 2020).

    The arch of iteration t is a pure function of (seed, t): the same on every rank and after a resume.

    Args:
        seed: Seed of the archs.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def before_train(self, runner: Runner) -> None:
        supernet_of(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | tuple | list | None = None) -> None:
        backbone = supernet_of(runner)
        backbone.set_arch(backbone.space.sample(arch_rng(self.seed, runner.iter)))


def supernet_of(runner: Runner) -> SearchableBackbone:
    """The supernet in the runner's model.

    Raises:
        InputError: The model's backbone is not searchable, or is a subnet.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, SearchableBackbone):
        raise InputError(f'{type(model).__name__} has no searchable backbone: expected one of pinas_mm as model.backbone')
    if not backbone.is_supernet:
        raise InputError(f'model.backbone was built with arch={backbone.space.encode(backbone.arch)}: a supernet (arch=None) is needed')
    return backbone
