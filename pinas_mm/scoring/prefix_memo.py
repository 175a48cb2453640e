"""Runs the parts that several archs share once per batch, instead of once per arch."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models.backbones import SearchableBackbone
from ..spaces import Arch

Prefix = tuple[int, tuple[int, ...]]


@dataclass
class Output:
    """The output of a part, and its version when it was made: torch counts a tensor's in-place
    changes."""

    prefix: Prefix
    value: Tensor
    version: int

    def holds(self, prefix: Prefix) -> bool:
        """Whether it is the output for ``prefix``, unchanged since."""
        return self.prefix == prefix and self.value._version == self.version


class NotShareableError(Exception):
    """Archs with a common prefix give it different inputs, or change its output in place."""


class PrefixMemo:
    """Keeps the outputs along the path of the arch that ran last, for the next arch to go on from
    where the two part.

    Archs must come in sorted order for every shared prefix to be found. The n-th call of the
    backbone within a step is kept apart from the others: sliding windows and multi-scale models
    call it several times. What it returns is what the backbone would compute: an output is used
    again only for an equal input, and not where a neck or head has changed it in place.

    Args:
        backbone: The supernet.
        before_run: Called with the prefix before a part really runs.
        enabled: Whether to share at all.

    Attributes:
        once: Whether a prefix that has to run again on the same batch is an error: BN would count
            that batch twice.
    """

    def __init__(
        self,
        backbone: SearchableBackbone,
        before_run: Callable[[Prefix, Arch], None],
        enabled: bool = True,
    ) -> None:
        self.backbone = backbone
        self.before_run = before_run
        self.enabled = enabled
        self.once = False
        self.ran: set[tuple[int, Prefix]] = set()
        self.calls: list[list[Output]] = []
        self.inputs: list[Output] = []
        self.call = -1

    def next_batch(self) -> None:
        """Forgets the batch before."""
        self.calls.clear()
        self.inputs.clear()
        self.ran.clear()

    def next_step(self) -> None:
        """Another arch on the same batch."""
        self.call = -1
        if not self.enabled:
            self.next_batch()

    def prefix(self, part: int, arch: Arch) -> Prefix:
        """What the archs with which ``arch`` shares a part have in common; the whole arch where
        nothing is shared."""
        return self.backbone.prefix(part, arch) if self.enabled else (part, arch)

    def __call__(self, part: int, arch: Arch, x: Tensor) -> Tensor:
        """The output of a part: the ``part_runner`` of a :class:`SearchableBackbone`.

        Raises:
            NotShareableError: See ``once``.
        """
        prefix = self.prefix(part, arch)
        if part == 0:
            self.call += 1
            self._new_input(x)
        outputs = self.calls[self.call]
        if part < len(outputs) and outputs[part].holds(prefix):
            return outputs[part].value
        if self.once and (self.call, prefix) in self.ran:
            raise NotShareableError(f'part {part} of arch {arch}')
        self.ran.add((self.call, prefix))
        del outputs[part:]
        self.before_run(prefix, arch)
        value = self.backbone.run_part(part, arch, x)
        outputs.append(Output(prefix, value, value._version))
        return value

    def _new_input(self, x: Tensor) -> None:
        if self.call == len(self.calls):
            self.calls.append([])
            self.inputs.append(Output((0, ()), x, x._version))
            return
        known = self.inputs[self.call]
        same = (
            known.holds((0, ()))
            and known.value.shape == x.shape
            and (known.value is x or torch.equal(known.value, x))
        )
        if not same:
            self.calls[self.call] = []
            self.inputs[self.call] = Output((0, ()), x, x._version)
