"""Whether a classifier's head has as many classes as the images it is trained on."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ...errors import InputError
from ...registry import HOOKS


@HOOKS.register_module()
class ClassCountHook(Hook):
    """Compares ``model.head.num_classes`` with the classes of the training set, where both are known.

    torch's own error comes from inside the loss and names neither; with too many classes there is none. (mmdet has the like for detectors.)

    Raises:
        InputError: Before training: the numbers differ.
    """

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        found = getattr(getattr(model, 'head', None), 'num_classes', None)
        dataset = runner.train_dataloader.dataset
        classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
        if found is not None and classes is not None and found != len(classes):
            raise InputError(f'num_classes={found} of {type(model.head).__name__}: {type(dataset).__name__} has {len(classes)} classes '
                             f'({", ".join(map(str, classes[:5]))}{", ..." if len(classes) > 5 else ""})')
