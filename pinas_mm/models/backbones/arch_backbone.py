"""What every searchable backbone is: one class that runs as supernet and as subnet."""

import logging
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from os import PathLike
from typing import Any, ClassVar

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule, PretrainedInit, constant_init
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from ...checkpoint import load_strict
from ...errors import InputError
from ...registry import class_of
from ...schema import WholeNumber, check_arguments, check_when_made
from ...settings import plain_settings
from ...spaces import Arch, SearchSpace
from ...spaces.subnet_file import Channels, SubnetFile, Width, is_file_name, read_arch

# A part, and what was chosen up to it.
Prefix = tuple[int, tuple[Any, ...]]


class BuiltAsFound(ABCMeta):
    """Builds a backbone of a subnet file with the arguments that the file holds
    (:class:`~pinas_mm.spaces.subnet_file.SubnetFile`), where they are not given, and keeps on it
    what a subnet file of it has to hold. A class checks them like given ones."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        arch = next((value for value in (kwargs.get('arch'), *args) if is_file_name(value)), None)
        found = cls.arguments_in(arch) if arch is not None else {}  # type: ignore[attr-defined]
        kwargs |= {name: value for name, value in found.items() if kwargs.get(name) is None}
        backbone = super().__call__(*args, **kwargs)
        backbone.file_arguments = plain_settings(
            {name: kwargs[name] for name in backbone.kept_arguments if kwargs.get(name) is not None}
        )
        return backbone


@check_when_made
class ArchBackbone(BaseModule, metaclass=BuiltAsFound):
    """A backbone that runs an arch of a :class:`~pinas_mm.spaces.SearchSpace`: a stem, the
    positions in order, and the tail some spaces have.

    Without ``arch`` it is the supernet and :meth:`set_arch` chooses what runs. With ``arch`` only
    the chosen candidates exist, under the same parameter names, so that a subnet inherits from a
    supernet checkpoint with ``init_cfg=dict(type='Pretrained', checkpoint=...,
    prefix='backbone.')``. Every tensor of the
    subnet must be in the checkpoint, with the same shape; otherwise loading fails and names it.

    Args:
        arch: None for the supernet; for a subnet an arch as a list or as text, or a subnet file
            (:func:`~pinas_mm.spaces.subnet_file.read_arch`).
        widen_factor: Multiplies every channel count. Defaults to the subnet file's, else 1.0.
        out_indices: Stages whose feature maps are returned; ``space.num_stages`` stands for the
            tail, which is only built then. Defaults to the last of these.
        frozen_stages: -1 freezes nothing, 0 the stem, ``k`` also the first ``k`` stages (the tail
            counts as one more).
        frozen_norm_eval: Whether the BN layers of what is frozen run in eval mode, as in mmdet.
            False leaves them in train mode: the linear training of a supernet, where no running
            statistics fit all archs.
        norm_eval: Whether every BN layer runs in eval mode while training.
        with_cp: Whether to keep only the positions' inputs while training and run them again in the
            backward pass: less memory, about a third more time. BN statistics are those of one run.
        zero_init_residual: Whether the last BN of every residual branch starts at zero, so that
            every block starts as its shortcut. Published for Pi-NAS; without it and without BN in
            the projection head, learning stays at ln(K + 1).
        in_channels: Channels of the images. Defaults to the subnet file's, else 3.
        conv_cfg, norm_cfg: As in every mm backbone.
        init_cfg: As in every mm backbone; the default is Kaiming for convolutions.

    Attributes:
        kept_arguments: Names of a class's own arguments, given by name, that decide what a subnet
            computes, such as strides. Weights fit without them, so a subnet file holds them. Plain
            data alone: of what is built by its type (``act_cfg``), a file would choose the code.
        file_arguments: Those of them that this backbone was given.
    """

    space: SearchSpace
    kept_arguments: ClassVar[tuple[str, ...]] = ()
    file_arguments: dict[str, Any]

    def __init__(
        self,
        arch: Sequence[int] | str | int | PathLike | None = None,
        widen_factor: Width | None = None,
        out_indices: Sequence[WholeNumber] | None = None,
        frozen_stages: int = -1,
        frozen_norm_eval: bool = True,
        norm_eval: bool = False,
        with_cp: bool = False,
        zero_init_residual: bool = True,
        in_channels: Channels | None = None,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            init_cfg
            or [
                dict(type='Kaiming', layer='Conv2d', mode='fan_out', nonlinearity='relu'),
                dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
            ]
        )
        self.fixed_arch, subnet = None, None
        if arch is not None:
            self.fixed_arch, subnet = read_arch(arch, self.space, f'arch of {type(self).__name__}')
        self.widen_factor = self._given_or_found('widen_factor', widen_factor, subnet, arch)
        self.in_channels = self._given_or_found('in_channels', in_channels, subnet, arch)
        self._arch = self.fixed_arch
        last = self.space.num_stages if self.space.tail_channels else self.space.num_stages - 1
        self.out_indices = (last,) if out_indices is None else tuple(out_indices)
        if not self.out_indices or [
            index for index in range(last + 1) if index in self.out_indices
        ] != [*self.out_indices]:
            raise InputError(
                f'out_indices={self.out_indices} of {type(self).__name__}: expected stages 0 to '
                f'{last}, each once, in order'
            )
        if not -1 <= frozen_stages <= last + 1:
            raise InputError(
                f'frozen_stages={frozen_stages} of {type(self).__name__}: expected -1 to {last + 1}'
            )
        self.frozen_stages = frozen_stages
        self.frozen_norm_eval = frozen_norm_eval
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self.zero_init_residual = zero_init_residual
        self.part_runner: Callable[[int, Arch, Tensor], Tensor] | None = None
        # Whether somebody runs archs who answers for their BN statistics (`borrowed`).
        self.is_borrowed = False
        self._has_warned = self._has_warned_in_training = False
        # One factor per slot, (num_slots, ), for the outputs of the blocks that read it; DSNAS sets
        # it for a pass.
        self.gates: Tensor | None = None
        self.conv_cfg = conv_cfg
        self.norm_cfg = norm_cfg or dict(type='BN', requires_grad=True)

        self.has_tail = self.space.num_stages in self.out_indices
        self.build()
        self._freeze()

    # What a kind of backbone adds: its modules, and how a part of a path runs them.

    @abstractmethod
    def build(self) -> None:
        """Makes the modules: all of a supernet's, or those of ``fixed_arch``. A tail only where
        ``has_tail`` says so: without gradients for one that nothing reads, plain data parallel
        training would stop."""

    @abstractmethod
    def run_part(self, part: int, arch: Arch, x: Tensor) -> Tensor:
        """Runs one part of the path of ``arch``: 0 is the stem, ``i + 1`` position ``i``, the last
        one the tail."""

    @abstractmethod
    def part_path(self, part: int, arch: Arch) -> list[nn.Module]:
        """The modules that one part runs for ``arch``."""

    @abstractmethod
    def part_modules(self, part: int) -> list[nn.Module]:
        """All modules of one part, whatever arch runs."""

    @abstractmethod
    def prefix(self, part: int, arch: Arch) -> Prefix:
        """What the output of a part depends on: the part, and what was chosen up to it."""

    @abstractmethod
    def residual_norms(self) -> Iterator[nn.Module]:
        """The last norm layer of every residual branch, for ``zero_init_residual``."""

    @abstractmethod
    def gated_slots(self, index: int, arch: Arch) -> Sequence[int]:
        """The slots whose gates are put on the output of position ``index``."""

    @abstractmethod
    def subnet_state(self, arch: Arch) -> dict[str, Tensor]:
        """The tensors of the subnet ``arch`` by name, taken out of this supernet."""

    @abstractmethod
    def beyond_subnet(self, state: Mapping[str, Tensor], prefix: str) -> list[str]:
        """The names in a checkpoint of what only a supernet has, or another subnet than this.

        Args:
            state: The checkpoint's tensors.
            prefix: Prefix of this backbone's names in it.
        """

    def may_be_a_supernets(self) -> bool:
        """Whether the weights of this subnet may be a supernet's, of which :meth:`beyond_subnet`
        finds nothing."""
        return False

    def check_left(self, left: set[str], path: str | PathLike) -> None:
        """See :class:`~pinas_mm.checkpoint.ChecksLeft`.

        Raises:
            InputError: The checkpoint is of another subnet.
        """

    # What all share.

    @property
    def space_arguments(self) -> dict[str, Any]:
        """The arguments that say which of the spaces that the class knows this one has."""
        return {}

    @classmethod
    def arguments_in(cls, path: str | PathLike) -> dict[str, Any]:
        """The arguments that a subnet file holds for this class; none where it is of another one's
        space.

        Raises:
            InputError: It cannot be read, or one is not kept or does not fit.
        """
        subnet = SubnetFile.read(path)
        if subnet.space not in [space.name for space in cls.known_spaces()]:
            return {}
        for name in subnet.arguments:
            if name not in cls.kept_arguments:
                raise InputError(
                    f'{path}: arguments.{name}: unknown key, expected some of '
                    f'{list(cls.kept_arguments)}'
                )
        check_arguments(cls, subnet.arguments, f'{path}: arguments', complete=False)
        return subnet.arguments

    @classmethod
    def known_spaces(cls) -> tuple[SearchSpace, ...]:
        """The spaces that this class can be built with."""
        return (cls.space,) if hasattr(cls, 'space') else ()

    @classmethod
    def space_of(cls, settings: Mapping[str, Any]) -> SearchSpace:
        """The space of the backbone that a config's settings build."""
        return cls.space

    def sharing_key(self, arch: Arch) -> tuple[Prefix, Arch]:
        """In the order of this key, archs that share their first parts stand together."""
        return self.prefix(len(self.space.positions), arch), arch

    def in_shared_order(self, archs: Iterable[Arch]) -> list[Arch]:
        """Each arch once, in the order of :meth:`sharing_key`."""
        return sorted(set(archs), key=self.sharing_key)

    @property
    def is_supernet(self) -> bool:
        return self.fixed_arch is None

    @property
    def arch(self) -> Arch:
        """The active arch.

        Raises:
            RuntimeError: A supernet in which none was set yet.
        """
        if self._arch is None:
            raise RuntimeError(
                f'{type(self).__name__} is a supernet without an active arch: call set_arch, add '
                'ArchSamplingHook for training, validate with pinas_mm.ArchValLoop and test with '
                'pinas_mm.ArchTestLoop, or give it arch=[...] to make it a subnet'
            )
        return self._arch

    def set_arch(self, arch: Sequence[int]) -> None:
        """Makes ``arch`` the one that runs.

        Raises:
            InputError: Not an arch of the space, or another arch than the one this subnet was built
                with.
        """
        arch = self.space.validate(arch, f'{type(self).__name__}.set_arch')
        if self.fixed_arch is not None and arch != self.fixed_arch:
            raise InputError(
                f'arch {self.space.encode(arch)} asked of a subnet built with '
                f'{self.space.encode(self.fixed_arch)}'
            )
        self._arch = arch

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the active arch at ``out_indices``.

        Args:
            x: Images ``(N, in_channels, H, W)``.

        Returns:
            One ``(N, C_i, H_i, W_i)`` per entry of ``out_indices``.
        """
        outs = []
        for stage, feature in enumerate(self.stage_maps(x)):
            if stage in self.out_indices:
                outs.append(feature)
        if self.has_tail:
            outs.append(self._part_runner(self.num_parts - 1, self.arch, feature))
        return tuple(outs)

    def stage_maps(self, x: Tensor, inputs: Sequence[Tensor] | None = None) -> Iterator[Tensor]:
        """Runs the active arch stage by stage, without the tail.

        Args:
            x: Images ``(N, in_channels, H, W)``.
            inputs: What the second stage and each later one reads, ``(N, C, H, W)``. Defaults to
                what the stage before gave; block-wise learning has other inputs.

        Yields:
            The feature map of every stage, ``(N, C_i, H_i, W_i)``.
        """
        arch = self.arch
        if self.is_supernet and not (self.training or self.is_borrowed or self._has_warned):
            self._warn_of_mixed_statistics()
        run_part, positions = self._part_runner, self.space.positions
        x = run_part(0, arch, x)
        for index, position in enumerate(positions):
            if inputs is not None and index and positions[index - 1].stage != position.stage:
                x = inputs[position.stage - 1]
            x = run_part(index + 1, arch, x)
            x = self.gated(self.gated_slots(index, arch), x)
            if index + 1 == len(positions) or positions[index + 1].stage != position.stage:
                yield x

    @property
    def _part_runner(self) -> Callable[[int, Arch, Tensor], Tensor]:
        return self.part_runner or (
            self._run_checkpointed if self.with_cp and self.training else self.run_part
        )

    def has_statistics_of(self, arch: Arch) -> bool:
        """Whether the running statistics of BN are those of ``arch``. Those of a supernet are a
        mixture over archs."""
        return not self.is_supernet

    def _warn_of_mixed_statistics(self) -> None:
        """Warns once where BN in eval mode normalises by running statistics that are not those of
        the arch."""
        self._has_warned = any(map(_runs_by_statistics, self.path(self.arch))) and (
            not self.has_statistics_of(self.arch)
        )
        if self._has_warned:
            print_log(
                f'{type(self).__name__} is a supernet, and the BN statistics that it runs with in '
                f'eval mode are of no single arch: scores are noise. Validate with '
                f"val_cfg=dict(type='pinas_mm.ArchValLoop', ...) and test with "
                f"test_cfg=dict(type='pinas_mm.ArchTestLoop', ...), which recalibrate BN for each "
                f'arch.',
                logger='current',
                level=logging.WARNING,
            )

    def _warn_of_frozen_statistics(self) -> None:
        """Warns once where a supernet trains with BN in eval mode. The stem's is every arch's."""
        positions = range(1, 1 + len(self.space.positions))
        self._has_warned_in_training = any(
            _runs_by_statistics(module) for part in positions for module in self.part_modules(part)
        )
        if self._has_warned_in_training:
            print_log(
                f'{type(self).__name__} is a supernet, and trains with BN in eval mode, by '
                f'statistics that are of no single arch; a search recalibrates BN for each arch, '
                f'and so scores other networks. Train a supernet with norm_eval=False and '
                f'frozen_norm_eval=False.',
                logger='current',
                level=logging.WARNING,
            )

    def gated(self, slots: Sequence[int], x: Tensor) -> Tensor:
        """A block's output times the gates of slots (:meth:`gated_slots`)."""
        if self.gates is not None:
            for slot in slots:
                x = _Gate.apply(x, self.gates[slot])
        return x

    def costs_of_subnets(self) -> AbstractContextManager[None]:
        """Within it every part of a supernet costs what it costs in a subnet. What it computes may
        be another thing, of the same shape."""
        return nullcontext()

    def runs_as_subnets(self) -> AbstractContextManager[None]:
        """Within it a supernet takes the time that its subnets take."""
        return nullcontext()

    # A path in parts: 0 is the stem, i + 1 position i, the last one the tail. Who sets
    # ``part_runner`` decides how parts run; the evaluator does, to run what many archs share once.

    @property
    def num_parts(self) -> int:
        return 1 + len(self.space.positions) + self.has_tail

    def _run_checkpointed(self, part: int, arch: Arch, x: Tensor) -> Tensor:
        """Runs one part so that its inner activations are not kept; the stem is not checkpointed,
        as in mm's ResNets."""
        if part == 0 or not x.requires_grad:
            return self.run_part(part, arch, x)
        contexts = partial(_forward_and_rerun, self.part_path(part, arch))
        return checkpoint(self.run_part, part, arch, x, use_reentrant=False, context_fn=contexts)

    def path(self, arch: Arch) -> list[nn.Module]:
        """The modules that run for ``arch``, in order: stem, the parts of every position, tail."""
        return [module for part in range(self.num_parts) for module in self.part_path(part, arch)]

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of the feature maps returned, one per entry of ``out_indices``: a neck's
        ``in_channels``."""
        stages = {position.stage: position.out_channels for position in self.space.positions}
        return tuple(
            self.channels(stages.get(index, self.space.tail_channels)) for index in self.out_indices
        )

    def channels(self, full: int | None) -> int:
        """The channel count at this width."""
        assert full is not None  # asked for the tail of a space without one
        return max(1, round(full * self.widen_factor))

    def init_weights(self) -> None:
        """Initialises as every mm module does, except that ``Pretrained`` is strict and cannot run
        code.

        Raises:
            InputError: A pretrained checkpoint that lacks a key of this backbone or has another
                shape for it, one of another subnet, or ``Pretrained`` among other entries.
        """
        configs = _init_configs(self)
        pretrained = [config for config in configs if is_pretrained(config)]
        if pretrained:
            if len(configs) > 1:
                raise InputError(
                    f"init_cfg of {type(self).__name__}: 'Pretrained' fills everything, but is "
                    f'one of {len(configs)} entries'
                )
            load_strict(self, pretrained[0]['checkpoint'], pretrained[0].get('prefix', ''))
            self._is_init = True
            return
        super().init_weights()
        if self.zero_init_residual:
            for norm in self.residual_norms():
                constant_init(norm, 0)

    def train(self, mode: bool = True) -> 'ArchBackbone':
        super().train(mode)
        if mode:
            frozen = self._frozen_modules() if self.frozen_norm_eval else []
            for module in [self] if self.norm_eval else frozen:
                for layer in module.modules():
                    if isinstance(layer, _BatchNorm):
                        layer.eval()
            if self.is_supernet and not (self.is_borrowed or self._has_warned_in_training):
                self._warn_of_frozen_statistics()
        return self

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        stages = [-1, *(position.stage for position in self.space.positions)]
        stages += [self.space.num_stages] * self.has_tail
        return [
            module
            for part, stage in enumerate(stages)
            if stage < self.frozen_stages
            for module in self.part_modules(part)
        ]

    def _freeze(self) -> None:
        for module in self._frozen_modules():
            for parameter in module.parameters():
                parameter.requires_grad_(False)

    def _given_or_found(
        self, name: str, given: Any, subnet: SubnetFile | None, path: object
    ) -> Any:
        """What the network is built with: as given, else as the subnet file of ``path`` has it,
        else the file's default.

        Raises:
            InputError: It is another one than the file's.
        """
        value = getattr(SubnetFile if subnet is None else subnet, name) if given is None else given
        if subnet is not None and value != getattr(subnet, name):
            raise InputError(
                f'{path}: found at {name}={getattr(subnet, name)}, but {type(self).__name__} was '
                f'given {value}'
            )
        return value


def is_pretrained(init_cfg: Mapping[str, Any]) -> bool:
    """Whether an entry of an ``init_cfg`` names a checkpoint, however its type is written."""
    return issubclass(class_of(init_cfg, WEIGHT_INITIALIZERS), PretrainedInit)


def pretrained_files(module: nn.Module) -> list[str]:
    """The checkpoints that a module's own ``init_cfg`` names."""
    return [config['checkpoint'] for config in _init_configs(module) if is_pretrained(config)]


