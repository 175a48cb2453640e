"""What DSNAS learns of an architecture: a row of logits per slot (Hu et al., "DSNAS: Direct Neural
Architecture Search without Parameter Retraining", CVPR 2020, section 3)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..spaces import Arch, SearchSpace


class ArchLogits:
    """A distribution over the archs of a space: slots are independent, the candidates of each have
    softmax(logits) as probabilities.

    They are few numbers, which every step reads to draw an arch: they stay on the CPU. All start at
    0, where every arch is as likely (the authors' code draws them from N(1, 0.01), which is nearly
    that).

    Args:
        space: The space.

    Attributes:
        rows: The logits of every slot, ``(num_candidates[slot], )`` each, leaves of their own: the
            optimiser passes over a row without a gradient, also over what momentum would do to it.
        fixed: For each slot the candidate it is fixed to, or None.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.rows = [torch.zeros(count, requires_grad=True) for count in space.num_candidates]
        self.fixed: list[int | None] = [None] * space.num_slots

    def probabilities(self) -> list[np.ndarray]:
        """The probabilities of every slot's candidates; of a fixed slot, 1 for the one it is fixed
        to."""
        found = [row.detach().double().softmax(dim=0).numpy() for row in self.rows]
        return [
            values if choice is None else np.eye(len(values))[choice]
            for values, choice in zip(found, self.fixed)
        ]

    def sample(self, rng: np.random.Generator) -> Arch:
        """One arch drawn from the distribution."""
        return self.space.sample(rng, [values.tolist() for values in self.probabilities()])

    def soft_sample(
        self, rng: np.random.Generator, temperature: float
    ) -> tuple[Arch, list[np.ndarray]]:
        """One arch drawn from the distribution by Gumbel noise, and the soft choice of every slot.

        A slot's soft choice is ``softmax((ln p + g) / temperature)`` with one draw ``g`` of
        Gumbel(0, 1) per candidate (Dong and Yang, "Searching for a Robust Neural Architecture in
        Four GPU Hours", CVPR 2019, eq. 3); the arch takes the largest, so that a candidate is drawn
        with its probability at any temperature.

        Args:
            rng: The generator.
            temperature: Above 0; the lower, the nearer is the soft choice to the drawn one.
        """
        choices = []
        for values in self.probabilities():
            with np.errstate(divide='ignore'):  # of a fixed slot
                noisy = (np.log(values) + rng.gumbel(size=len(values))) / temperature
            soft = np.exp(noisy - noisy.max())
            choices.append(soft / soft.sum())
        return tuple(int(soft.argmax()) for soft in choices), choices

    def most_likely(self) -> Arch:
        """The arch of the largest probabilities."""
        return tuple(int(values.argmax()) for values in self.probabilities())

    def log_probabilities(self, archs: Sequence[Arch]) -> np.ndarray:
        """``ln p(arch)`` of archs, ``(len(archs), )``: what DSNAS thinks of each. A fixed slot
        counts as it stood when it was fixed."""
        rows, choices = (
            [row.detach().double().log_softmax(dim=0).numpy() for row in self.rows],
            np.asarray(archs),
        )
        return sum(row[choices[:, slot]] for slot, row in enumerate(rows))

    def entropy(self) -> float:
        """The mean over slots of their entropy, as a share of that of equal chances: 1 at the
        start, 0 when all are decided."""
        shares = [
            -(values * np.log(np.maximum(values, 1e-300))).sum() / np.log(len(values))
            for values in self.probabilities()
            if len(values) > 1
        ]
        return float(np.mean(shares)) if shares else 0.0

    def add_gradients(self, arch: Arch, rewards: Tensor, penalties: Tensor | None = None) -> None:
        """Adds the gradients of ``sum over slots of rewards * ln p(chosen) + penalties *
        p(chosen)`` to those of the rows not yet fixed.

        The gradient of ln p(chosen) is ``onehot(chosen) - p``; of p(chosen), p(chosen) times that.

        Args:
            arch: The arch that was drawn.
            rewards: For each slot the cost of its choice, ``(num_slots, )``: less of it is better.
            penalties: For each slot what its choice costs beside, ``(num_slots, )``.
        """
        for slot, choice in enumerate(arch):
            probabilities = self.rows[slot].detach().softmax(dim=0)
            scale = rewards[slot] + (
                0.0 if penalties is None else penalties[slot] * probabilities[choice]
            )
            self._add(slot, choice, scale, probabilities)

    def add_soft_gradients(
        self, arch: Arch, choices: Sequence[np.ndarray], costs: Tensor, temperature: float
    ) -> None:
        """Adds the gradients of ``sum over slots of costs * soft choice of the chosen`` to those of
        the rows not yet fixed: GDAS' straight-through estimate, with ``d loss / d gate`` as costs.

        The gradient of a soft choice h at j is ``h_j * (onehot(j) - h) / temperature``.

        Args:
            arch: The arch that was drawn.
            choices: The soft choices that it was drawn with (:meth:`soft_sample`).
            costs: For each slot ``d loss / d gate``, ``(num_slots, )``.
            temperature: That of the soft choices.
        """
        for slot, choice in enumerate(arch):
            soft = torch.from_numpy(choices[slot]).to(self.rows[slot])
            self._add(slot, choice, costs[slot] * soft[choice] / temperature, soft)

    def _add(self, slot: int, choice: int, scale: Tensor, around: Tensor) -> None:
        """Adds ``scale * (onehot(choice) - around)`` to a row's gradient, unless it is fixed."""
        if self.fixed[slot] is not None:
            return
        row, gradient = self.rows[slot], -scale * around
        gradient[choice] += scale
        row.grad = gradient if row.grad is None else row.grad + gradient

    def fix(self, lead: float) -> list[int]:
        """Fixes every slot whose likeliest candidate leads the second by at least ``lead``; returns
        those slots. No going back."""
        fixed = []
        for slot, values in enumerate(self.probabilities()):
            ordered = np.sort(values)
            if self.fixed[slot] is None and (len(values) == 1 or ordered[-1] - ordered[-2] >= lead):
                self.fixed[slot] = int(values.argmax())
                self.rows[slot].grad = None
                fixed.append(slot)
        return fixed

    @property
    def all_fixed(self) -> bool:
        return None not in self.fixed

    def state_dict(self) -> dict[str, Any]:
        """The logits and what is fixed, as plain tensors and numbers."""
        return dict(rows=[row.detach().clone() for row in self.rows], fixed=list(self.fixed))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Loads what :meth:`state_dict` gave.

        Raises:
            InputError: It is of another space.
        """
        shapes = [len(values) for values in state['rows']]
        if shapes != [*self.space.num_candidates]:
            raise InputError(
                f'logits of a checkpoint: for slots of {shapes} candidates, but those of space '
                f'{self.space.name!r} have '
                f'{[*self.space.num_candidates]}'
            )
        with torch.no_grad():
            for row, values in zip(self.rows, state['rows']):
                row.copy_(values)
        self.fixed = list(state['fixed'])
