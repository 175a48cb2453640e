"""The start of the second stage of DSNAS: the found arch trains on where the first stage
stopped."""

import warnings

from mmengine.runner import Runner
from torch import Tensor, nn
from torch.optim import Optimizer

from ...checkpoint import load_state
from ...private_api import set_progress
from ...registry import HOOKS
from ...unwrap import unwrapped
from ..hand_over import HandOver, check_fits, check_progress
from .training_time_hook import TrainingTimeHook


@HOOKS.register_module()
class HandOverHook(TrainingTimeHook):
    """Loads the weights of a hand-over and puts the loop's counters and the schedulers where the
    first stage left them.

    The optimiser is new, at the schedule's present learning rate, unless the hand-over has the old
    one's state. A resumed second stage does nothing of this: its own checkpoint has it all.

    Args:
        checkpoint: ``hand_over.pth`` of :class:`DSNASHook`.

    Raises:
        InputError: Before training: the file is none, is of another subnet, or says that training
            has come further than this one goes.
    """

    priority = 'VERY_HIGH'

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if runner.iter > 0:  # resumed
            return
        found, weights = HandOver.read(self.checkpoint)
        check_fits(found, self.checkpoint, unwrapped(runner.model).backbone)
        check_progress(found, self.checkpoint, runner)
        load_state(runner.model, weights, self.checkpoint)
        set_progress(runner.train_loop, found.epoch, found.iter)
        runner.optim_wrapper.initialize_count_status(runner.model, found.iter, runner.max_iters)
        self._advance_schedulers(runner, found.epoch, found.iter)
        if found.optimizer is not None:
            load_parameter_states(
                unwrapped(runner.model), runner.optim_wrapper.optimizer, found.optimizer
            )
        runner.logger.info(
            f'{self.checkpoint}: goes on at epoch {found.epoch}, iteration {found.iter}, learning '
            f'rate {runner.optim_wrapper.get_lr()["lr"][0]:g}'
        )

    @staticmethod
    def _advance_schedulers(runner: Runner, epoch: int, iteration: int) -> None:
        """Steps the schedulers as often as the first stage did: mmengine's compute each value from
        the one before.

        A scheduler that waits for a metric (ReduceOnPlateau) starts again.
        """
        schedulers = runner.param_schedulers or []
        schedulers = (
            [scheduler for group in schedulers.values() for scheduler in group]
            if isinstance(schedulers, dict)
            else schedulers
        )
        length = iteration // epoch if epoch else iteration + 1
        with warnings.catch_warnings():
            warnings.filterwarnings(
                'ignore', 'Detected call of'
            )  # that no optimiser has stepped yet
            for done in range(1, iteration + 1):
                for scheduler in schedulers:
                    if not scheduler.by_epoch:
                        scheduler.step()
                for scheduler in schedulers if done % length == 0 else ():
                    if scheduler.by_epoch:
                        scheduler.step()


def load_parameter_states(
    model: nn.Module, optimizer: Optimizer, states: dict[str, dict[str, Tensor]]
) -> None:
    """Gives an optimiser what :func:`~pinas_mm.engine.hooks.dsnas_hook.parameter_states` took of
    another, by the names of the parameters. Which of it goes to the parameters' device is the
    optimiser's to know: Adam counts its steps on the CPU."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = optimizer.state_dict()['param_groups']
    numbered = zip(
        (number for group in groups for number in group['params']),
        (parameter for group in optimizer.param_groups for parameter in group['params']),
    )
    state = {
        number: states[names[parameter]]
        for number, parameter in numbered
        if names[parameter] in states
    }
    optimizer.load_state_dict(dict(state=state, param_groups=groups))
