"""Subnet-aware dynamics: a learning-rate decay that depends on the arch, and momentum kept apart
for groups of archs.

Jeon et al., Subnet-Aware Dynamic Supernet Training for Neural Architecture Search, CVPR 2025 (arXiv
2503.10740): CaLR, the complexity-aware LR scheduler, and MS, momentum separation. Of the paper only
the abstract was at hand; what "the authors" stands for below is their code for NAS-Bench-201
(github.com/cvlab-yonsei/DYNAS, train_spos.py and train_fairnas.py). None of it is copied."""

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from mmengine.optim import OptimWrapper
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from ..costs import CostTable, measure_costs
from ..errors import InputError
from ..models.backbones import searchable_backbone_of
from ..models.selfsup import PiNAS
from ..registry import OPTIM_WRAPPERS
from ..schema import Count, Expected, Number, WholeNumber
from ..spaces import Arch
from ..unwrap import unwrapped
from .amp import AmpOptimWrapper


def decay_ratio(complexity: float, least: float, most: float, gamma_max: float = 4.0) -> float:
    """CaLR's exponent of the LR decay: ``1 / gamma_max`` for the most complex arch, ``gamma_max``
    for the least, linear in the logarithm between them. As the authors have it, ``gamma_max = 4``
    included.

    Args:
        complexity, least, most: Complexity of the arch, and of the least and most complex one of
            its space; any one unit, above 0.
        gamma_max: 1 decays all archs alike.
    """
    if least == most:
        return 1.0
    lightness = (math.log(most) - math.log(complexity)) / (math.log(most) - math.log(least))
    return 1 / gamma_max + (gamma_max - 1 / gamma_max) * lightness


class MomentumGroup:
    """What one group of archs contributes to an update.

    Passes of the same group are joined as they come: with ``m_i`` the LR factor of pass i and ``m``
    their mean, ``gradients`` is the sum of ``m_i / m * g_i`` and ``factors`` is ``m``, so that the
    LR moves each pass's gradient by ``lr * m_i``, and one pass alone is left as it is.

    Args:
        gradients: The gradients of the first pass, by parameter; those that ran only.
        factors: What the scheduled LR is multiplied with, one per parameter group of the optimiser.
    """

    def __init__(self, gradients: list[dict[Tensor, Tensor]], factors: list[float]) -> None:
        self.gradients = gradients
        self.factors = factors
        self.passes = 1

    def add(self, gradients: list[dict[Tensor, Tensor]], factors: list[float]) -> None:
        """Joins another pass of the group."""
        for index, (ours, theirs, factor) in enumerate(zip(self.gradients, gradients, factors)):
            mean = (self.passes * self.factors[index] + factor) / (self.passes + 1)
            if mean != self.factors[index]:
                for gradient in ours.values():
                    gradient.mul_(self.factors[index] / mean)
            for parameter, gradient in theirs.items():
                if parameter in ours:
                    ours[parameter].add_(gradient, alpha=factor / mean)
                else:
                    ours[parameter] = gradient.mul_(factor / mean)
            self.factors[index] = mean
        self.passes += 1


@contextmanager
def momentum_of_group(optimizer: Optimizer, buffers: defaultdict) -> Iterator[None]:
    """Within it the optimiser has the state of one group, such as its momentum."""
    own, optimizer.state = optimizer.state, buffers
    try:
        yield
    finally:
        optimizer.state = own


if TYPE_CHECKING:
    from mmengine.optim import OptimWrapper as _Wrapper  # what the mixin is mixed into
else:
    _Wrapper = object


