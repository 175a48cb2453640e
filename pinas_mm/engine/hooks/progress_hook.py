"""Shows how far a training, a validation or a test has come, where mmengine's log lines are not
shown."""

from collections.abc import Sequence
from numbers import Real

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from ... import console
from ...console import Progress
from ...registry import HOOKS

# Metrics that a line shows: a detector has a dozen, and the log file has them all.
MOST_METRICS = 6
# Losses of the last iterations whose mean is shown, as mmengine's log lines have it.
WINDOW = 10


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows a bar, or a line now and then, in a quiet terminal
    (:func:`pinas_mm.console.quiet_terminal`): epoch or iteration, time left, loss, learning rate
    and the first metric of the last validation; and the metrics of every validation and test in a
    line. Every Runner of ours has it (:func:`~pinas_mm.engine.runner.build_runner`). Elsewhere it
    shows nothing: mmengine's ``LoggerHook`` does.
    """

    # After the hooks that note losses, learning rates and metrics.
    priority = 'VERY_LOW'

    def __init__(self) -> None:
        # Of the training; and of the validation or test, which may be within it.
        self.training: Progress | None = None
        self.evaluation: Progress | None = None
        self.metric: dict[str, str] = {}

    def before_train(self, runner: Runner) -> None:
        self.metric = {}
        self.by_epoch = not isinstance(runner.train_loop, IterBasedTrainLoop)
        if console.is_quiet():
            length = f'{runner.max_iters} iterations'
            if self.by_epoch:
                length = f'{length} in {runner.max_epochs} epoch{"s" * (runner.max_epochs > 1)}'
            begun = f', after {runner.iter} that are done' if runner.iter else ''
            console.say(f'training: {_images(runner.train_dataloader)}, {length}{begun}')
        console.say_log_file(runner.logger.log_file)
        self.training = Progress('train', runner.max_iters, runner.iter).__enter__()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: dict | None = None,
    ) -> None:
        if self.training is None or not self.training.active:
            return
        title = f'epoch {runner.epoch + 1}/{runner.max_epochs}' if self.by_epoch else 'train'
        validated = {f'val {name}': value for name, value in self.metric.items()}
        self.training.update(runner.iter + 1, title, scalars(runner) | validated)

    def after_train(self, runner: Runner) -> None:
        if self.training is not None:
            self.training.__exit__()
            self.training = None

    def before_val_epoch(self, runner: Runner) -> None:
        self._begin('validate', len(runner.val_dataloader))

    def before_test_epoch(self, runner: Runner) -> None:
        self._begin('test', len(runner.test_dataloader))
        if console.is_quiet():
            console.say(f'test: {_images(runner.test_dataloader)}')
        console.say_log_file(runner.logger.log_file)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        if self.evaluation is not None:
            self.evaluation.update(batch_idx + 1)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        self.after_val_iter(runner, batch_idx)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._end()
        numbers = texts(metrics)
        self.metric = dict(list(numbers.items())[:1])
        if not console.is_quiet():
            return
        where = ''
        if self.training is not None:
            where = (
                f'epoch {runner.epoch}/{runner.max_epochs}  '
                if self.by_epoch
                else f'iteration {runner.iter}/{runner.max_iters}  '
            )
        console.say(f'{where}validation  {_line(numbers)}')

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._end()
        if console.is_quiet():
            console.say(f'test  {_line(texts(metrics))}')

    def _begin(self, title: str, total: int) -> None:
        self.evaluation = Progress(title, total, lines=False).__enter__()

    def _end(self) -> None:
        if self.evaluation is not None:
            self.evaluation.__exit__()
            self.evaluation = None


def scalars(runner: Runner) -> dict[str, str]:
    """The loss and the learning rate of a training, as text; those that it has."""
    history = runner.message_hub.log_scalars
    found = {}
    if 'train/loss' in history:
        found['loss'] = f'{history["train/loss"].mean(WINDOW):.4f}'
    rates = [name for name in history if name.startswith('train/') and name.endswith('lr')]
    if rates:
        name = 'train/lr' if 'train/lr' in rates else rates[0]
        found['lr'] = f'{history[name].current():.2e}'
    return found


def texts(metrics: dict[str, float] | None) -> dict[str, str]:
    """The first numbers among metrics, as text."""
    numbers = {
        name: f'{value:.4g}'
        for name, value in (metrics or {}).items()
        if isinstance(value, Real)  # numpy's too
    }
    return dict(list(numbers.items())[:MOST_METRICS])


def _line(numbers: dict[str, str]) -> str:
    return '  '.join(f'{name} {value}' for name, value in numbers.items()) or 'no metrics'


def _images(loader: object) -> str:
    dataset = getattr(loader, 'dataset', None)
    try:
        return f'{len(dataset)} images'  # type: ignore[arg-type]
    except TypeError:  # a dataset without a length
        return 'images'
