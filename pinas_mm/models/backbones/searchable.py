"""One backbone class that is both the supernet (every candidate) and the subnet (one arch)."""

import logging
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from os import PathLike
from typing import Any

import torch
from mmcv.cnn import build_conv_layer, build_norm_layer
from mmengine.logging import print_log
from mmengine.model import BaseModule, PretrainedInit, constant_init
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from ...checkpoint import load_strict
from ...errors import InputError
from ...registry import class_of
from ...schema import WholeNumber, check_when_made
from ...spaces import Arch, Candidate, Position, SearchSpace
from ...spaces.subnet_file import Channels, SubnetFile, Width, read_arch


@check_when_made
class SearchableBackbone(BaseModule, metaclass=ABCMeta):
    """A backbone over a :class:`~pinas_mm.spaces.SearchSpace`: ``stem``, the positions in order,
    and the ``tail`` some spaces have.

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
    """

    space: SearchSpace

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
        self._has_warned = False
        # One factor per slot, (num_slots, ), for the outputs of the blocks that read it; DSNAS sets
        # it for a pass.
        self.gates: Tensor | None = None
        self.conv_cfg = conv_cfg
        self.norm_cfg = norm_cfg or dict(type='BN', requires_grad=True)

        self.stem = self.build_stem()
        self.layers = nn.ModuleList(
            self.build_position(position) for position in self.space.positions
        )
        # Without gradients for a tail that nothing reads, plain data parallel training would stop.
        self.tail = self.build_tail() if self.space.num_stages in self.out_indices else None
        self._freeze()

    # What a space adds: its modules and how a position runs them.

    @abstractmethod
    def build_stem(self) -> nn.Module:
        """The module before position 0: images ``(N, in_channels, H, W)`` to ``(N, stem_channels,
        H', W')``."""

    @abstractmethod
    def build_candidate(self, position: Position, candidate: Candidate) -> nn.Module:
        """The block of one candidate at one position."""

    def build_position(self, position: Position) -> nn.ModuleDict:
        """The modules of one position: candidates by index, and what they share by name.

        Here and in :meth:`run` and :meth:`position_path` a position reads one slot; backbones of
        other spaces have their own."""
        (slot,) = position.slots
        return self.build_candidates(position, slot)

    def build_candidates(self, position: Position, slot: int) -> nn.ModuleDict:
        """The blocks of one slot at one position by index: every candidate's in a supernet, the
        chosen one's in a subnet."""
        chosen = (
            range(len(self.space.candidates[slot]))
            if self.fixed_arch is None
            else (self.fixed_arch[slot],)
        )
        return nn.ModuleDict(
            {
                str(choice): self.build_candidate(position, self.space.candidates[slot][choice])
                for choice in chosen
            }
        )

    def build_tail(self) -> nn.Module | None:
        """The unchosen end, for spaces with ``tail_channels``."""
        return None

    @abstractmethod
    def residual_norms(self) -> Iterator[nn.Module]:
        """The last norm layer of every residual branch, for ``zero_init_residual``."""

    def run(self, index: int, arch: Arch, x: Tensor) -> Tensor:
        """Runs position ``index`` as ``arch`` has it."""
        (slot,) = self.space.positions[index].slots
        return self.position(index)[str(arch[slot])](x)

    def position_path(self, index: int, arch: Arch) -> list[nn.Module]:
        """The modules that position ``index`` runs for ``arch``."""
        (slot,) = self.space.positions[index].slots
        return [self.position(index)[str(arch[slot])]]

    def position(self, index: int) -> nn.ModuleDict:
        """The modules of position ``index``, as :meth:`build_position` made them."""
        modules = self.layers[index]
        assert isinstance(modules, nn.ModuleDict)
        return modules

    # What every space shares.

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
        if self.tail is not None:
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
            if not position.parallel:
                x = self.gated(position.slots, x)
            if index + 1 == len(positions) or positions[index + 1].stage != position.stage:
                yield x

    @property
    def _part_runner(self) -> Callable[[int, Arch, Tensor], Tensor]:
        return self.part_runner or (
            self._run_checkpointed if self.with_cp and self.training else self.run_part
        )

    def _warn_of_mixed_statistics(self) -> None:
        """Warns once where BN in eval mode normalises by running statistics, which in a supernet
        are a mixture over archs."""
        modules = [module for part in self.path(self.arch) for module in part.modules()]
        self._has_warned = any(
            isinstance(module, _BatchNorm) and module.track_running_stats and not module.training
            for module in modules
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

    def gated(self, slots: Sequence[int], x: Tensor) -> Tensor:
        """A block's output times the gates of the slots it reads; a parallel position calls it in
        :meth:`run`, for each slot's output."""
        if self.gates is not None:
            for slot in slots:
                x = _Gate.apply(x, self.gates[slot])
        return x

    # A path in parts: 0 is the stem, i + 1 position i, the last one the tail. Who sets
    # ``part_runner`` decides how parts run; the evaluator does, to run what many archs share once.

    @property
    def num_parts(self) -> int:
        return 1 + len(self.space.positions) + (self.tail is not None)

    def run_part(self, part: int, arch: Arch, x: Tensor) -> Tensor:
        """Runs one part of the path of ``arch``."""
        if part == 0:
            return self.stem(x)
        if part <= len(self.space.positions):
            return self.run(part - 1, arch, x)
        assert self.tail is not None  # the last part is the tail, if there is one
        return self.tail(x)

    def _run_checkpointed(self, part: int, arch: Arch, x: Tensor) -> Tensor:
        """Runs one part so that its inner activations are not kept; the stem is not checkpointed,
        as in mm's ResNets."""
        if part == 0 or not x.requires_grad:
            return self.run_part(part, arch, x)
        contexts = partial(_forward_and_rerun, self.part_path(part, arch))
        return checkpoint(self.run_part, part, arch, x, use_reentrant=False, context_fn=contexts)

    def part_path(self, part: int, arch: Arch) -> list[nn.Module]:
        """The modules that one part runs for ``arch``."""
        if part == 0:
            return [self.stem]
        if part <= len(self.space.positions):
            return self.position_path(part - 1, arch)
        return [] if self.tail is None else [self.tail]

    def prefix(self, part: int, arch: Arch) -> tuple[int, tuple[int, ...]]:
        """What the output of a part depends on: the part, and the choices read up to it."""
        read = dict.fromkeys(
            slot for position in self.space.positions[:part] for slot in position.slots
        )
        return part, tuple(arch[slot] for slot in read)

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

    def conv(
        self, in_channels: int, out_channels: int, kernel_size: int = 1, **kwargs: Any
    ) -> nn.Module:
        return build_conv_layer(
            self.conv_cfg, in_channels, out_channels, kernel_size, bias=False, **kwargs
        )

    def norm(self, channels: int) -> nn.Module:
        return build_norm_layer(self.norm_cfg, channels)[1]

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
            path = pretrained[0]['checkpoint']
            self._refuse_another_subnet(
                load_strict(self, path, pretrained[0].get('prefix', '')), path
            )
            self._is_init = True
            return
        super().init_weights()
        if self.zero_init_residual:
            for norm in self.residual_norms():
                constant_init(norm, 0)

    def _refuse_another_subnet(self, left: set[str], path: str | PathLike) -> None:
        """Raises where ``left``, what a checkpoint has beyond this subnet, is of some other
        candidates: a supernet has all of them.

        No key is missing where this arch chooses a candidate without weights, such as an identity,
        in place of one that has some."""
        if self.fixed_arch is None or not any(key.startswith('layers.') for key in left):
            return
        arch, self.fixed_arch = self.fixed_arch, None
        try:
            with torch.device('meta'):
                every = nn.ModuleDict(
                    {
                        'layers': nn.ModuleList(
                            self.build_position(position) for position in self.space.positions
                        )
                    }
                )
        finally:
            self.fixed_arch = arch
        others = every.state_dict().keys() - self.state_dict().keys()
        foreign = sorted(others & left)
        if foreign and len(foreign) < len(others):
            raise InputError(
                f'{path}: the weights of another subnet than {self.space.encode(arch)}: it has '
                f'{len(foreign)} tensors of '
                f'candidates that this one does not choose, such as {foreign[0]}'
            )

    def train(self, mode: bool = True) -> 'SearchableBackbone':
        super().train(mode)
        if mode:
            frozen = self._frozen_modules() if self.frozen_norm_eval else []
            for module in [self] if self.norm_eval else frozen:
                for layer in module.modules():
                    if isinstance(layer, _BatchNorm):
                        layer.eval()
        return self

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        stages = [
            layer
            for layer, position in zip(self.layers, self.space.positions)
            if position.stage < self.frozen_stages
        ]
        tail = (
            [self.tail]
            if self.tail is not None and self.frozen_stages > self.space.num_stages
            else []
        )
        return [self.stem, *stages, *tail]

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
