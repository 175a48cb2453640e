"""Architecture and weights together, in one pass per step (Hu et al., "DSNAS: Direct Neural
Architecture Search without Parameter Retraining", CVPR 2020)."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIMIZERS
from torch import Tensor, nn
from torch.optim import Optimizer

from ..costs import CostTable, measure_costs
from ..errors import InputError
from ..models.backbones import ArchBackbone
from ..models.selfsup import PiNAS
from ..registry import OPTIM_WRAPPERS
from ..schema import Count, NotNegative, Positive, Seed
from ..spaces import Arch, SearchSpace, arch_rng
from ..spaces.elastic import ElasticSpace
from ..unwrap import unwrapped
from .amp import AmpOptimWrapper
from .arch_logits import ArchLogits
from .base import Strategy

Reward = Literal['linear', 'reinforce', 'gdas']
# The signal of a slot's gate is judged after so many passes, and is none below this share of the
# median over slots.
SIGNAL_PASSES = 100
NO_SIGNAL = 1e-3
# Of the running baseline, what stays at an update: the mean of about the last twenty.
BASELINE_MOMENTUM = 0.95


if TYPE_CHECKING:
    from mmengine.optim import OptimWrapper as _Wrapper  # what the mixin is mixed into
else:
    _Wrapper = object


class DSNASMixin(_Wrapper):
    """Mixed into an optimiser wrapper: draws an arch for every forward pass, and learns the logits
    it is drawn from.

    Works around any mm model with a searchable backbone: the arch is set, and a gate of value 1 put
    on every slot's output, when the model enters ``optim_context``. One forward and one backward
    pass along one path gives the weights their ordinary gradient, and ``d loss / d gate`` of every
    slot. ``optimizer`` is that of the weights; the logits have their own. With gradient
    accumulation every micro-step draws an arch, and both updates are made from the mean over them;
    an update that mixed precision leaves out for an overflow is left out for both.

    On several ranks each draws its own arch and parameters of all their paths get a gradient (zero
    where another rank ran them), so that any wrapper that averages gradients fits:
    ``ActiveGradientDataParallel``, or mmengine's with ``find_unused_parameters=True``. Logits'
    gradients are averaged here.

    Rewards of a slot, by which the gradient of ``ln p(chosen)`` is scaled:

    - ``'linear'``, as published (eq. 8 and 9): ``d loss / d gate`` of the slot, what the choice
      costs if the loss is linear in the gate. Then the expected gradient is exactly that of the
      expected loss; for other losses it is biased. Where the output goes into a BN and nowhere else
      (the last position of a stage, where the next begins with conv-BN on every branch), the loss
      hardly depends on the gate and the reward is noise, which Adam makes as large as any signal: a
      warning names these slots. The gate of a depth is on the output of its stage, which is such
      an output, so that spaces with depths are refused.
    - ``'reinforce'``: the loss less its running mean (Williams, 1992), the same for all slots.
      Unbiased, and of larger variance.
    - ``'gdas'``: not a reward of DSNAS but another method to compare with (Dong and Yang,
      "Searching for a Robust Neural Architecture in Four GPU Hours", CVPR 2019). The arch is drawn
      by Gumbel noise, and ``d loss / d gate`` goes to the logits through the soft choice of
      :meth:`ArchLogits.soft_sample` at ``temperature`` (straight-through). As there, one path runs
      in a pass. Other than there, weights and logits learn from the same images in the same pass:
      published, they take turns on two halves of the training set.

    Args:
        logits_optimizer: Config of the logits' optimiser; Adam with the published lr and betas.
        reward: ``'linear'`` or ``'reinforce'``.
        macs_limit: Most MACs of the choice blocks (not of stem, tail and head), in units of one;
            published 290e6. None for no limit.
        macs_coef: Weight of ``sum over slots of p(chosen) * MACs(chosen)``, MACs in millions, in
            steps whose arch is above the limit; 64e-6 weighs as much as the 1e-6 of the published
            run on 8 GPUs. (The authors' code divides the task's part of the logits' gradient by the
            number of GPUs twice and this part never, and sums both over the GPUs; here both are
            means over the GPUs. So its coefficient counts for 8 * 8 times as much.)
        input_size: Height and width of the images whose MACs are counted, or one number for both;
            with ``macs_limit``.
        fix_lead: A slot is fixed once its likeliest candidate leads the second by so much
            probability; by default 0.3 as published ("progressive early stop"). At least 1 to fix
            none, which is the default of ``reward='gdas'``.
        fix_interval: The lead is looked at after every so many updates. 1 by default; in the
            authors' code at the start of an epoch. A lead that is there for a few updates alone
            then fixes nothing.
        temperature: Of the soft choices of ``reward='gdas'``, at the start and at the end of the
            search, linear between; (10, 0.1) as published. :class:`DSNASHook` says how far the
            search is.
        arch_seed: Archs are a pure function of (arch_seed, pass, rank) and the logits, also after a
            resume.
        shared_arch: Whether all ranks run the same arch. As published each draws its own, and the
            logits' gradients are averaged.
        kwargs: As of the optimiser wrapper; ``optimizer`` is that of the weights.

    Raises:
        InputError: An argument out of range, a model without a supernet, one that draws its own
            archs, a limit no arch meets, a limit in a space whose blocks read several slots, or
            ``reward='linear'`` in a space with depths.
    """

    def __init__(
        self,
        *,
        logits_optimizer: dict | None = None,
        reward: Reward = 'linear',
        macs_limit: Positive | None = None,
        macs_coef: NotNegative = 64e-6,
        input_size: Count | tuple[Count, Count] | None = None,
        fix_lead: Positive | None = None,
        fix_interval: Count = 1,
        temperature: tuple[Positive, Positive] = (10, 0.1),
        arch_seed: Seed = 0,
        shared_arch: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        if macs_limit is not None and input_size is None:
            raise InputError(
                f'macs_limit={macs_limit:g} of {owner}: give input_size too, the images whose '
                f'MACs are counted'
            )
        self.logits_optimizer_config = (
            dict(type='Adam', lr=1e-3, betas=(0.5, 0.999))
            if logits_optimizer is None
            else logits_optimizer
        )
        self.reward = reward
        self.macs_limit = macs_limit
        self.macs_coef = macs_coef
        self.input_size = input_size
        default_lead = 1.0 if reward == 'gdas' else 0.3
        self.fix_lead = default_lead if fix_lead is None else fix_lead
        self.fix_interval = fix_interval
        self.temperature_range = temperature
        self.arch_seed = arch_seed
        self.shared_arch = shared_arch
        # Whether updates move the logits: DSNASHook turns it off during the warm-up.
        self.learning = True
        # How much of the search is over, from 0 to 1: DSNASHook sets it.
        self.progress = 0.0
        self.passes = self.updates = 0
        self.baseline: float | None = None
        self.logits: ArchLogits | None = None
        self._loaded: dict[str, Any] | None = None
        self._share = 1.0  # of the present pass in its update
        self._loss = 0.0  # the mean over the passes of an update
        # A loss scaler does not call the optimiser where a gradient has overflown.
        self._stepped = False
        self.optimizer.register_step_post_hook(self._note_step)

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Called by the Runner before training: takes the supernet."""
        super().initialize_count_status(model, init_counts, max_counts)
        model = unwrapped(model)
        if isinstance(model, PiNAS | Strategy):
            raise InputError(
                f'{type(self).__name__}: {type(model).__name__} draws its own archs; expected an '
                f'mm model with a task loss'
            )
        backbone = getattr(model, 'backbone', None)
        if not isinstance(backbone, ArchBackbone) or not backbone.is_supernet:
            found = 'a subnet' if isinstance(backbone, ArchBackbone) else 'no searchable backbone'
            raise InputError(
                f'{type(self).__name__}: {type(model).__name__} has {found} as its backbone, '
                f'expected a supernet of pinas_mm'
            )
        self._check_space(backbone.space)
        self.backbone = backbone
        self.logits = ArchLogits(backbone.space)
        self.signal = torch.zeros(backbone.space.num_slots)
        self.logits_optimizer: Optimizer = OPTIMIZERS.build(
            dict(self.logits_optimizer_config, params=self.logits.rows)
        )
        self.slot_macs = (
            None
            if self.macs_limit is None or self.input_size is None
            else self._slot_macs(measure_costs(model, self.input_size), self.macs_limit)
        )
        if self._loaded is not None:
            self._restore(self._loaded)

    def _check_space(self, space: SearchSpace) -> None:
        """Raises where a depth would be learned from a gate, or a limit needs MACs that are not
        known."""
        owner = type(self).__name__
        depths = isinstance(space, ElasticSpace) and [
            slot
            for stage in range(space.num_stages)
            if (slot := space.depth_slot(stage)) is not None
        ]
        if depths and self.reward != 'reinforce':
            raise InputError(
                f'reward={self.reward!r} of {owner}: slots {", ".join(map(str, depths))} of space '
                f'{space.name!r} choose depths, and d loss / d gate says nothing of them: the '
                f"norms of the next stage take the gate out again; expected reward='reinforce'"
            )
        together = next((slots for _, slots in space.cost_terms if len(slots) > 1), None)
        if self.macs_limit is not None and together:
            raise InputError(
                f'macs_limit={self.macs_limit:g} of {owner}: no MACs of single slots are known of '
                f'space {space.name!r}, where a block reads several, such as {list(together)}; '
                f'expected no macs_limit (search_loop.constraints of a search limits whole archs)'
            )

    def _slot_macs(self, costs: CostTable, limit: float) -> list[np.ndarray]:
        """For each slot the MACs of its candidates in millions."""
        total = [macs / 1e6 for macs in costs.slot_costs('macs')]
        least = sum(macs.min() for macs in total)
        if least > limit / 1e6:
            raise InputError(
                f'macs_limit={limit:g} of {type(self).__name__}: the least that the '
                f'choice blocks of an arch of '
                f'space {costs.space.name!r} cost at this size is {least * 1e6:g}'
            )
        return total

    @property
    def passes_per_update(self) -> int:
        """The forward passes, and archs, whose gradients make an update."""
        return self._accumulative_counts

    # A pass.

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Draws the arch of the pass that follows and puts the gates in; :meth:`backward` takes
        them out."""
        self.arch = self.draw_arch(self._own_draw())
        self.backbone.set_arch(self.arch)
        device = next(self.backbone.parameters()).device
        self.backbone.gates = torch.ones(
            self.backbone.space.num_slots, device=device, requires_grad=True
        )
        with super().optim_context(model):
            yield

    def _own_draw(self) -> int:
        """Which of a pass's draws this rank runs."""
        return 0 if self.shared_arch else get_rank()

    def draw_arch(self, rank: int) -> Arch:
        """The arch that a rank runs in the present pass; every rank knows those of all others."""
        assert self.logits is not None  # the Runner has called initialize_count_status
        rng = self._generator(rank)
        if self.reward == 'gdas':
            return self.logits.soft_sample(rng, self.temperature)[0]
        return self.logits.sample(rng)

    def _generator(self, rank: int) -> np.random.Generator:
        """That of a rank's draw in the present pass."""
        return arch_rng(self.arch_seed, self.passes, rank)

    @property
    def temperature(self) -> float:
        """Of the soft choices of ``reward='gdas'`` in the present pass."""
        start, end = self.temperature_range
        return start + (end - start) * self.progress

    def scale_loss(self, loss: Tensor) -> Tensor:
        self._share = float(super().scale_loss(torch.ones(())))
        return super().scale_loss(loss)

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """The backward pass, and the gradients of the logits.

        Raises:
            FloatingPointError: The loss is not finite; no parameter was changed by it.
        """
        super().backward(loss, **kwargs)
        # Not before it: checkpointed parts run again there.
        gates, self.backbone.gates = self.backbone.gates, None
        assert self.logits is not None and gates is not None  # optim_context has set them
        gradient = torch.zeros_like(gates) if gates.grad is None else gates.grad
        # Python waits for a GPU once a pass, here: for both together.
        numbers = torch.cat([gradient, loss.detach().to(gradient)[None]]).cpu()
        share_of_loss = numbers[-1].item()
        if not math.isfinite(share_of_loss):
            self.zero_grad()
            raise FloatingPointError(
                f'the loss of arch {self.backbone.space.encode(self.arch)} is {share_of_loss} at '
                f'pass {self.passes}: '
                'training has diverged; the last checkpoint is from before it'
            )
        costs = numbers[:-1] / self._gradient_scale()
        self._watch_signal(costs.abs() / self._share)
        self._loss += share_of_loss
        if self.learning:
            self._add_gradients(costs, share_of_loss)
        self._fill_in_gradients()
        self.passes += 1

    def _add_gradients(self, costs: Tensor, loss: float) -> None:
        """Adds the gradients of a pass to those of the logits.

        Args:
            costs: ``d loss / d gate`` of every slot, ``(num_slots, )``.
            loss: The pass's share of the update's loss, as ``costs`` are of.
        """
        assert self.logits is not None  # the Runner has called initialize_count_status
        rewards = costs
        if self.reward == 'reinforce':
            baseline = loss if self.baseline is None else self.baseline * self._share
            rewards = (loss - baseline) * self._read()
        if self.reward == 'gdas':
            # The draw of this pass again: the logits have not moved since.
            rng, temperature = self._generator(self._own_draw()), self.temperature
            choices = self.logits.soft_sample(rng, temperature)[1]
            self.logits.add_soft_gradients(self.arch, choices, costs, temperature)
            rewards = torch.zeros_like(costs)
        self.logits.add_gradients(self.arch, rewards, self._penalties())

    def _read(self) -> Tensor:
        """1 for the slots that something reads which runs, else 0, ``(num_slots, )``: the loss says
        nothing of the others."""
        space, read = self.backbone.space, torch.zeros(self.backbone.space.num_slots)
        for index in range(len(space.positions)):
            for slot in self.backbone.gated_slots(index, self.arch):
                read[slot] = 1
        return read

    def _penalties(self) -> Tensor | None:
        if self.slot_macs is None or self.macs_limit is None:
            return None
        chosen = np.array([macs[choice] for macs, choice in zip(self.slot_macs, self.arch)])
        if chosen.sum() <= self.macs_limit / 1e6:
            return None
        return torch.from_numpy(chosen * self.macs_coef * self._share).float()

    def _fill_in_gradients(self) -> None:
        """Gives what any rank ran a gradient, zero where there is none: averaging wants the same
        parameters on every rank.

        Also of this rank's own path: a cell has edges that lead nowhere, which only the other ranks
        would fill in."""
        if self.shared_arch or get_world_size() == 1:
            return
        archs = {self.draw_arch(rank) for rank in range(get_world_size())}
        for module in dict.fromkeys(
            module for arch in archs for module in self.backbone.path(arch)
        ):
            for parameter in module.parameters():
                if parameter.requires_grad and parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)

    def _gradient_scale(self) -> float:
        """What the loss was multiplied by before its backward pass."""
        return 1.0

    def _watch_signal(self, signal: Tensor) -> None:
        """Says once in which slots ``d loss / d gate`` is no signal."""
        if self.passes >= SIGNAL_PASSES or self.reward == 'reinforce':
            return
        self.signal += torch.nan_to_num(signal, 0.0, 0.0)  # an overflow in mixed precision
        if self.passes == SIGNAL_PASSES - 1 and (silent := self.silent_slots()):
            names = ', '.join(
                f'{slot} ({self.signal[slot] / SIGNAL_PASSES:.1e})' for slot in silent
            )
            print_log(
                f'DSNAS: |d loss / d gate| of slot(s) {names} is below {NO_SIGNAL:g} of the '
                f'median over slots '
                f'({self.signal.median() / SIGNAL_PASSES:.1e}), mean over {SIGNAL_PASSES} passes: '
                f'a BN follows, which takes the gate out '
                f'again. There reward={self.reward!r} learns from noise; '
                "reward='reinforce' learns from "
                'the loss.',
                'current',
                logging.WARNING,
            )

    def silent_slots(self) -> list[int]:
        """The slots where ``d loss / d gate`` is no signal, of the passes so far; up to 100 are
        looked at."""
        return torch.nonzero(self.signal < NO_SIGNAL * self.signal.median()).flatten().tolist()

    # An update.

    def step(self, **kwargs: Any) -> None:
        """Steps the weights, then the logits, and fixes what is decided."""
        assert self.logits is not None  # the Runner has called initialize_count_status
        self._stepped = False
        super().step(**kwargs)
        live = [(row, row.grad) for row in self.logits.rows if row.grad is not None]
        # One message: the gradients of all live rows and the loss. Which rows live is the same on
        # every rank, as what is fixed is.
        message = torch.cat([*(gradient for _, gradient in live), torch.tensor([self._loss])])
        self._loss = 0.0
        all_reduce(message, op='mean')
        loss = message[-1].item()
        self.baseline = (
            loss
            if self.baseline is None
            else BASELINE_MOMENTUM * self.baseline + (1 - BASELINE_MOMENTUM) * loss
        )
        if live and self._stepped and torch.isfinite(message).all():
            means = message[:-1].split([len(row) for row, _ in live])
            for (_, gradient), mean in zip(live, means):
                gradient.copy_(mean)
            self.logits_optimizer.step()
            self.updates += 1
            if self.updates % self.fix_interval == 0:
                self.logits.fix(self.fix_lead)

    def _note_step(self, *unused: Any) -> None:
        self._stepped = True

    def zero_grad(self, **kwargs: Any) -> None:
        super().zero_grad(**kwargs)
        if self.logits is not None:
            self.logits_optimizer.zero_grad()

    # Checkpoints.

    def state_dict(self) -> dict:
        """The wrapper's state, with all that DSNAS knows under ``'dsnas'``."""
        assert self.logits is not None  # the Runner has called initialize_count_status
        return super().state_dict() | dict(
            dsnas=dict(
                logits=self.logits.state_dict(),
                optimizer=self.logits_optimizer.state_dict(),
                passes=self.passes,
                updates=self.updates,
                baseline=self.baseline,
                signal=self.signal.clone(),
            )
        )

    def load_state_dict(self, state_dict: dict) -> None:
        """Loads what :meth:`state_dict` gave.

        Raises:
            InputError: The state is of another wrapper.
        """
        state_dict = dict(state_dict)
        loaded = state_dict.pop('dsnas', None)
        if loaded is None:
            raise InputError(
                f'{type(self).__name__}: the checkpoint to resume was saved by another optimiser '
                f'wrapper, without logits; '
                'start from its weights instead (load_from)'
            )
        super().load_state_dict(state_dict)
        self._loaded = loaded  # the Runner resumes before it says which model is trained
        if self.logits is not None:
            self._restore(loaded)

    def _restore(self, loaded: dict[str, Any]) -> None:
        assert self.logits is not None  # the Runner has called initialize_count_status
        self.logits.load_state_dict(loaded['logits'])
        # A resumed Runner loads all onto its GPU; Adam would leave its count of steps there.
        optimizer = dict(loaded['optimizer'])
        optimizer['state'] = {
            row: {
                key: value.cpu() if isinstance(value, Tensor) else value
                for key, value in state.items()
            }
            for row, state in optimizer['state'].items()
        }
        self.logits_optimizer.load_state_dict(optimizer)
        self.passes, self.baseline, self.signal = (
            loaded['passes'],
            loaded['baseline'],
            loaded['signal'].cpu(),
        )
        self.updates = loaded.get('updates', 0)  # older checkpoints have none


@OPTIM_WRAPPERS.register_module()
class DSNASOptimWrapper(DSNASMixin, OptimWrapper):
    """DSNAS in one line on top of any config whose model has a supernet as its backbone::

        optim_wrapper = dict(
            type='pinas_mm.DSNASOptimWrapper', optimizer=dict(type='SGD', lr=0.5, momentum=0.9))

    with ``DSNASHook`` for the warm-up and the hand-over to the second stage. See
    :class:`DSNASMixin`."""


@OPTIM_WRAPPERS.register_module()
class DSNASAmpOptimWrapper(DSNASMixin, AmpOptimWrapper):
    """The same in mixed precision."""

    def _gradient_scale(self) -> float:
        return self.loss_scaler.get_scale()