def _init_configs(module: nn.Module) -> list[dict[str, Any]]:
    configs = getattr(module, 'init_cfg', None) or []
    return [configs] if isinstance(configs, dict) else list(configs)


def _runs_by_statistics(module: nn.Module) -> bool:
    """Whether BN in it normalises by running statistics."""
    return any(
        isinstance(layer, _BatchNorm) and layer.track_running_stats and not layer.training
        for layer in module.modules()
    )


class _Gate(torch.autograd.Function):
    """``x * gate``, with the gradient of the gate summed in full precision: in half precision a
    scaled loss would soon overflow in it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gate: Tensor) -> Tensor:
        ctx.save_for_backward(x, gate)
        return x * gate

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, gate = ctx.saved_tensors
        return gradient * gate, (gradient.to(gate.dtype) * x.to(gate.dtype)).sum()


def _forward_and_rerun(
    modules: list[nn.Module],
) -> tuple[AbstractContextManager, AbstractContextManager]:
    return nullcontext(), _StatisticsKept(modules)


class _StatisticsKept(AbstractContextManager):
    """Within it BN layers that train normalise by their batch, as ever, but leave their running
    statistics alone. It can be entered again, since a graph can be gone through twice."""

    def __init__(self, modules: list[nn.Module]) -> None:
        self.modules = modules

    def __enter__(self) -> None:
        layers = [
            layer
            for module in self.modules
            for layer in module.modules()
            if isinstance(layer, _BatchNorm) and layer.training and layer.track_running_stats
        ]
        self.momenta = [(layer, layer.momentum) for layer in layers]
        for layer in layers:
            layer.momentum = 0.0

    def __exit__(self, *error: object) -> None:
        for layer, momentum in self.momenta:
            layer.momentum = momentum
            if layer.num_batches_tracked is not None:
                layer.num_batches_tracked -= 1
