"""Whether the head has the classes, and heads of ages the ages, of the images a model is trained
on."""

from collections.abc import Sized

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from ...datasets.wrappers import metainfo, plain_datasets, sample_infos
from ...errors import InputError
from ...registry import HOOKS
from ...tasks.age import AgeHead
from ...unwrap import unwrapped


@HOOKS.register_module()
class LabelRangeHook(Hook):
    """Compares the heads with the training set, where both say what they are for:
    ``model.head.num_classes`` with its classes and the label of every image, the ages of every
    :class:`AgeHead` with its ages. Every training that our runner builds has it
    (:func:`~pinas_mm.engine.runner.build_runner`).

    torch's own error comes from inside the loss and names neither; with too many classes there is
    none. (mmdet has the like for detectors.) A head of more ages than the data's fits.

    Raises:
        InputError: Before training: the numbers of classes differ, a label is not below the head's
            number of classes, or the data's ages are not within a head's.
    """

    def before_train(self, runner: Runner) -> None:
        model = unwrapped(runner.model)
        dataset = runner.train_dataloader.dataset
        name, classes = type(dataset).__name__, metainfo(dataset).get('classes')
        head = getattr(model, 'head', None)
        found = getattr(head, 'num_classes', None)
        if found is not None and classes is not None and found != len(classes):
            raise InputError(
                f'num_classes={found} of {type(head).__name__}: {name} has {len(classes)} classes '
                f'({", ".join(map(str, classes[:5]))}{", ..." if len(classes) > 5 else ""}); '
                f'expected model.head.num_classes={len(classes)}'
            )
        if found is not None:
            check_labels(dataset, found, type(head).__name__)
        age_heads = [head for head in model.modules() if isinstance(head, AgeHead)]
        for part in plain_datasets(dataset):  # each has its own
            ages = getattr(part, 'ages', None)
            if ages is None:
                continue
            for head in age_heads:
                if not head.youngest <= ages[0] <= ages[1] <= head.oldest:
                    raise InputError(
                        f'ages=({head.youngest}, {head.oldest}) of {type(head).__name__}: '
                        f'{type(part).__name__} has ages of '
                        f'{ages[0]} to {ages[1]} (its `ages`)'
                    )


def check_labels(dataset: Dataset, num_classes: int, head: str) -> None:
    """Whether a head has an output for every label. Datasets that do not say their labels before
    their pipelines run are not checked, nor are streams.

    Args:
        dataset: What is learned from; a sample has one label, several or none.
        num_classes: The head's number of classes.
        head: The head's name, for the message.

    Raises:
        InputError: A label is not a number from 0 to ``num_classes - 1``.
    """
    if not isinstance(dataset, Sized):
        return
    for index, info in enumerate(sample_infos(dataset)):
        labels = info.get('gt_label')
        if isinstance(labels, dict) or labels is None:  # of several tasks
            continue
        for label in (labels,) if isinstance(labels, int) else np.atleast_1d(labels).tolist():
            try:
                fits = 0 <= label < num_classes
            except TypeError:  # text, or None
                fits = False
            if not fits:
                raise InputError(
                    f'label {label!r} of {info.get("img_path", f"sample {index}")}: {head} has '
                    f'num_classes={num_classes}, so labels of 0 to {num_classes - 1} are expected'
                )
