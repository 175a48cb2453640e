"""Runs the parts that several archs share once per batch, instead of once per arch."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models.backbones import ArchBackbone
from ..models.backbones.arch_backbone import Prefix
from ..private_api import version_of
from ..spaces import Arch


@dataclass
class Output:
    """The output of a part, and its version when it was made: torch counts a tensor's in-place
    changes."""

    prefix: Prefix
    value: Tensor
    version: int

    def holds(self, prefix: Prefix) -> bool:
        """Whether it is the output for ``prefix``, unchanged since."""
        return self.prefix == prefix and version_of(self.value) == self.version


class PrefixMemo:
    """Keeps the outputs along the path of the arch that ran last. The next arch starts where the
    two paths part.

    Archs must come in the backbone's ``in_shared_order`` for every shared prefix to be found. The
    n-th call of the backbone within a step is kept apart from the others: sliding windows and
    multi-scale models call it several times. What it returns is what the backbone would compute: an
    output is used again only for an equal input, and not where a neck or head has changed it in
    place.

    Args:
        backbone: The supernet.
        run: Runs a part that is not known yet, called as ``run(prefix, arch, x)``.
    """

    def __init__(
        self, backbone: ArchBackbone, run: Callable[[Prefix, Arch, Tensor], Tensor]
    ) -> None:
        self.backbone = backbone
        self.run = run
        self.calls: list[list[Output]] = []
        self.inputs: list[Output] = []
        self.call = -1

    def next_batch(self) -> None:
        """Forgets the batch before."""
        self.calls.clear()
        self.inputs.clear()

    def next_step(self) -> None:
        """Another arch on the same batch."""
        self.call = -1

    def __call__(self, part: int, arch: Arch, x: Tensor) -> Tensor:
        """The output of a part: the ``part_runner`` of a :class:`ArchBackbone`."""
        prefix = self.backbone.prefix(part, arch)
        if part == 0:
            self.call += 1
            self._new_input(x)
        outputs = self.calls[self.call]
        if part < len(outputs) and outputs[part].holds(prefix):
            return outputs[part].value
        del outputs[part:]
        value = self.run(prefix, arch, x)
        outputs.append(Output(prefix, value, version_of(value)))
        return value

    def _new_input(self, x: Tensor) -> None:
        if self.call == len(self.calls):
            self.calls.append([])
            self.inputs.append(Output((0, ()), x, version_of(x)))
            return
        known = self.inputs[self.call]
        same = (
            known.holds((0, ()))
            and known.value.shape == x.shape
            and (known.value is x or torch.equal(known.value, x))
        )
        if not same:
            self.calls[self.call] = []
            self.inputs[self.call] = Output((0, ()), x, version_of(x))
