"""Folds BN into the convolutions before it while archs are scored: one pass over the feature map
less per layer."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ..private_api import replace_forward, restore_forward, set_tensors


class BNFolding:
    """The pairs of a convolution and a BN layer that only run together, and their folded weights
    for the BN statistics of the moment.

    In eval mode ``BN(conv(x))`` is a convolution with other weights. The results differ by
    rounding."""

    def __init__(self) -> None:
        self.pairs: dict[_BatchNorm, nn.Conv2d] = {}
        self.seen: dict[nn.Module | None, set[nn.Module | None]] = {}
        self.kept: dict[nn.Conv2d, tuple[Tensor, Tensor | None]] = {}

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """After it every BN layer that was only ever given the output of one convolution, which no
        other was given, is a pair with it."""
        last: list[tuple[nn.Conv2d, Tensor]] = []

        def after_conv(conv: nn.Conv2d, inputs: tuple, output: Tensor) -> None:
            last[:] = [(conv, output)]

        def before_bn(bn: _BatchNorm, inputs: tuple) -> None:
            conv = last[0][0] if last and last[0][1] is inputs[0] else None
            self.seen.setdefault(bn, set()).add(conv)
            self.seen.setdefault(conv, set()).add(bn)

        # Of subclasses, those that only convolve: some compute another weight at every call.
        handles = [
            module.register_forward_hook(after_conv)
            for module in model.modules()
            if isinstance(module, nn.Conv2d) and type(module).forward is nn.Conv2d.forward
        ]
        handles += [
            module.register_forward_pre_hook(before_bn)
            for module in model.modules()
            if isinstance(module, _BatchNorm)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            # Layers that some heads share across levels have several partners, and cannot be
            # folded.
            self.pairs = {
                bn: conv
                for bn, partners in self.seen.items()
                if isinstance(bn, _BatchNorm) and len(partners) == 1
                for conv in partners
                if isinstance(conv, nn.Conv2d) and self.seen[conv] == {bn}
            }

    def fold(self, layers: Iterable[_BatchNorm]) -> None:
        """Folds the present statistics of BN layers into their convolutions.

        Not kept for later: the folded weights of many archs are as large as so many networks, and
        computing them costs little beside convolving a batch with them."""
        for bn in layers:
            conv = self.pairs.get(bn)
            if conv is None:
                continue
            weight, bias = self.kept.setdefault(conv, (conv.weight, conv.bias))
            # Every BN layer here keeps running statistics.
            assert bn.running_mean is not None and bn.running_var is not None
            folded = fuse_conv_bn_weights(
                weight, bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
            )
            memory_format = (
                torch.channels_last
                if weight.is_contiguous(memory_format=torch.channels_last)
                else torch.contiguous_format
            )
            set_tensors(
                conv, folded[0].data.contiguous(memory_format=memory_format), folded[1].data
            )
            replace_forward(bn, _identity)

    def restore(self) -> None:
        """Puts the convolutions and BN layers back."""
        for conv, (weight, bias) in self.kept.items():
            set_tensors(conv, weight, bias)
        for bn in self.pairs:
            restore_forward(bn)
        self.kept.clear()


_identity: Callable[[Tensor], Tensor] = nn.Identity().forward
