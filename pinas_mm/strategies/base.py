"""A model that holds an mm model and owns its train step: supernet training that needs several
passes per step."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import Tensor

from ..errors import InputError
from ..models.backbones import ArchBackbone
from ..models.selfsup import PiNAS
from ..models.step_count import count_steps
from ..private_api import module_versions, set_inner_count
from ..registry import MODELS
from ..schema import Seed
from ..spaces import Arch, SearchSpace, arch_rng

Pass = tuple[Arch, dict[str, Tensor]]


@runtime_checkable
class PathOptimWrapper(Protocol):
    """What an optimiser wrapper has that keeps the gradients of different paths apart.

    A strategy tells it which path follows. Such a wrapper overrides ``backward``, to take what a
    pass added to the gradients, and ``step``."""

    def begin_pass(self, arch: Arch) -> None:
        """Every ``backward`` from here to the next call belongs to the path of ``arch``."""

    def held_gradients(self) -> list[Tensor]:
        """The gradients it keeps outside of the parameters' ``.grad``: several ranks average them
        in place before an update. In the same order on every rank."""


class Strategy(BaseModel):
    """An unmodified mm model whose supernet is trained over several paths per step; a subclass says
    over which (:meth:`passes`).

    ``model = dict(type='pinas_mm.FairStrategy', model=dict(type='ImageClassifier', ...))``. Only
    the train step is the strategy's; what else one asks of it (``backbone``, ``val_step``,
    ``data_preprocessor``, ...) is the inner model's, and its checkpoint is one of the inner model,
    under the same keys, with the strategy's own tensors (``step``) beside them.

    Several GPUs need ``model_wrapper_cfg = dict(type='pinas_mm.ActiveGradientDataParallel')``.
    Mixed precision and gradient accumulation are the optimiser wrapper's, as for any model.

    Args:
        model: Config of the inner model; its ``backbone`` is a supernet.
        arch_seed: The archs of step t are a pure function of (arch_seed, t), the same on every rank
            and after a resume.
        data_preprocessor: Goes to the inner model where that has none: mmengine's Runner gives a
            config's own to the outermost model.

    Raises:
        InputError: The inner model has no supernet, or is :class:`PiNAS`, which draws its paths
            itself.
    """

    step: int  # of count_steps

    def __init__(
        self, model: dict, arch_seed: Seed = 0, data_preprocessor: dict | None = None
    ) -> None:
        super(
            BaseModel, self
        ).__init__()  # not BaseModel's: it would build a second data preprocessor
        model = {**model}
        if data_preprocessor is not None:
            model.setdefault('data_preprocessor', data_preprocessor)
        self.model: BaseModel = MODELS.build(model)
        if isinstance(self.model, PiNAS):
            raise InputError(
                f'{type(self).__name__}: PiNAS draws two paths per step itself; expected an mm '
                f'model with a task loss'
            )
        backbone = getattr(self.model, 'backbone', None)
        if not isinstance(backbone, ArchBackbone):
            raise InputError(
                f'{type(self).__name__}: its {type(self.model).__name__} has no searchable '
                f'backbone, '
                'expected one of pinas_mm as model.model.backbone'
            )
        if not backbone.is_supernet:
            raise InputError(
                f'{type(self).__name__} trains a supernet, but model.model.backbone was given '
                f'arch={backbone.fixed_arch}'
            )
        self.arch_seed = arch_seed
        count_steps(self)  # before the hooks below, which take what is left for the inner model's
        # Functions, not methods: a copy of this module must call its own.
        self.register_state_dict_post_hook(_strip_prefix)
        self.register_load_state_dict_pre_hook(_add_prefix)

    # The step.

    def passes(self, data: Any) -> Iterator[Pass]:
        """Runs the forward passes of one step, and yields each with its arch before it runs the
        next one.

        The backward pass follows each at once, so what a pass hands to a later one has to be
        detached.

        Args:
            data: A batch as the data preprocessor returns it.

        Yields:
            The arch and its losses, as ``forward(mode='loss')`` returns them.
        """
        raise NotImplementedError

    def accumulate_gradients(
        self, data: dict | tuple | list, optim_wrapper: OptimWrapper
    ) -> dict[str, Tensor]:
        """Everything of a training step but the update: adds the gradients of all passes to what
        the parameters have.

        Each pass is followed by its backward pass, so the peak of memory is that of one path. For
        gradient accumulation all of them are one iteration.

        Args:
            data: A batch of the training loader.
            optim_wrapper: Scales the losses; a :class:`PathOptimWrapper` is told the arch of every
                pass.

        Returns:
            Values to log, each the mean over the passes that have it; ``loss`` is the mean of the
            passes' losses.
        """
        iteration, logs = optim_wrapper.inner_count, []
        with optim_wrapper.optim_context(self):
            data = self.model.data_preprocessor(data, True)
        for arch, losses in _each_within(
            self.passes(data), lambda: optim_wrapper.optim_context(self)
        ):
            loss, log_vars = self.model.parse_losses(losses)
            if isinstance(optim_wrapper, PathOptimWrapper):
                optim_wrapper.begin_pass(arch)
            # The wrapper counts backward passes; all of a step are one iteration.
            set_inner_count(optim_wrapper, iteration)
            optim_wrapper.backward(optim_wrapper.scale_loss(loss))
            logs.append(
                {name: torch.as_tensor(value).detach().float() for name, value in log_vars.items()}
            )
        self.step += 1
        names = dict.fromkeys(name for log in logs for name in log)
        return {
            name: torch.stack([log[name] for log in logs if name in log]).mean() for name in names
        }

    def train_step(
        self, data: dict | tuple | list, optim_wrapper: OptimWrapper
    ) -> dict[str, Tensor]:
        """:meth:`accumulate_gradients`, then the update where one is due."""
        log_vars = self.accumulate_gradients(data, optim_wrapper)
        if optim_wrapper.should_update():
            optim_wrapper.step()
            optim_wrapper.zero_grad()
        return log_vars

    def arch_rng(self, draw: int = 0, step: int | None = None) -> np.random.Generator:
        """The generator for draw ``draw`` of a step, by default the present one."""
        return arch_rng(self.arch_seed, self.step if step is None else step, draw)

    @property
    def space(self) -> SearchSpace:
        return self.model.backbone.space

    @property
    def learning_only(self) -> tuple[str, ...]:
        """Names of children and buffers that a subnet does not take with it: the strategy's own,
        and those that the inner model declares."""
        return ('step', *getattr(self.model, 'learning_only', ()))

    # The inner model's.

    def forward(
        self, inputs: Tensor | list, data_samples: list | None = None, mode: str = 'tensor'
    ) -> Any:
        """The inner model's, along the active arch.

        Raises:
            InputError: ``mode='loss'``: a step is several passes, each with a backward pass of its
                own.
        """
        if mode == 'loss':
            raise InputError(
                f"{type(self).__name__} owns its train step and has no forward(mode='loss'): on "
                f'several GPUs give the config '
                "model_wrapper_cfg = dict(type='pinas_mm.ActiveGradientDataParallel')"
            )
        return self.model(inputs, data_samples, mode=mode)

    def val_step(self, data: dict | tuple | list) -> list:
        return self.model.val_step(data)

    def test_step(self, data: dict | tuple | list) -> list:
        return self.model.test_step(data)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == 'model':  # not built yet
                raise
            return getattr(self.model, name)


class DrawnArchsStrategy(Strategy):
    """A strategy whose step is a forward and a backward pass of every arch that it draws, and
    nothing else, so that it can draw the archs of any training."""

    def draw_archs(self, step: int | None = None) -> list[Arch]:
        """The archs of a step, by default the present one: a pure function of the step."""
        raise NotImplementedError


def _each_within(
    passes: Iterator[Pass], context: Callable[[], AbstractContextManager]
) -> Iterator[Pass]:
    """The passes, each run within a context of its own that has ended when it is handed on:
    autocast is for forward passes only."""
    while True:
        with context():
            result = next(passes, None)
        if result is None:
            return
        yield result


def _strip_prefix(strategy: Strategy, state: Any, prefix: str, metadata: dict) -> None:
    inner = f'{prefix}model.'
    for key in [key for key in state if key.startswith(inner)]:
        state[prefix + key[len(inner) :]] = state.pop(key)
    # The versions of modules are looked up under the names in the model that loads: this one, or a
    # plain one.
    versions = module_versions(state)
    versions.update(
        {
            (prefix + name[len(inner) :]): version
            for name, version in versions.items()
            if name.startswith(inner)
        }
    )


def _add_prefix(strategy: Strategy, state: dict[str, Tensor], prefix: str, *unused: Any) -> None:
    own = {
        name
        for named in (strategy.named_buffers(recurse=False), strategy.named_children())
        for name, _ in named
    } - {'model'}
    for key in [
        key
        for key in state
        if key.startswith(prefix) and key[len(prefix) :].split('.')[0] not in own
    ]:
        state[f'{prefix}model.{key[len(prefix) :]}'] = state.pop(key)
