"""The searchable backbone whose candidates each have weights of their own."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import torch
from mmcv.cnn import build_conv_layer, build_norm_layer
from torch import Tensor, nn

from ...errors import InputError
from ...spaces import Arch, Candidate, Position
from .arch_backbone import ArchBackbone, Prefix


class SearchableBackbone(ArchBackbone):
    """A backbone with a block per candidate: ``stem``, the positions' candidates in ``layers``, and
    the ``tail`` some spaces have. A supernet holds every candidate, a subnet the chosen ones, under
    the same parameter names. See :class:`ArchBackbone` for the arguments."""

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

    # How its parts run.

    def build(self) -> None:
        self.stem = self.build_stem()
        self.layers = nn.ModuleList(
            self.build_position(position) for position in self.space.positions
        )
        self.tail = self.build_tail() if self.has_tail else None

    def run_part(self, part: int, arch: Arch, x: Tensor) -> Tensor:
        if part == 0:
            return self.stem(x)
        if part <= len(self.space.positions):
            return self.run(part - 1, arch, x)
        assert self.tail is not None  # the last part is the tail, if there is one
        return self.tail(x)

    def part_path(self, part: int, arch: Arch) -> list[nn.Module]:
        if part == 0:
            return [self.stem]
        if part <= len(self.space.positions):
            return self.position_path(part - 1, arch)
        return [] if self.tail is None else [self.tail]

    def prefix(self, part: int, arch: Arch) -> Prefix:
        read = dict.fromkeys(
            slot for position in self.space.positions[:part] for slot in position.slots
        )
        return part, tuple(arch[slot] for slot in read)

    def part_modules(self, part: int) -> list[nn.Module]:
        if part == 0:
            return [self.stem]
        if part <= len(self.space.positions):
            return [self.layers[part - 1]]
        return [] if self.tail is None else [self.tail]

    def gated_slots(self, index: int, arch: Arch) -> Sequence[int]:
        # A parallel position gates the output of each slot itself, in `run`.
        position = self.space.positions[index]
        return () if position.parallel else position.slots

    def subnet_state(self, arch: Arch) -> dict[str, Tensor]:
        names = {module: name for name, module in self.named_modules()}
        path = tuple(f'{names[module]}.' for module in self.path(arch))
        return {key: value for key, value in self.state_dict().items() if key.startswith(path)}

    def beyond_subnet(self, state: Mapping[str, Tensor], prefix: str) -> list[str]:
        wanted = self.state_dict()
        return [
            key
            for key in state
            if key.startswith(f'{prefix}layers.') and key.removeprefix(prefix) not in wanted
        ]

    def check_left(self, left: set[str], path: str | PathLike) -> None:
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

    # What blocks are built from.

    def conv(
        self, in_channels: int, out_channels: int, kernel_size: int = 1, **kwargs: Any
    ) -> nn.Module:
        return build_conv_layer(
            self.conv_cfg, in_channels, out_channels, kernel_size, bias=False, **kwargs
        )

    def norm(self, channels: int) -> nn.Module:
        return build_norm_layer(self.norm_cfg, channels)[1]
