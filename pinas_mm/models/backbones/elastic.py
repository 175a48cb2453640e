"""The searchable backbone whose candidates share one set of weights (Cai et al., "Once-for-All:
Train One Network and Specialize it for Efficient Deployment", ICLR 2020, section 3.2)."""

import copy
import itertools
import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ...checkpoint import counts_batches
from ...errors import InputError
from ...spaces import Arch, Candidate
from ...spaces.elastic import ElasticSpace
from .arch_backbone import ArchBackbone, Prefix, pretrained_files

Index = tuple[slice, ...]


@dataclass(frozen=True)
class InnerChannels:
    """Channels inside a block of which a width chooses the first ones. No other block sees them.

    Args:
        writers: The layers of the block, by name, whose outputs have these channels:
            convolutions, depthwise ones too, linear layers and norms.
        readers: The convolutions and linear layers whose inputs have them, and whose outputs do
            not. The weights of the first one say what a channel is worth.
    """

    writers: tuple[str, ...]
    readers: tuple[str, ...]


@dataclass(frozen=True)
class ElasticBlock:
    """What is chosen of one block.

    Args:
        name: The block's name in the network, such as ``'layer1.0'``.
        inner: Its inner channels; a width is one share for all of them.
        kernels: The convolutions whose kernel size is chosen, by their names in the block.
        kernel_matrices: Whether their smaller kernels come out of the larger ones by learned
            matrices (:class:`KernelMatrices`), and not as the centre alone.
    """

    name: str
    inner: tuple[InnerChannels, ...] = ()
    kernels: tuple[str, ...] = ()
    kernel_matrices: bool = False


@dataclass
class LayerPart:
    """What of a layer runs: the first ``outputs`` and ``inputs`` of its channels, and the centre of
    its kernel. None is all."""

    outputs: int | None = None
    inputs: int | None = None
    kernel_size: int | None = None

    def index(self, shape: Sequence[int]) -> Index:
        """The part of a tensor of the whole layer, of shape ``(out, in, H, W)``, ``(out, in)`` or
        ``(out, )``; a count of shape ``()`` is whole."""
        index = [slice(self.outputs), slice(self.inputs)]
        if self.kernel_size is not None:
            for size in shape[2:]:
                edge = (size - self.kernel_size) // 2
                index.append(slice(edge, size - edge))
        return tuple(index[: len(shape)])

    def take(self, tensor: Tensor, matrices: Mapping[str, Tensor] | None = None) -> Tensor:
        """The part of a tensor of the whole layer; of a kernel a view, or one that ``matrices``
        make."""
        if matrices is None or self.kernel_size is None or tensor.ndim < 3:
            return tensor[self.index(tensor.shape)]
        channels = tensor[slice(self.outputs), slice(self.inputs)]
        return smaller_kernel(channels, matrices, self.kernel_size)


class KernelMatrices(nn.ParameterDict):
    """How the smaller kernels of a convolution come out of its largest one (Once-for-All, section
    3.3, "elastic kernel size"): the centre of the next larger kernel, as a vector, times a matrix
    that all channels have in common. They start as the identity, with which a smaller kernel is the
    centre of the largest.

    They stand below their convolution, ``'7to5'`` of shape ``(25, 25)`` and ``'5to3'`` of ``(9,
    9)`` for the sizes 3, 5 and 7.

    Args:
        sizes: The kernel sizes in ascending order.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__(
            {
                f'{large}to{small}': nn.Parameter(torch.eye(small**2))
                for small, large in itertools.pairwise(sizes)
            }
        )

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Sets the matrices to the identity. ``init_weights`` of a network calls it."""
        for matrix in self.values():
            nn.init.eye_(matrix)


def smaller_kernel(weight: Tensor, matrices: Mapping[str, Tensor], size: int) -> Tensor:
    """The kernel of a smaller size, see :class:`KernelMatrices`.

    Args:
        weight: The largest kernel, ``(out, in, K, K)``.
        matrices: By name, such as ``'7to5'``.
        size: ``k`` of the result ``(out, in, k, k)``.
    """
    # In full precision, so that a supernet has the kernels that a subnet is built with.
    with torch.autocast(weight.device.type, enabled=False):
        for small, name in _matrices_down_to(size, matrices):
            centre = weight[LayerPart(kernel_size=small).index(weight.shape)]
            weight = (centre.flatten(2) @ matrices[name].t()).view(centre.shape)
    return weight


