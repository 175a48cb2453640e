"""What a search and DSNAS send to the visualizer's backends (TensorBoard, W&B, MLflow) while they
run: ``visualizer=dict(vis_backends=[dict(type='TensorboardVisBackend')])`` in a config."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.visualization import Visualizer
from PIL import Image

from ..searching.history import Record
from ..spaces import SearchSpace


def add_record(visualizer: Visualizer, run: str, record: Record, best: float) -> None:
    """Adds an evaluated arch to the curves of a search, at the step of its number: ``RUN/score``,
    ``RUN/best``, its costs such as ``RUN/macs`` and its metrics such as ``RUN/accuracy/top1``.

    Args:
        visualizer: The runner's.
        run: What the curves' names begin with, such as ``'search'``.
        record: An arch with a score. One that was scored again goes to ``RUN_final/…``.
        best: The best score so far.
    """
    run = run if record.stage == 'search' else f'{run}_{record.stage}'
    numbers = dict(score=record.score, best=best, **record.costs) | record.metrics
    visualizer.add_scalars(
        {f'{run}/{name}': float(value) for name, value in numbers.items() if value is not None},
        step=record.index + 1,
    )


def add_plots(visualizer: Visualizer, run: str, plots: Sequence[Path], step: int) -> None:
    """Adds plots, those of them that were drawn, as images called ``RUN_<name of the file>``."""
    for path in plots:
        if not path.exists():
            continue
        with Image.open(path) as picture:
            image = np.asarray(picture.convert('RGB'))
        # Without a slash: mmengine's LocalVisBackend makes a file of the name.
        visualizer.add_image(f'{run}_{path.stem}', image, step)


def add_probabilities(
    visualizer: Visualizer, space: SearchSpace, probabilities: Sequence[np.ndarray], step: int
) -> None:
    """Adds what DSNAS has learned: for every slot the probability of each candidate,
    ``dsnas/slot_2/<name of the candidate>``."""
    visualizer.add_scalars(
        {
            f'dsnas/slot_{slot}/{candidate.name}': float(value)
            for slot, (candidates, row) in enumerate(zip(space.candidates, probabilities))
            for candidate, value in zip(candidates, row)
        },
        step=step,
    )