class SubnetAwareMixin(_Wrapper):
    """Mixed into an optimiser wrapper: CaLR and momentum separation for SGD.

    A strategy says which arch each pass belongs to; else it is the backbone's active arch when
    :meth:`backward` is called, as ``ArchSamplingHook`` has set it.

    CaLR. The authors set the LR of an arch at iteration t of T to ``lr0 * (1 - t / T) **
    gamma(arch)``, :func:`decay_ratio`. Here the configured schedulers stay and say how far the LR
    has come down: ``peak * (lr / peak) ** gamma(arch)``, where ``lr`` is the scheduled LR and
    ``peak`` the highest one yet, per parameter group. With ``PolyLR(power=1, eta_min=0,
    by_epoch=False, end=T + 1)`` this is the authors' (mmengine's PolyLR is through with iteration
    ``end - 1``); with any scheduler, ``gamma = 1`` is the scheduled LR; a warm-up is left as it is,
    and without a decay nothing changes. The log shows the scheduled LR.

    Momentum separation. Archs with the same candidate in slot ``momentum_slot`` share momentum
    buffers, and the others have their own, from the first iteration; each group takes the memory of
    a momentum buffer per parameter that ran in it. The authors group by an edge of the cell that
    they draw at random once; here the slot is chosen, 0 by default, so that runs can be compared.

    Several passes before an update (a strategy's, or gradient accumulation): gradients are all of
    the same weights; each goes with its own arch's LR into its own group's buffers; then ``p -= sum
    over groups of lr * buffer``. Where passes fall into one group, its buffers move with the mean
    of their LRs. (The authors' FairNAS weighs each pass's loss by ``(1 - t / T) ** gamma`` instead
    and keeps the LR, and so the weight decay, at its start value.) Weight decay is added once per
    parameter and update, in equal parts to the groups in which it ran. A parameter that did not run
    in a group is not moved by that group, its momentum included. Gradient clipping reads all
    groups' gradients as one vector.

    Where a parameter runs in every group at every update, all with one LR, the sum of its buffers
    is the buffer of plain SGD, and separation changes nothing: under strict fairness, the stem and
    the head. In the authors' FairNAS all archs of a step have the same candidate in the slot, and
    so one group: ``FairStrategy(shared_slot=...)``.

    Args:
        input_size: Height and width in pixels of the images whose MACs are counted, or one number
            for both.
        complexity: ``'macs'``, or ``'params'``, which is what the authors' code counts.
        gamma_max: Greatest decay ratio; the least is its inverse. 1 turns CaLR off.
        momentum_slot: The slot that groups archs; None keeps one buffer for all, as plain SGD.
        kwargs: As of the optimiser wrapper; ``optimizer`` is SGD.

    Raises:
        InputError: Another optimiser than SGD, an argument out of range, or a model without a
            supernet.
    """

    optimizer: Any  # SGD; within `step` a PendingUpdate

    def __init__(
        self,
        *,
        input_size: Count | tuple[Count, Count],
        complexity: Literal['macs', 'params'] = 'macs',
        gamma_max: Annotated[Number, Field(ge=1), Expected('a number of at least 1', '4.0')] = 4.0,
        momentum_slot: WholeNumber | None = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if type(self.optimizer) is not SGD or any(
            group['maximize'] for group in self.optimizer.param_groups
        ):
            raise InputError(
                f'{type(self).__name__}: the optimizer is {type(self.optimizer).__name__}, '
                f'expected SGD (not maximize): '
                'how others would keep their state apart is not known'
            )
        self.input_size = input_size
        self.complexity = complexity
        self.gamma_max = gamma_max
        self.momentum_slot = momentum_slot
        self.costs: CostTable | None = None
        self.pass_arch: Arch | None = None
        # The state that SGD keeps per parameter, by group; only the group that steps is in the
        # optimiser.
        self.buffers: dict[int, defaultdict] = defaultdict(lambda: defaultdict(dict))
        self.pending: dict[int, MomentumGroup] = {}

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Called by the Runner before training: takes the supernet, and measures the complexity of
        its archs.

        Raises:
            InputError: The model has no supernet, its space has no slot ``momentum_slot``, or it is
                :class:`PiNAS`, whose loss has both paths in one backward pass.
        """
        super().initialize_count_status(model, init_counts, max_counts)
        model = unwrapped(model)
        if isinstance(model, PiNAS):
            raise InputError(
                f'{type(self).__name__}: the gradients of the two paths of PiNAS come in one '
                f'backward pass and cannot be kept '
                'apart; expected an mm model with ArchSamplingHook, or a strategy'
            )
        self.costs = measure_costs(model, self.input_size)
        self.cost_range = self.costs.range(self.complexity)
        self.backbone = searchable_backbone_of(model)
        space = self.costs.space
        if not self.backbone.is_supernet:
            raise InputError(
                f'model.backbone was built with arch={space.encode(self.backbone.arch)}: a '
                f'supernet (arch=None) is needed'
            )
        if self.momentum_slot is not None and not 0 <= self.momentum_slot < space.num_slots:
            raise InputError(
                f'{type(self).__name__}: momentum_slot={self.momentum_slot!r}, but space '
                f'{space.name!r} has slots '
                f'0 to {space.num_slots - 1}'
            )

    def begin_pass(self, arch: Arch) -> None:
        """Says whose gradients come next, see :class:`~pinas_mm.strategies.PathOptimWrapper`."""
        self.pass_arch = arch

    def gamma(self, arch: Arch) -> float:
        """The decay ratio of an arch."""
        assert self.costs is not None  # the Runner has called initialize_count_status
        return decay_ratio(
            self.costs.array(self.complexity, [arch])[0].item(), *self.cost_range, self.gamma_max
        )

    def lr_factors(self, gamma: float) -> list[float]:
        """What CaLR multiplies the scheduled LR of each parameter group with: ``(lr / peak) **
        (gamma - 1)``."""
        factors = []
        for group in self.optimizer.param_groups:
            # Kept in the parameter group, and so in the checkpoint.
            peak = group['peak_lr'] = max(group.get('peak_lr', 0.0), group['lr'])
            factors.append((group['lr'] / peak) ** (gamma - 1) if group['lr'] > 0 else 1.0)
        return factors

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """The backward pass of one arch, whose gradients are put aside for its group: afterwards
        every ``grad`` is None.

        Raises:
            RuntimeError: No model was attached.
        """
        if self.costs is None:
            raise RuntimeError(
                f'{type(self).__name__} knows no model yet: call initialize_count_status, as the '
                f'Runner does'
            )
        arch = self.pass_arch or self.backbone.arch
        super().backward(loss, **kwargs)
        gradients = [
            {p: p.grad for p in group['params'] if p.grad is not None}
            for group in self.optimizer.param_groups
        ]
        self.optimizer.zero_grad()
        factors = self.lr_factors(self.gamma(arch))
        key = 0 if self.momentum_slot is None else arch[self.momentum_slot]
        if key in self.pending:
            self.pending[key].add(gradients, factors)
        else:
            self.pending[key] = MomentumGroup(gradients, factors)

    def held_gradients(self) -> list[Tensor]:
        """The gradients of the coming update, of every group, see
        :class:`~pinas_mm.strategies.PathOptimWrapper`."""
        return [
            gradient
            for group in self.pending.values()
            for part in group.gradients
            for gradient in part.values()
        ]

    def step(self, **kwargs: Any) -> None:
        """One update from all gradients put aside."""
        # The wrapper's own step clips, unscales and checks them as it would any optimiser's.
        optimizer, self.optimizer = self.optimizer, PendingUpdate(self)
        try:
            super().step(**kwargs)
        finally:
            self.optimizer = optimizer

    def zero_grad(self, **kwargs: Any) -> None:
        super().zero_grad(**kwargs)
        self.pending.clear()

    def state_dict(self) -> dict:
        """The wrapper's state, with the momentum buffers of every group under ``'momentum'``."""
        packed = {}
        for key, buffers in self.buffers.items():
            with momentum_of_group(self.optimizer, buffers):
                packed[key] = self.optimizer.state_dict()['state']
        return super().state_dict() | dict(momentum=dict(slot=self.momentum_slot, buffers=packed))

    def load_state_dict(self, state_dict: dict) -> None:
        """Loads what :meth:`state_dict` gave.

        Raises:
            InputError: The state is of another wrapper, or its buffers were kept apart by another
                slot.
        """
        state_dict = dict(state_dict)
        momentum = state_dict.pop('momentum', None)
        if momentum is None:
            raise InputError(
                f'{type(self).__name__}: the checkpoint to resume was saved by another optimiser '
                f'wrapper, without '
                'momentum groups; start from its weights instead (load_from)'
            )
        if momentum['slot'] != self.momentum_slot:
            raise InputError(
                f'{type(self).__name__}: momentum_slot={self.momentum_slot!r}, but the checkpoint '
                f'to resume was trained '
                f'with {momentum["slot"]!r}'
            )
        self.buffers.clear()
        for key, packed in momentum['buffers'].items():
            self.optimizer.load_state_dict(
                dict(state=packed, param_groups=state_dict['param_groups'])
            )
            self.buffers[key] = self.optimizer.state
        super().load_state_dict(state_dict)


class PendingUpdate:
    """The gradients put aside by :class:`SubnetAwareMixin`, in the shape of an optimiser: what
    clips gradients or scales losses reads ``param_groups`` and calls :meth:`step`.

    ``param_groups`` holds stand-ins, one for every gradient put aside, whose ``grad`` is that
    gradient."""

    def __init__(self, dynamics: SubnetAwareMixin) -> None:
        self.dynamics = dynamics
        self.optimizer: Optimizer = dynamics.optimizer
        stand_ins = []
        for gradient in dynamics.held_gradients():
            stand_in = gradient.detach().requires_grad_()
            stand_in.grad = gradient
            stand_ins.append(stand_in)
        self.param_groups = [dict(params=stand_ins)]

    @torch.no_grad()
    def step(self, **kwargs: Any) -> None:
        """Steps every group with its own LR and momentum buffers."""
        groups, pending = self.optimizer.param_groups, self.dynamics.pending
        scheduled = [(group['lr'], group['weight_decay']) for group in groups]
        if len(pending) > 1:
            self._add_weight_decay(list(pending.values()))
        try:
            for key, share in pending.items():
                for group, gradients, factor, (lr, weight_decay) in zip(
                    groups, share.gradients, share.factors, scheduled
                ):
                    group.update(
                        lr=lr * factor, weight_decay=weight_decay if len(pending) == 1 else 0.0
                    )
                    for parameter in group['params']:
                        parameter.grad = gradients.get(parameter)
                with momentum_of_group(self.optimizer, self.dynamics.buffers[key]):
                    self.optimizer.step(**kwargs)
        finally:
            for group, (lr, weight_decay) in zip(groups, scheduled):
                group.update(lr=lr, weight_decay=weight_decay)

    def _add_weight_decay(self, shares: list[MomentumGroup]) -> None:
        """Adds it before any group steps, so that it is of the weights the gradients were taken
        at."""
        for index, group in enumerate(self.optimizer.param_groups):
            for parameter in group['params'] if group['weight_decay'] else ():
                gradients = [
                    share.gradients[index][parameter]
                    for share in shares
                    if parameter in share.gradients[index]
                ]
                for gradient in gradients:
                    gradient.add_(parameter, alpha=group['weight_decay'] / len(gradients))


@OPTIM_WRAPPERS.register_module()
class SubnetAwareOptimWrapper(SubnetAwareMixin, OptimWrapper):
    """Subnet-aware dynamics in one line on top of any config that trains a supernet with SGD::

        optim_wrapper = dict(type='pinas_mm.SubnetAwareOptimWrapper', input_size=32)

    See :class:`SubnetAwareMixin`.
    """


@OPTIM_WRAPPERS.register_module()
class SubnetAwareAmpOptimWrapper(SubnetAwareMixin, AmpOptimWrapper):
    """The same in mixed precision; if any gradient of an update overflows, the whole update is left
    out, as in AmpOptimWrapper."""
