"""Ends a training whose weights are no numbers any more."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...checkpoint import check_finite, finite_tensors
from ...errors import InputError
from ...registry import HOOKS
from ...unwrap import unwrapped


@HOOKS.register_module()
class FiniteWeightsHook(Hook):
    """Ends a training that has diverged, before a checkpoint takes the place of one that can be
    used, and before its model is tested: accuracies of NaN are finite. Every training that our
    runner builds has it (:func:`~pinas_mm.engine.runner.build_runner`).

    Raises:
        FloatingPointError: When a checkpoint is saved, or at the end: a tensor of the model that
            was finite before the training is not; the message names the first.
    """

    def __init__(self) -> None:
        self.finite: set[str] = set()  # a checkpoint may be saved without a training

    def before_train(self, runner: Runner) -> None:
        self.finite = finite_tensors(unwrapped(runner.model))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self.check(runner)

    def after_train(self, runner: Runner) -> None:
        self.check(runner)

    def check(self, runner: Runner) -> None:
        """Looks at every tensor."""
        try:
            check_finite(
                f'iteration {runner.iter}', unwrapped(runner.model).state_dict(), self.finite
            )
        except InputError as error:
            raise FloatingPointError(str(error)) from None
