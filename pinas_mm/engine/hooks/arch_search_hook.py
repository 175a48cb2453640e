"""Searches during or after a training run."""

from pathlib import Path

from mmengine.hooks import Hook
from mmengine.registry import LOOPS
from mmengine.runner import Runner

from ...errors import InputError
from ...registry import HOOKS
from ...schema import Count
from ..search_config import search_config
from ..search_loop import SearchLoop


@HOOKS.register_module()
class ArchSearchHook(Hook):
    """Runs the search of the config's ``search_loop`` every ``interval`` epochs, or once after
    training, scored on ``val_dataloader``.

    Args:
        interval: Epochs between searches; the default searches only after training. Each search
            writes to ``search_epoch_N`` in the work dir.
    """

    priority = 'LOWEST'  # after the epoch's checkpoint is written

    def __init__(self, interval: Count | None = None) -> None:
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        # Before hours of training, not after them.
        old = (
            sorted(Path(runner.work_dir).glob('search_epoch_*/history.jsonl'))
            if runner.epoch == 0
            else []
        )
        if old:
            raise InputError(
                f'{old[0]}: a search of an earlier training; choose another --work-dir'
            )
        self._build(runner, 0).check_metrics()

    def after_train_epoch(self, runner: Runner) -> None:
        if self.interval is not None and self.every_n_epochs(runner, self.interval):
            self._search(runner, runner.epoch + 1)

    def after_train(self, runner: Runner) -> None:
        if self.interval is None:
            self._search(runner, runner.epoch)

    def _search(self, runner: Runner, epoch: int) -> None:
        self._build(runner, epoch).search()

    def _build(self, runner: Runner, epoch: int) -> SearchLoop:
        config = search_config(runner.cfg)
        # A search that a stopped training had begun goes on; its header refuses other weights.
        config.test_cfg.update(out_dir=f'{runner.work_dir}/search_epoch_{epoch}', resume=True)
        data = dict(dataloader=config.test_dataloader, evaluator=config.test_evaluator)
        return LOOPS.build(config.test_cfg, default_args=dict(runner=runner, **data))