def _matrices_down_to(size: int, names: Iterable[str]) -> list[tuple[int, str]]:
    """The matrices that make a kernel of that size, the one of the largest kernel first, with the
    size that each gives."""
    smaller = ((int(name.partition('to')[2]), name) for name in names)
    return sorted((pair for pair in smaller if pair[0] >= size), reverse=True)


class ElasticBackbone(ArchBackbone):
    """A network of which every arch runs a part: the first blocks of a stage, the first inner
    channels of a block, the centre of a kernel. See
    :class:`~pinas_mm.spaces.elastic.ElasticSpace` for what can be chosen.

    A subclass names the network (:meth:`build_network`), its blocks in order of the positions
    (:meth:`block`) and what runs before and after them. The network stays as it is, under its own
    parameter names: its checkpoints load as they are, and the largest arch is the network, exactly.
    A supernet runs a block with slices of its tensors in their places, so that the layers may be of
    any kind, such as SyncBN.

    A subnet has tensors of its own size. It loads a checkpoint of its own, or one of the whole
    network, of which it takes its part. A tensor of any other shape is an error that names it.

    Args:
        sort_channels: Whether a supernet puts its inner channels in order of importance
            (:meth:`sort_channels`) once ``Pretrained`` weights are in it: for the training of a
            supernet that starts from a network. False by default, since in weights of a supernet
            the first channels are the ones that narrow archs have learned with. Weights of
            ``load_from`` are loaded later and are not sorted. A subnet's channels stay as they are.
        args, kwargs: See :class:`ArchBackbone`.
    """

    space: ElasticSpace

    # The children of the network that run in order before the first block and after the last one.
    stem_names: tuple[str, ...] = ()
    tail_names: tuple[str, ...] = ()

    def __init__(self, *args: Any, sort_channels: bool = False, **kwargs: Any) -> None:
        self.sorts_channels = sort_channels
        super().__init__(*args, **kwargs)

    @abstractmethod
    def build_network(self) -> nn.Module:
        """The network of the largest arch. Its children become those of the backbone; its own
        ``forward`` is not used."""

    @abstractmethod
    def block(self, index: int) -> ElasticBlock:
        """The block at position ``index``."""

    def num_channels(self, index: int, inner: InnerChannels, full: int, width: float) -> int:
        """How many of ``full`` channels inside the block at position ``index`` a width leaves."""
        return max(1, round(full * width))

    def residual_norms(self) -> Iterator[nn.Module]:
        return iter(())

    def has_statistics_of(self, arch: Arch) -> bool:
        """Also of the largest arch, as long as no other one was trained: all blocks of a stage have
        then counted as many batches. Where no block can be left out, it cannot be told."""
        if not self.is_supernet or arch != self.space.largest:
            return super().has_statistics_of(arch)
        counts = self._counted()
        return bool(counts) and all(len(found) == 1 for found in counts)

    def may_be_a_supernets(self) -> bool:
        # Whatever it has is of the largest arch's shape.
        whole = self.fixed_arch == self.space.largest
        return whole and any(len(found) > 1 for found in self._counted())

    def _counted(self) -> list[set[int]]:
        """For every stage whose blocks may be left out, the numbers of batches that its BN layers
        have counted."""
        counts: dict[int, set[int]] = {}
        for index, position in enumerate(self.space.positions):
            if self.space.depth_slot(position.stage) is not None:
                block = self.get_submodule(self.elastic_blocks[index].name)
                counts.setdefault(position.stage, set()).update(
                    int(layer.num_batches_tracked)
                    for layer in block.modules()
                    if isinstance(layer, _BatchNorm) and layer.num_batches_tracked is not None
                )
        return [*counts.values()]

    # How it is built.

    def build(self) -> None:
        # mm's networks read their drop rates off a tensor, which has no values on 'meta'.
        with torch.device('cpu'):
            network = self.build_network()
        network.to(torch.get_default_device())
        for name, child in network.named_children():
            if self.has_tail or name not in self.tail_names:
                self.add_module(name, child)
        self.elastic_blocks = tuple(self.block(index) for index in range(len(self.space.positions)))
        self._parts: dict[Prefix, dict[str, LayerPart]] = {}
        self._check_outside(network)
        for index in range(len(self.space.positions)):
            self._check_block(index)
            for slot in self.space.own_slots(index):
                self._check_choice(index, slot)
        self._check_all_run(network)
        self._add_kernel_matrices()
        # Of the whole network: a subnet's checkpoint may have these in place of its own.
        self._whole = {name: tensor.shape for name, tensor in self.state_dict().items()}
        self._subnet_parts = self._parts_of(self.fixed_arch) if self.fixed_arch else {}
        if self.fixed_arch is not None:
            self._cut(self.fixed_arch)
        # Off while only the size of what runs counts.
        self._computes_kernels = True
        # While time counts: of every block and choice the block that a subnet has.
        self._subnet_blocks: dict[tuple[int, ...], nn.Module] | None = None
        # A function, not a method: a copy of the module must take its own slices.
        self.register_load_state_dict_pre_hook(_take_slices)

    def _add_kernel_matrices(self) -> None:
        # Of each kernel that is made by matrices, by the name of its weight: their names in a
        # checkpoint by their own.
        self._matrices: dict[str, dict[str, str]] = {}
        for index, block in enumerate(self.elastic_blocks):
            if not block.kernel_matrices:
                continue
            sizes = [
                candidate.block['kernel_size']
                for slot in self.space.own_slots(index)
                for candidate in self.space.candidates[slot]
                if 'kernel_size' in candidate.block
            ]
            for name in block.kernels:
                layer = f'{block.name}.{name}'
                matrices = KernelMatrices(sizes)
                self.get_submodule(layer).add_module('kernel_matrices', matrices)
                self._matrices[f'{layer}.weight'] = {
                    key: f'{layer}.kernel_matrices.{key}' for key in matrices
                }
        self._matrix_names = {
            name for matrices in self._matrices.values() for name in matrices.values()
        }

    def _cut(self, arch: Arch) -> None:
        """Cuts every layer down to the part that ``arch`` runs."""
        for index, block in enumerate(self.elastic_blocks):
            parent, _, name = block.name.rpartition('.')
            if self.space.choice(index, arch) is None:
                delattr(self.get_submodule(parent), name)
                continue
            self._cut_block(self.get_submodule(block.name), index, arch)

    def _cut_block(self, module: nn.Module, index: int, arch: Arch) -> None:
        block = self.elastic_blocks[index]
        if block.kernel_matrices:
            for name in block.kernels:
                delattr(module.get_submodule(name), 'kernel_matrices')
        for layer_name, part in self.layer_parts(index, arch).items():
            layer = module.get_submodule(layer_name)
            for key, value in _attributes(layer, part).items():
                setattr(layer, key, value)
            for key, weight in list(layer.named_parameters(recurse=False)):
                own = weight.detach()[part.index(weight.shape)].clone()
                setattr(layer, key, nn.Parameter(own, weight.requires_grad))
            for key, buffer in list(layer.named_buffers(recurse=False)):
                setattr(layer, key, buffer[part.index(buffer.shape)].clone())
            _count_channels(layer)

    def _check_outside(self, network: nn.Module) -> None:
        """Raises where the network has no such stem or tail, or the space and the class differ in
        whether there is a tail."""
        kind = type(self).__name__
        for key in ('stem_names', 'tail_names'):
            for name in getattr(self, key):
                if name not in dict(network.named_children()):
                    raise InputError(
                        f'{key}={getattr(self, key)} of {kind}: its network has no {name!r}, '
                        f'expected one of {[name for name, _ in network.named_children()]}'
                    )
        if bool(self.tail_names) != bool(self.space.tail_channels):
            raise InputError(
                f'tail_names={self.tail_names} of {kind}, but space {self.space.name!r} has '
                f'tail_channels={self.space.tail_channels}: expected both or none'
            )

    def _check_all_run(self, network: nn.Module) -> None:
        """Raises where a part of the network is neither stem, block nor tail: the largest arch
        would be another network."""
        if not self.is_supernet:
            return  # of the same network
        own = (*network.named_parameters(recurse=False), *network.named_buffers(recurse=False))
        ran = {module for part in self.path(self.space.largest) for module in part.modules()}
        missed = [*(name for name, _ in own), *_not_among(ran, self)]
        if missed:
            raise InputError(
                f'{type(self).__name__}: its network has {missed[0]!r}, which no arch runs: '
                f'expected it in stem_names, in tail_names, in a block, or not in the network'
            )

    def _check_block(self, index: int) -> None:
        """Raises where the network has no such block or layer, where layers do not write or read
        the same channels, or where the block checkpoints itself: it would run again outside of
        :meth:`run`, with whole weights."""
        block, kind = self.elastic_blocks[index], type(self).__name__
        layers = [name for inner in block.inner for name in (*inner.writers, *inner.readers)]
        for name in (block.name, *(f'{block.name}.{layer}' for layer in (*layers, *block.kernels))):
            try:
                self.get_submodule(name)
            except AttributeError as error:
                raise InputError(
                    f'block {index} of {kind}: its network has no {name!r}, expected the name of a '
                    f'module'
                ) from error
        module = self.get_submodule(block.name)
        for inner in block.inner:
            first = inner.writers[0]
            full = _num_outputs(module.get_submodule(first))
            for names, verb, number, expected in (
                (inner.writers, 'writes', _num_outputs, 'a convolution, a linear layer or a norm'),
                (inner.readers, 'reads', _num_inputs, 'a linear layer or an ungrouped convolution'),
            ):
                for name in names:
                    layer = module.get_submodule(name)
                    found = number(layer)
                    if found is None:
                        raise InputError(
                            f'{block.name}.{name}: a width cannot cut what a '
                            f'{type(layer).__name__} {verb}, expected {expected}'
                        )
                    if found != full:
                        raise InputError(
                            f'{block.name}.{name} {verb} {found} channels, expected {full} as '
                            f'{block.name}.{first} writes'
                        )
        if any(getattr(m, 'with_cp', False) for m in module.modules()):
            raise InputError(
                f'{block.name} has with_cp=True: it would run again with whole weights, expected '
                f'with_cp of {kind} in its place'
            )

    def _check_choice(self, index: int, slot: int) -> None:
        """Raises where a choice means nothing in a block, where a width leaves a part of a group of
        channels, and where the centre of a kernel does not fit."""
        block, candidates = self.elastic_blocks[index], self.space.candidates[slot]
        module = self.get_submodule(block.name)
        (kind,) = candidates[0].block
        named, parts = (
            (block.inner, 'inner channels') if kind == 'width' else (block.kernels, 'kernels')
        )
        if not named:
            raise InputError(
                f'slot {slot} of space {self.space.name!r} chooses a {kind}, but block {index} of '
                f'{type(self).__name__} has no {parts}: expected an ElasticBlock that names them'
            )
        if kind == 'kernel_size':
            for name in block.kernels:
                _check_kernel(module.get_submodule(name), f'{block.name}.{name}', candidates, slot)
        parts_of = {each.name: self._layer_parts(index, each.block) for each in candidates}
        for chosen, layers in parts_of.items():
            for name, part in layers.items():
                size = _group_size(module.get_submodule(name))
                if part.outputs is not None and part.outputs % size:
                    counts = [parts[name].outputs for parts in parts_of.values() if name in parts]
                    fits = math.gcd(size, *(count for count in counts if count is not None))
                    raise InputError(
                        f'space {self.space.name!r}: {chosen} in slot {slot} leaves '
                        f'{part.outputs} channels of {block.name}.{name}, which has groups of '
                        f'{size}: expected a multiple of {size}, or groups of {fits}'
                    )

    # What of a block runs.

    def layer_parts(self, index: int, arch: Arch) -> dict[str, LayerPart]:
        """The layers of the block at position ``index``, by name, of which ``arch`` runs a part."""
        key = (index, self._read(index, arch))
        if key not in self._parts:
            self._parts[key] = self._layer_parts(index, self.space.choice(index, arch) or {})
        return self._parts[key]

    def _layer_parts(self, index: int, choice: Mapping[str, Any]) -> dict[str, LayerPart]:
        block, parts = self.elastic_blocks[index], dict[str, LayerPart]()
        module = self.get_submodule(block.name)

        def part(name: str) -> LayerPart:
            return parts.setdefault(name, LayerPart())

        for inner in block.inner:
            full = _num_outputs(module.get_submodule(inner.writers[0]))
            assert full is not None  # _check_block
            count = self.num_channels(index, inner, full, choice.get('width', 1))
            if count == full:
                continue
            for name in inner.writers:
                part(name).outputs = count
            for name in inner.readers:
                part(name).inputs = count
        for name in block.kernels:
            size, full = choice.get('kernel_size'), module.get_submodule(name).kernel_size[0]
            if size not in (None, full):
                part(name).kernel_size = size
        return parts

    def _parts_of(self, arch: Arch) -> dict[str, LayerPart | None]:
        """For each tensor of the whole network, by name, the part of it that the subnet ``arch``
        has; None where it has none. What it has whole is left out."""
        found: dict[str, LayerPart | None] = dict.fromkeys(self._matrix_names)
        for index, block in enumerate(self.elastic_blocks):
            if self.space.choice(index, arch) is None:
                prefix = f'{block.name}.'
                found |= {name: None for name in self._whole if name.startswith(prefix)}
                continue
            for layer, part in self.layer_parts(index, arch).items():
                prefix = f'{block.name}.{layer}.'
                found |= {
                    name: part for name in self._whole if name.rpartition('.')[0] + '.' == prefix
                }
        return found

    # How it runs.

    def run_part(self, part: int, arch: Arch, x: Tensor) -> Tensor:
        if 0 < part <= len(self.space.positions):
            return self.run(part - 1, arch, x)
        for module in self.part_modules(part):
            x = module(x)
        return x

    def run(self, index: int, arch: Arch, x: Tensor) -> Tensor:
        """Runs the block at position ``index`` as ``arch`` has it; one that does not run hands on
        its input."""
        if self.space.choice(index, arch) is None:
            return x
        block = self.get_submodule(self.elastic_blocks[index].name)
        if self._subnet_blocks is not None and self.is_supernet:
            return self._subnet_block(index, arch)(x)
        parts = self.layer_parts(index, arch) if self.is_supernet else {}
        if not parts:
            return block(x)
        if torch.jit.is_tracing():
            raise RuntimeError(
                f'{type(self).__name__} is a supernet, which torch.jit.trace cannot trace: trace '
                f"the subnet that arch='{self.space.encode(arch)}' builds"
            )
        layers = [(name, block.get_submodule(name), part) for name, part in parts.items()]
        tensors = {
            f'{name}.{key}': part.take(
                value, getattr(layer, 'kernel_matrices', None) if self._computes_kernels else None
            )
            for name, layer, part in layers
            for key, value in itertools.chain(
                layer.named_parameters(recurse=False), layer.named_buffers(recurse=False)
            )
            if value.ndim
        }
        with _with_attributes(layers):
            return functional_call(block, tensors, (x,), tie_weights=False)

    def part_modules(self, part: int) -> list[nn.Module]:
        if 0 < part <= len(self.space.positions):
            arch = self.fixed_arch
            if arch is not None and self.space.choice(part - 1, arch) is None:
                return []
            return [self.get_submodule(self.elastic_blocks[part - 1].name)]
        return [getattr(self, name) for name in (self.tail_names if part else self.stem_names)]

    def part_path(self, part: int, arch: Arch) -> list[nn.Module]:
        if 0 < part <= len(self.space.positions) and self.space.choice(part - 1, arch) is None:
            return []
        return self.part_modules(part)

    def prefix(self, part: int, arch: Arch) -> Prefix:
        # By whether a block runs, not by the depth: archs of other depths share the first blocks.
        read = range(min(part, len(self.space.positions)))
        return part, tuple(self._read(index, arch) for index in read)

    def _read(self, index: int, arch: Arch) -> tuple[int, ...]:
        """What the block at position ``index`` reads of ``arch``; nothing where it does not run."""
        if self.space.choice(index, arch) is None:
            return ()
        return (1, *(arch[slot] for slot in self.space.own_slots(index)))

    def gated_slots(self, index: int, arch: Arch) -> Sequence[int]:
        # The gate of a depth is that of what its stage gives.
        positions, stage = self.space.positions, self.space.positions[index].stage
        last = index + 1 == len(positions) or positions[index + 1].stage != stage
        depth = self.space.depth_slot(stage) if last else None
        own = () if self.space.choice(index, arch) is None else self.space.own_slots(index)
        return own if depth is None else (*own, depth)

    @contextmanager
    def costs_of_subnets(self) -> Iterator[None]:
        before, self._computes_kernels = self._computes_kernels, False
        try:
            yield
        finally:
            self._computes_kernels = before

    @contextmanager
    def runs_as_subnets(self) -> Iterator[None]:
        self._subnet_blocks = {}
        try:
            yield
        finally:
            self._subnet_blocks = None

    def _subnet_block(self, index: int, arch: Arch) -> nn.Module:
        assert self._subnet_blocks is not None
        key = (index, *self._read(index, arch))
        if key not in self._subnet_blocks:
            block = copy.deepcopy(self.get_submodule(self.elastic_blocks[index].name))
            self._cut_block(block, index, arch)
            self._subnet_blocks[key] = block
        return self._subnet_blocks[key]

    # How a subnet's tensors come out of the whole network's.

    def subnet_state(self, arch: Arch) -> dict[str, Tensor]:
        state = self.state_dict()
        if not self.is_supernet:
            return state
        parts = self._parts_of(arch)
        return {
            name: self._part(state, name, part)
            for name in state
            for part in [parts.get(name, LayerPart())]
            if part is not None
        }

    def _part(
        self,
        state: Mapping[str, Tensor],
        name: str,
        part: LayerPart,
        prefix: str = '',
        source: str = 'state',
    ) -> Tensor:
        """The part of a tensor of the whole network's state; of a kernel, by the matrices in it.

        Raises:
            InputError: A matrix is missing or has another shape.
        """
        names = self._matrices.get(name, {})
        if part.kernel_size is None or not names:
            return part.take(state[f'{prefix}{name}'])
        matrices: dict[str, Tensor] = {}
        for size, key in _matrices_down_to(part.kernel_size, names):
            matrix = state.get(f'{prefix}{names[key]}')
            if matrix is None or matrix.shape != (size**2, size**2):
                raise InputError(
                    f'{source}: {prefix}{names[key]} is '
                    f'{"missing" if matrix is None else tuple(matrix.shape)}, expected '
                    f'{(size**2, size**2)}: the matrix that makes kernels of {size} out of the '
                    f'larger ones'
                )
            matrices[key] = matrix
        return part.take(state[f'{prefix}{name}'], matrices)

    def _first_matrices(self, state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
        """The matrices that the weights of a network without any start with; nothing where the
        checkpoint has some."""
        kernels = [name for name in self._matrices if f'{prefix}{name}' in state]
        if any(f'{prefix}{name}' in state for name in self._matrix_names):
            return {}
        return {
            f'{prefix}{matrix}': torch.eye(self._whole[matrix][0])
            for name in kernels
            for matrix in self._matrices[name].values()
        }

    def slices_of(self, state: Mapping[str, Tensor], prefix: str, source: str) -> dict[str, Tensor]:
        """What a subnet takes of a checkpoint of the whole network in place of its tensors; nothing
        of a checkpoint of its own. Beside that, kernel matrices where a checkpoint has none. See
        :class:`~pinas_mm.checkpoint.TakesSlices`.

        Raises:
            InputError: A tensor has neither the shape that this subnet has nor that of the whole
                network, a kernel matrix is missing, or the checkpoint is of another subnet.
        """
        matrices = self._first_matrices(state, prefix)
        if self.is_supernet:
            return matrices
        slices: dict[str, Tensor] = {}
        own: list[str] = []
        there = [name for name in self._subnet_parts if f'{prefix}{name}' in state]
        for name in there:
            key, whole, part = f'{prefix}{name}', self._whole[name], self._subnet_parts[name]
            found = state[key].shape
            if part is None:
                continue
            shape = torch.empty(whole, device='meta')[part.index(whole)].shape
            if found == whole and found != shape:
                slices[key] = self._part({**state, **matrices}, name, part, prefix, source)
            elif found != shape:
                raise InputError(
                    f'{source}: {key} is {tuple(found)}, expected {tuple(shape)} as this subnet '
                    f'of {type(self).__name__} has it, or {tuple(whole)} of the whole network'
                )
            elif shape != whole:
                own.append(key)
        if slices and own:
            raise InputError(
                f'{source}: {own[0]} has the shape of this subnet and {next(iter(slices))} that '
                f'of the whole network: expected a checkpoint of one of them'
            )
        gone = [
            name
            for name, part in self._subnet_parts.items()
            if part is None and name not in self._matrix_names and not counts_batches(name)
        ]
        beyond = [f'{prefix}{name}' for name in gone if name in there]
        if beyond and (own or len(beyond) < len(gone)):
            assert self.fixed_arch is not None
            raise InputError(
                f'{source}: the weights of another subnet than '
                f'{self.space.encode(self.fixed_arch)}: it has {len(beyond)} tensors of blocks '
                f'that this one does not run, such as {beyond[0]}'
            )
        return slices

    def check_left(self, left: set[str], path: str | PathLike) -> None:
        roots = {block.name.partition('.')[0] for block in self.elastic_blocks}
        foreign = sorted(
            name
            for name in left - self._whole.keys()
            if name.partition('.')[0] in roots and not counts_batches(name)
        )
        if foreign:
            raise InputError(
                f'{path}: the weights of another network than {self.space.name!r}: it has '
                f'{len(foreign)} tensors that this one has not, such as {foreign[0]}'
            )

    def beyond_subnet(self, state: Mapping[str, Tensor], prefix: str) -> list[str]:
        own = {name: tensor.shape for name, tensor in self.state_dict().items()}
        return [
            f'{prefix}{name}'
            for name in self._whole
            if f'{prefix}{name}' in state and state[f'{prefix}{name}'].shape != own.get(name)
        ]

    def init_weights(self) -> None:
        super().init_weights()
        if self.sorts_channels and self.is_supernet and pretrained_files(self):
            self.sort_channels()

    @torch.no_grad()
    def sort_channels(self) -> None:
        """Puts the inner channels of every block in order of importance, the largest L1 norm of the
        weights that read them first (Once-for-All, section 3.3), so that a width leaves the most
        important ones. What the network computes stays the same, with every kernel size.

        Where channels are in groups, they stay as they are: a channel cannot leave its group.

        Raises:
            InputError: This is a subnet, whose channels are chosen already.
        """
        if not self.is_supernet:
            raise InputError(
                f'sort_channels of {type(self).__name__}: expected the whole network, but this '
                f'is a subnet'
            )
        for block in self.elastic_blocks:
            module = self.get_submodule(block.name)
            # The last channels first: their order changes nothing of what the ones before are
            # worth.
            for inner in reversed(block.inner):
                readers = [module.get_submodule(name) for name in inner.readers]
                writers = [module.get_submodule(name) for name in inner.writers]
                if any(_group_size(layer) > 1 for layer in (*readers, *writers)):
                    continue
                importance = _by_input(readers[0]).abs().sum(dim=1)
                order = torch.argsort(importance, descending=True, stable=True)
                for layer in writers:
                    for tensor in itertools.chain(
                        layer.parameters(recurse=False), layer.buffers(recurse=False)
                    ):
                        if tensor.ndim:
                            tensor.copy_(tensor[order])
                for layer in readers:
                    weight = layer.get_parameter('weight')
                    weight.copy_(weight[:, order])


def _take_slices(
    backbone: ElasticBackbone, state: dict[str, Tensor], prefix: str, *unused: Any
) -> None:
    """Before any way of loading. mmengine's and torch's leave out what does not fit, of another
    network all but a few tensors."""
    below = {name.removeprefix(prefix) for name in state if name.startswith(prefix)}
    backbone.check_left(below, 'checkpoint')
    state.update(backbone.slices_of(state, prefix, 'checkpoint'))
    for name, tensor in backbone.state_dict().items():
        found = state.get(f'{prefix}{name}')
        if found is not None and found.shape != tensor.shape:
            raise InputError(
                f'checkpoint: {prefix}{name} is {tuple(found.shape)}, expected '
                f'{tuple(tensor.shape)} as this {type(backbone).__name__} has it'
            )


def _check_kernel(layer: nn.Module, name: str, candidates: Sequence[Candidate], slot: int) -> None:
    """Raises where the kernels of a slot are not the centres of that of a layer, or where a smaller
    one would give a map of another size."""
    sizes = [candidate.block['kernel_size'] for candidate in candidates]
    if not isinstance(layer, _ConvNd) or set(layer.kernel_size) != {sizes[-1]}:
        found = 'x'.join(map(str, getattr(layer, 'kernel_size', ()))) or 'none'
        raise InputError(
            f'{name}: its kernel is {found}, expected that of the largest candidate of slot '
            f'{slot}, {candidates[-1].name}'
        )
    if layer.padding_mode != 'zeros':
        raise InputError(
            f'{name}: padding_mode={layer.padding_mode!r} does not follow the size of its kernel, '
            f"expected 'zeros'"
        )
    pads_by_itself = type(layer).forward is not nn.Conv2d.forward
    if pads_by_itself or layer.padding == 'same':
        return
    paddings = (0, 0) if layer.padding == 'valid' else layer.padding
    for padding, dilation in zip(paddings, layer.dilation):
        least = dilation * (sizes[-1] - sizes[0]) // 2
        if padding < least:
            raise InputError(
                f'{name}: with padding={padding}, {candidates[0].name} of slot {slot} gives a '
                f'larger map than the whole kernel; expected padding={least} or more'
            )


def _not_among(ran: set[nn.Module], module: nn.Module, prefix: str = '') -> Iterator[str]:
    """The names of the largest modules and parameters below one that are in none of ``ran``. What
    hands on its input does not count."""
    for name, child in module.named_children():
        if child in ran or isinstance(child, nn.Identity):
            continue
        holds_some = any(part in ran for part in child.modules())
        if holds_some or isinstance(child, nn.Sequential | nn.ModuleList | nn.ModuleDict):
            yield from _not_among(ran, child, f'{prefix}{name}.')
            yield from (f'{prefix}{name}.{key}' for key, _ in child.named_parameters(recurse=False))
        else:
            yield f'{prefix}{name}'


def _num_outputs(layer: nn.Module) -> int | None:
    """The channels that a layer writes, None where a part of its tensors gives no part of them."""
    if isinstance(layer, nn.GroupNorm):
        return layer.num_channels
    if isinstance(layer, _NormBase):
        return layer.num_features
    if isinstance(layer, nn.LayerNorm):
        return layer.normalized_shape[0] if len(layer.normalized_shape) == 1 else None
    weight = _weight_to_cut(layer)
    return len(weight) if weight is not None and weight.ndim else None


def _num_inputs(layer: nn.Module) -> int | None:
    """The channels that a layer reads, None where a part of its tensors does not read a part of
    them."""
    weight = _weight_to_cut(layer)
    if weight is None or weight.ndim < 2 or getattr(layer, 'groups', 1) > 1:
        return None
    return weight.shape[1]


def _weight_to_cut(layer: nn.Module) -> Tensor | None:
    """The weight ``(out, in, ...)`` of a layer. Not of one with layers of its own, such as the
    offsets of a deformable convolution: they would stay whole."""
    weight = getattr(layer, 'weight', None)
    if isinstance(layer, _ConvTransposeNd) or next(layer.children(), None) is not None:
        return None
    return weight if isinstance(weight, Tensor) else None


def _by_input(layer: nn.Module) -> Tensor:
    """The weights of a layer, ``(in, rest)``."""
    return layer.get_parameter('weight').transpose(0, 1).flatten(1)


def _group_size(layer: nn.Module) -> int:
    """The channels that a layer takes together; 1 where each can go alone."""
    if isinstance(layer, nn.GroupNorm):
        return layer.num_channels // layer.num_groups
    if isinstance(layer, _ConvNd) and layer.groups > 1:
        return layer.out_channels // layer.groups
    return 1


def _attributes(layer: nn.Module, part: LayerPart) -> dict[str, Any]:
    """What else than its tensors changes of a layer of which a part runs."""
    changed: dict[str, Any] = {}
    count = part.outputs if part.outputs is not None else part.inputs
    if count is not None:
        if isinstance(layer, nn.GroupNorm):
            changed |= dict(num_groups=count // _group_size(layer), num_channels=count)
        elif isinstance(layer, _NormBase):
            changed['num_features'] = count  # InstanceNorm compares its input with it
        elif isinstance(layer, nn.LayerNorm):
            changed['normalized_shape'] = (count,)
        elif isinstance(layer, _ConvNd) and layer.groups > 1:
            changed['groups'] = count // _group_size(layer)
    if part.kernel_size is not None:
        assert isinstance(layer, _ConvNd)  # only these have a kernel
        if isinstance(layer.padding, str):  # 'same' follows the kernel
            return changed
        # As far in from the edge as the kernel's centre was. One that pads by itself, as
        # TensorFlow does, has 0.
        changed['padding'] = tuple(
            max(0, padding - dilation * (size - part.kernel_size) // 2)
            for padding, dilation, size in zip(layer.padding, layer.dilation, layer.kernel_size)
        )
    return changed


@contextmanager
def _with_attributes(layers: Sequence[tuple[str, nn.Module, LayerPart]]) -> Iterator[None]:
    """Within it layers have the attributes of their parts."""
    before: list[partial] = []
    try:
        for _, layer, part in layers:
            for key, value in _attributes(layer, part).items():
                before.append(partial(setattr, layer, key, getattr(layer, key)))
                setattr(layer, key, value)
        yield
    finally:
        for restore in before:
            restore()


def _count_channels(layer: nn.Module) -> None:
    """Lets a convolution or a linear layer say the sizes that its tensors have."""
    if isinstance(layer, _ConvNd):
        weight = layer.weight
        layer.out_channels, layer.in_channels = len(weight), weight.shape[1] * layer.groups
        layer.kernel_size = tuple(weight.shape[2:])
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
