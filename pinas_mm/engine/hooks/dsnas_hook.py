"""The first stage of DSNAS: warm-up, search, and the hand-over to the second."""

import math
from collections.abc import Container
from contextlib import ExitStack
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import Tensor, nn
from torch.optim import Optimizer

from ...console import short_path
from ...errors import InputError
from ...models.backbones import borrowed, supernet_of
from ...registry import HOOKS
from ...schema import Count, WholeNumber
from ...spaces import Arch
from ...strategies import DSNASMixin
from ...subnets.state_dict import subnet_state_dict
from ...unwrap import unwrapped
from ..hand_over import HAND_OVER, HandOver
from ..live_curves import add_probabilities
from .training_time_hook import TrainingTimeHook, training_seconds


@HOOKS.register_module()
class DSNASHook(TrainingTimeHook):
    """Runs the schedule of the first stage: the logits stay during the warm-up, and the stage ends
    with ``hand_over.pth`` in the work dir, as soon as every slot is fixed or when ``search`` is
    over, the slots left taking their likeliest candidate.

    The file holds the arch, the weights of its path and how far training has come; the other
    candidates and the logits are not in it. :class:`HandOverHook` starts the second stage from it,
    and ``tools/dsnas.py`` runs both.

    Args:
        search: Length of the first stage in epochs, or in iterations with ``IterBasedTrainLoop``;
            published 80 of 240 epochs.
        warm_up: So much of it at its start trains weights alone, over uniformly drawn archs;
            published 15 or 30 epochs.
        interval: Iterations between two points of the curves that the visualizer's backends get:
            the probability of every candidate (:func:`~..live_curves.add_probabilities`). 50 by
            default: thousands of points in a published schedule.
        keep_momentum: Whether the second stage goes on with the weights' optimiser state. As
            published it starts a new one; this option is ours.

    Raises:
        InputError: A warm-up as long as the search, or, before training, a search longer than
            training or one that ends within an update of accumulated gradients, or another
            optimiser wrapper.
    """

    # Before what saves: where there is a checkpoint of the stage's end there is a hand-over too.
    priority = 'BELOW_NORMAL'

    def __init__(
        self,
        search: Count,
        warm_up: WholeNumber = 0,
        keep_momentum: bool = False,
        interval: Count = 50,
    ) -> None:
        if warm_up >= search:
            raise InputError(
                f'warm_up={warm_up} of DSNASHook: expected less than '
                f'search={search}: no time would be left for the logits to move'
            )
        self.search = search
        self.warm_up = warm_up
        self.keep_momentum = keep_momentum
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if not isinstance(runner.optim_wrapper, DSNASMixin):
            raise InputError(
                f'optim_wrapper of type {type(runner.optim_wrapper).__name__}: DSNASHook needs '
                "dict(type='pinas_mm.DSNASOptimWrapper', ...)"
            )
        self.by_epoch = not isinstance(runner.train_loop, IterBasedTrainLoop)
        self.unit = 'epochs' if self.by_epoch else 'iterations'
        length = runner.max_epochs if self.by_epoch else runner.max_iters
        if self.search > length:
            raise InputError(
                f'search={self.search} {self.unit} of DSNASHook: training has only {length}'
            )
        passes = runner.optim_wrapper.passes_per_update
        in_all = self.search * (len(runner.train_dataloader) if self.by_epoch else 1)
        if in_all % passes:
            raise InputError(
                f'optim_wrapper.accumulative_counts={passes}: the search of DSNASHook takes '
                f'{in_all} iterations and would end within an update; expected a divisor of '
                f'{in_all}, such as {math.gcd(in_all, passes)}'
            )
        self._length = self.search - self.warm_up
        self._end_if_over(runner, self._done(runner))

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | tuple | list | None = None
    ) -> None:
        within = batch_idx / len(runner.train_dataloader) if self.by_epoch else 0.0
        done = self._done(runner) + within
        runner.optim_wrapper.learning = done >= self.warm_up
        runner.optim_wrapper.progress = max(0.0, (done - self.warm_up) / self._length)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: dict | None = None,
    ) -> None:
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        logits = runner.optim_wrapper.logits
        runner.message_hub.update_scalars(
            {
                'train/slots_fixed': sum(choice is not None for choice in logits.fixed),
                'train/arch_entropy': logits.entropy(),
            }
        )
        if self.every_n_train_iters(runner, self.interval):
            self._add_probabilities(runner, runner.iter + 1)
        if not self.by_epoch:
            self._end_if_over(runner, runner.iter + 1)

    def after_train_epoch(self, runner: Runner) -> None:
        if self.by_epoch:
            self._end_if_over(runner, runner.epoch + 1)

    def before_val(self, runner: Runner) -> None:
        """Validation is of the likeliest arch, with the BN statistics that training left.

        These are a mixture over the archs drawn so far, and say little at first. They become the
        arch's own as the distribution narrows, so the supernet does not warn of them here: the
        loops it would name score given archs, and cannot follow the likeliest one."""
        self._validation = ExitStack()
        self._validation.enter_context(borrowed(runner.model))
        supernet_of(runner.model).set_arch(runner.optim_wrapper.logits.most_likely())

    def after_val(self, runner: Runner) -> None:
        self._validation.close()

    def _add_probabilities(self, runner: Runner, step: int) -> None:
        logits = runner.optim_wrapper.logits
        add_probabilities(runner.visualizer, logits.space, logits.probabilities(), step)

    def _done(self, runner: Runner) -> int:
        return runner.epoch if self.by_epoch else runner.iter

    def _end_if_over(self, runner: Runner, done: int) -> None:
        logits = runner.optim_wrapper.logits
        if done < self.search and not logits.all_fixed:
            return
        self._add_probabilities(runner, runner.iter if self.by_epoch else done)
        undecided = [slot for slot, choice in enumerate(logits.fixed) if choice is None]
        space, arch = logits.space, logits.most_likely()
        if undecided:
            runner.logger.info(
                f'DSNAS: slots {undecided} were not decided in {self.search} {self.unit}: each '
                f'takes its likeliest'
            )
        # Within an epoch or iteration the runner's counters stand at its start.
        epoch = done if self.by_epoch else runner.epoch
        iteration = done if not self.by_epoch else epoch * len(runner.train_dataloader)
        path = Path(runner.work_dir) / HAND_OVER
        if is_main_process():
            save_hand_over(path, runner, arch, epoch, iteration, self.keep_momentum)
        runner.logger.info(
            f'DSNAS: arch {space.encode(arch)} after {training_seconds(runner):.0f} s -> '
            f'{short_path(path)}'
        )
        runner.train_loop.stop_training = True


def save_hand_over(
    path: Path, runner: Runner, arch: Arch, epoch: int, iteration: int, keep_momentum: bool
) -> None:
    """Writes what the second stage starts from: arch and weights, and how far training has come."""
    model = unwrapped(runner.model)
    state = subnet_state_dict(model, arch)
    backbone, wrapper = model.backbone, runner.optim_wrapper
    HandOver(
        space=backbone.space.name,
        arch=arch,
        widen_factor=backbone.widen_factor,
        epoch=epoch,
        iter=iteration,
        train_seconds=training_seconds(runner),
        probabilities=tuple(tuple(row.tolist()) for row in wrapper.logits.probabilities()),
        optimizer=parameter_states(model, wrapper.optimizer, state) if keep_momentum else None,
    ).write(path, state)


def parameter_states(
    model: nn.Module, optimizer: Optimizer, names: Container[str]
) -> dict[str, dict[str, Tensor]]:
    """What an optimiser keeps of each of the named parameters, on the CPU: a machine without the
    GPU can read it."""
    return {
        name: {
            key: value.cpu() if isinstance(value, Tensor) else value
            for key, value in optimizer.state[parameter].items()
        }
        for name, parameter in model.named_parameters()
        if name in names and parameter in optimizer.state
    }
