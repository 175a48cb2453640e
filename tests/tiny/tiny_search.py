"""A small search, for tests that kill it or run it on two ranks."""

import os
import random
import signal
import sys
import time
import traceback

import torch.distributed as dist
from mmengine.registry import init_default_scope
from tiny_runner import RUNS, Tiny

from pinas_mm.engine import ActiveGradientDataParallel
from pinas_mm.scoring.evaluator import ArchEvaluator

NUM_ARCHS, ASK = 78, 2


def run(folder, resume=False, num_archs=NUM_ARCHS, norm='BN'):
    init_default_scope('mmpretrain')
    tiny = Tiny(folder)
    runner = tiny.searching(
        model=tiny.classifier(widen_factor=0.125, norm_cfg=dict(type=norm))
        | dict(
            neck=dict(
                type='LinearNeck',
                in_channels=160,
                out_channels=320,
                gap_dim=2,
                norm_cfg=dict(type='BN1d' if norm == 'BN' else norm),
            )
        ),
        experiment_name=f'tiny{os.getpid()}-{next(RUNS)}',
        val_dataloader=tiny.digits('held_out'),
        val_evaluator=dict(type='Accuracy', topk=(1,)),
        arch_evaluation=dict(calibration_dataloader=tiny.digits(), calibration_batches=1),
        search_loop=dict(
            type='pinas_mm.SearchLoop',
            searcher=dict(type='partition_tree', num_initial=10, min_leaf=4),
            num_archs=num_archs,
            ask_size=ASK,
            input_size=32,
            constraints=dict(macs=1.2e6),
            score_samples=32,
            top_k=3,
            resume=resume,
        ),
    )
    tiny.randomise(runner.model)
    if dist.is_initialized():  # as mmengine's launchers wrap it
        runner.model = ActiveGradientDataParallel(runner.model)
    runner.test()
    return runner


def forked(folder):
    """The search in a process of its own that starts at once, everything imported."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            run(folder, resume=True)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return pid


def batches(folder):
    history = folder / 'history.jsonl'
    return history.read_bytes().count(b'"spent"') if history.exists() else 0


def killed(folder, kills):
    """Runs the search once undisturbed in ``folder/whole``, and once in ``folder/killed``, where it
    is killed at ``kills`` random moments and resumed each time. ``folder/batches`` gets the batches
    it had at each of them."""
    assert os.waitpid(forked(folder / 'whole'), 0)[1] == 0
    random.seed(0)
    spent = []
    for number in range(kills):
        before = batches(folder / 'killed')
        pid = forked(folder / 'killed')
        # By progress, so that it does not matter how busy the machine is: every other one a moment
        # after its first batch, the others at any moment before that.
        limit = time.monotonic() + (60 if number % 2 else random.uniform(0, 1.5))
        while batches(folder / 'killed') == before and time.monotonic() < limit:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.05))
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        assert os.WIFSIGNALED(status), (
            f'ended before it was killed for the {number + 1}th time: {status}'
        )
        spent.append(batches(folder / 'killed'))
    assert os.waitpid(forked(folder / 'killed'), 0)[1] == 0
    (folder / 'batches').write_text(' '.join(map(str, spent)))


def rank(number, folder, dies_at=None, by=signal.SIGKILL):
    """One of two ranks; rank 1 ends itself in asked batch ``dies_at`` with a signal."""
    if dies_at is not None and number == 1:
        evaluate, calls = ArchEvaluator.evaluate, []

        def dying(self, archs):
            calls.append(1)
            if len(calls) == dies_at:
                os.kill(os.getpid(), by)
            return evaluate(self, archs)

        ArchEvaluator.evaluate = dying
    loop = run(folder / 'ranks', num_archs=20, norm='SyncBN').test_loop
    (folder / f'winner{number}').write_text(str(loop.winner))
