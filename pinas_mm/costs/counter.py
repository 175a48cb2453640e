"""Counts what runs: multiply-adds by PyTorch's own counter, and the parameters that are read."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

Shape = Sequence[int]
Count = Callable[..., tuple[Any, int, int]]


@contextmanager
def counting() -> Iterator[Count]:
    """Within it ``count(run, *args)`` returns what ``run(*args)`` returned, its MACs and its
    parameters.

    MACs (multiply-adds) are half of what :class:`~torch.utils.flop_counter.FlopCounterMode` counts:
    convolutions, transposed ones too, in 1, 2 or 3 dimensions, padding counted as pixels; products
    of matrices, among them linear layers; attention. Not counted are normalisation, pooling,
    activations, sums and what else works element by element; recurrent layers that run as one
    operation; and operations of other libraries, such as mmcv's RoIAlign and deformable
    convolution (of that, the convolution that finds the offsets is counted).

    Parameters are those that any operation reads, each once; of one that is read through a view,
    such as a slice, what the view has.
    """
    read = _ParametersRead()
    with read, FlopCounterMode(display=False, custom_mapping=FORMULAS) as flops:

        def count(run: Callable[..., Any], *args: Any) -> tuple[Any, int, int]:
            read.forget()
            before = flops.get_total_flops()
            output = run(*args)
            macs = (flops.get_total_flops() - before) // 2
            return output, macs, read.count()

        yield count


class _ParametersRead(TorchDispatchMode):
    """Collects the parameters that operations within it get."""

    def __init__(self) -> None:
        super().__init__()
        self.forget()

    def forget(self) -> None:
        """Starts again from zero."""
        # Which parameter a tensor is, or is a view of.
        self.views: dict[Tensor, nn.Parameter] = {}
        # For each parameter that was read: of its views, by where they lie, how many numbers.
        self.read: dict[nn.Parameter, dict[Any, int]] = {}

    def count(self) -> int:
        """The numbers read of all parameters."""
        return sum(
            min(parameter.numel(), sum(views.values())) for parameter, views in self.read.items()
        )

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, sources = kwargs or {}, []
        for arg in (*args, *kwargs.values()):
            for leaf in arg if isinstance(arg, list | tuple) else (arg,):
                whole = leaf if isinstance(leaf, nn.Parameter) else self._whole(leaf)
                if whole is None:
                    continue
                if func.is_view:  # it computes nothing
                    sources.append(whole)
                else:
                    where = (leaf.storage_offset(), leaf.shape, leaf.stride())
                    self.read.setdefault(whole, {})[where] = leaf.numel()
        output = func(*args, **kwargs)
        for source in sources:
            views = output if isinstance(output, list | tuple) else (output,)
            self.views |= dict.fromkeys(views, source)
        return output

    def _whole(self, leaf: Any) -> nn.Parameter | None:
        return self.views.get(leaf) if isinstance(leaf, Tensor) else None


def _attention(query: Shape, key: Shape, value: Shape, *args: Any, **kwargs: Any) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _product_with_vector(matrix: Shape, vector: Shape, *args: Any, **kwargs: Any) -> int:
    return 2 * prod(matrix)


# What PyTorch's counter has no formula for: attention as CPUs run it, and a vector as a factor.
FORMULAS = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten.mv: _product_with_vector,
    torch.ops.aten.dot: _product_with_vector,
}
