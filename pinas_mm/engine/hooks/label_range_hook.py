"""Whether the head has the classes, and heads of ages the ages, of the images a model is trained
on."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...errors import InputError
from ...registry import HOOKS
from ...tasks.age import AgeHead
from ...unwrap import unwrapped


@HOOKS.register_module()
class LabelRangeHook(Hook):
    """Compares the heads with the training set, where both say what they are for:
    ``model.head.num_classes`` with its classes, the ages of every :class:`AgeHead` with its ages.

    torch's own error comes from inside the loss and names neither; with too many classes there is
    none. (mmdet has the like for detectors.) A head of more ages than the data's fits.

    Raises:
        InputError: Before training: the numbers of classes differ, or the data's ages are not
            within a head's.
    """

    def before_train(self, runner: Runner) -> None:
        model = unwrapped(runner.model)
        dataset = runner.train_dataloader.dataset
        metainfo, name = getattr(dataset, 'metainfo', None) or {}, type(dataset).__name__
        head, classes = getattr(model, 'head', None), metainfo.get('classes')
        found = getattr(head, 'num_classes', None)
        if found is not None and classes is not None and found != len(classes):
            raise InputError(
                f'num_classes={found} of {type(head).__name__}: {name} has {len(classes)} classes '
                f'({", ".join(map(str, classes[:5]))}{", ..." if len(classes) > 5 else ""})'
            )
        age_heads = [head for head in model.modules() if isinstance(head, AgeHead)]
        for part in getattr(dataset, 'datasets', [dataset]):  # of a ConcatDataset each has its own
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
