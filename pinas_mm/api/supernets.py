"""``nas.supernet``: a trained supernet from a config, or an elastic backbone from pretrained
weights."""

import copy
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor

from ..checkpoint import load_checkpoint, load_state
from ..compat import config_path
from ..engine.config import complete_config, read_config_file
from ..engine.loaders import arch_evaluation, calibration_loader, first_images, whole_set_loader
from ..engine.runner import build_supernet, use_fast_layout
from ..errors import InputError, warn_once
from ..models.backbones import ArchBackbone, backbone_settings, supernet_of
from ..scoring.evaluator import ArchEvaluator, autocast_dtype
from ..spaces import SPACES, SearchSpace
from .own_data import Images, loader_config, torch_images
from .quiet import quiet_scope, run_name

BATCH_SIZE = 64
# Of files that mmengine reads configs of.
CONFIG_SUFFIXES = ('.py', '.yaml', '.yml', '.json')
# Of ImageNet, which published weights are of.
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)


class Supernet:
    """A supernet with its weights, its data and its metrics: what :func:`supernet` returns.

    Args:
        config: The whole config, with what it leaves to its data filled in.
        model: The model with its weights, in eval mode. Train it on, if you like: a search takes
            the weights it has then.
        name: What folders and messages call it.
        checkpoint: Where the weights are from; None for none.
        untrained: Names of parameters that no checkpoint has given, such as a new head's.
    """

    def __init__(
        self,
        config: Config,
        model: BaseModel,
        name: str,
        checkpoint: str | None = None,
        untrained: tuple[str, ...] = (),
    ) -> None:
        self.config, self.model, self.name = config, model, name
        self.checkpoint, self.untrained = checkpoint, untrained

    @property
    def backbone(self) -> ArchBackbone:
        """The searchable backbone."""
        return supernet_of(self.model)

    @property
    def space(self) -> SearchSpace:
        """What can be searched."""
        return self.backbone.space

    @property
    def is_trained(self) -> bool:
        """Whether all weights come from a checkpoint."""
        return self.checkpoint is not None and not self.untrained

    @property
    def scope(self) -> str:
        """The mm package whose names the config uses."""
        return self.config.get('default_scope') or 'mmpretrain'

    def in_scope(self) -> AbstractContextManager[None]:
        """Within it mm objects of the config can be built."""
        return quiet_scope(self.scope)

    def weights(self) -> dict[str, Tensor] | None:
        """The tensors for a search; None where some of them are random."""
        return self.model.state_dict() if self.is_trained else None

    def require_trained(self, needed: str) -> None:
        """Raises:
        InputError: Some weights are random, so that ``needed`` would be noise.
        """
        if self.checkpoint is None:
            raise InputError(
                f'{needed} needs trained weights: give nas.supernet a checkpoint, such as '
                f"checkpoint='epoch_3.pth'"
            )
        if self.untrained:
            raise InputError(
                f'{needed} needs trained weights, but {self.checkpoint} has no '
                f'{", ".join(self.untrained)}: expected a checkpoint with its classifier; '
                f'tools/adapt.py trains one for other classes, and a search by '
                f"score='naswot' needs none"
            )

    def run_config(self, folder: str | os.PathLike) -> Config:
        """The config for a runner that trains nothing.

        Args:
            folder: Its work dir.
        """
        config = Config(self.config.to_dict(), filename=self.config.filename)
        # mmengine wants all of these or none.
        for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'):
            config[key] = None
        if config.get('val_dataloader') and config.get('val_cfg') is None:
            config.val_cfg = dict(type='pinas_mm.ArchValLoop')
        config.arch_evaluation = self.arch_evaluation()
        config.load_from, config.resume, config.launcher = None, False, 'none'
        config.work_dir, config.experiment_name = os.fspath(folder), run_name(self.name)
        return config

    def input_size(self) -> tuple[int, int]:
        """Height and width of the images that the backbone gets, in pixels."""
        calibration = self.arch_evaluation()['calibration_dataloader']
        with self.in_scope():
            height, width = first_images(self.model, calibration, 0).shape[-2:]
        return int(height), int(width)

    def arch_evaluation(self) -> dict[str, Any]:
        """How archs are evaluated (:func:`~pinas_mm.engine.loaders.arch_evaluation`)."""
        return arch_evaluation(self.config, bool(self.config.get('train_dataloader')))

    def evaluator(self, seed: int = 0) -> ArchEvaluator:
        """What turns archs into scores: BN is recalibrated, then the metrics of ``val_evaluator``
        run on ``val_dataloader``.

        Args:
            seed: Seed of the calibration samples.

        Raises:
            InputError: The config has no such data or metrics.
        """
        missing = [key for key in ('val_dataloader', 'val_evaluator') if not self.config.get(key)]
        if missing:
            raise InputError(
                f'{self.name}: no {", ".join(missing)}: give nas.supernet the held-out images, '
                f'val=..., or a config with both'
            )
        settings = self.arch_evaluation()
        with self.in_scope():
            return ArchEvaluator(
                self.model,
                calibration_loader(
                    settings['calibration_dataloader'], settings['calibration_batches'], seed
                ),
                whole_set_loader(self.config.val_dataloader),
                lambda: Evaluator(copy.deepcopy(self.config.val_evaluator)),
                autocast_dtype(settings['autocast']),
            )

    def __repr__(self) -> str:
        weights = f'weights of {self.checkpoint}' if self.checkpoint else 'no trained weights'
        return (
            f'Supernet({self.name}: {type(self.model).__name__} on {type(self.backbone).__name__}, '
            f'space {self.space.name} with {self.space.size:.3g} archs, {weights})'
        )


def supernet(
    source: str | os.PathLike | Config,
    checkpoint: str | os.PathLike | None = None,
    *,
    train: Images | None = None,
    val: Images | None = None,
    batch_size: int = BATCH_SIZE,
    overrides: Mapping[str, Any] | None = None,
) -> Supernet:
    """A supernet with its weights, ready to be searched.

    Args:
        source: A config file of a supernet with its classifier, or of its search; one that ships in
            a package, ``'pinas_mm::quickstart/linear.py'``; a ``Config``; or the name of a space
            such as ``'elastic_resnet50'``, whose backbone then starts from ``checkpoint``, and gets
            a linear classifier.
        checkpoint: The weights: a file or URL. For a space's name also those of a plain network,
            such as mmpretrain's or torchvision's ResNet-50, with its linear head. None for scores
            that train nothing.
        train: Images that the BN of every arch is recalibrated with: the training set, or a part
            of it; their labels are not used. A torch Dataset of ``(image, label)``; a DataLoader
            of one, all of which is read (no sampler and no ``collate_fn`` of your own); or the
            config of an mm dataset. Defaults to the config's.
        val: Held-out images that archs are scored on. Not those that the supernet has learned, nor
            the test set. Given like ``train``; defaults to the config's ``val_dataloader``.
        batch_size: Images of a batch, for a torch Dataset, and for an mm dataset where the config
            has no dataloader; a DataLoader has its own. 64 as in the configs. BN is recalibrated
            with at least 16.
        overrides: Values of the config by dotted key, such as
            ``{'model.backbone.widen_factor': 0.5}``.

    PIL images and uint8 tensors ``(C, H, W)`` are RGB and normalised by the config's data
    preprocessor (for a space's name with ImageNet's mean and deviation). Where that does not make
    RGB of BGR (``to_rgb=False``), they are given as they are: a network that has learned from mm's
    image files, which are BGR, then needs BGR tensors. Float tensors are given to
    the network as they are: normalise them in your dataset, as in the network's training.

    Returns:
        The supernet: ``.model``, ``.space`` and ``.config``.

    Raises:
        InputError: An unknown name, a config or checkpoint that does not fit, or data that are not
            images with labels.

    Example:
        >>> import pinas_mm as nas
        >>> supernet = nas.supernet('pinas_mm::quickstart/linear.py')
        >>> supernet.space.name
        'nasbench_macro'
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f'batch_size={batch_size!r}: expected a whole number of at least 1')
    path = None if checkpoint is None else os.fspath(checkpoint)
    if path is not None and '://' not in path and not Path(path).is_file():
        raise InputError(f'checkpoint={path}: no such file')
    with quiet_scope(None):
        if isinstance(source, str) and not is_config_name(source):
            return _of_space(source, path, train, val, batch_size, dict(overrides or {}))
        config, name = read_source(source, dict(overrides or {}))
        if not config.get('model'):
            raise InputError(
                f'source={name}: the config has no model: expected one of a supernet with its '
                f'classifier'
            )
        _give_images(config, train, val, batch_size)
        with quiet_scope(config.get('default_scope')):
            complete_config(config, dict(overrides or {}))
            model = build_supernet(config)
            if path is not None:
                load_state(model, load_checkpoint(path)['state_dict'], path)
            return _finished(Supernet(config, model, name, path))


def is_config_name(source: str) -> bool:
    """Whether text is of a config, a file or one that ships, and not the name of a space."""
    return '::' in source or '/' in source or Path(source).suffix in CONFIG_SUFFIXES


def read_source(
    source: str | os.PathLike | Config, overrides: Mapping[str, Any], key: str = 'source'
) -> tuple[Config, str]:
    """A config that a user gives, and what folders call it.

    Args:
        source: A config file, one that ships in a package, or a ``Config``, which is copied.
        overrides: Values by dotted key.
        key: The argument it was given for, for messages.

    Raises:
        InputError: It is none, or cannot be read.
    """
    if isinstance(source, Config):
        config = copy.deepcopy(source)
        config.merge_from_dict(dict(overrides))
        return config, Path(config.filename).stem if config.filename else 'supernet'
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f'{key}={type(source).__name__}: expected the path of a config file, a Config, or '
            f'{"the name of a space" if key == "source" else "a Supernet"}'
        )
    name = os.fspath(source)
    try:
        file = config_path(name) if '::' in name else name
    except (FileNotFoundError, ModuleNotFoundError) as error:
        raise InputError(f'{key}: {error}') from error
    return read_config_file(file, overrides), Path(name).stem


def _of_space(
    name: str,
    checkpoint: str | None,
    train: Images | None,
    val: Images | None,
    batch_size: int,
    overrides: dict[str, Any],
) -> Supernet:
    """The classifier of a space's backbone."""
    check_space_name(name, 'source', ', or a config file, whose name ends in .py')
    if train is None or val is None:
        absent = [key for key, value in dict(train=train, val=val).items() if value is None]
        raise InputError(
            f'source={name!r} is a space and brings no images: give {" and ".join(absent)}, such '
            f"as a torch Dataset or dict(type='ClassFolders', data_root='data/train', ...)"
        )
    config = Config(
        dict(
            default_scope='mmpretrain',
            custom_imports=dict(imports=['pinas_mm'], allow_failed_imports=False),
            randomness=dict(seed=0),
            model=dict(
                type='ImageClassifier',
                backbone=backbone_settings(name),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=None, in_channels=1),
                data_preprocessor=dict(num_classes=None, **IMAGENET),
            ),
            val_evaluator=[dict(type='Accuracy', topk=(1,)), dict(type='pinas_mm.LabelLikelihood')],
        )
    )
    config.merge_from_dict(overrides)
    _give_images(config, train, val, batch_size)
    model = config.model
    backbone = supernet_of(MODELS.build(dict(model.backbone, init_cfg=None)))
    model.head.in_channels = backbone.out_channels[-1]
    if getattr(backbone, 'gap_before_final_norm', False):  # ConvNeXt pools by itself
        model.pop('neck', None)
    found = {} if checkpoint is None else load_checkpoint(checkpoint)['state_dict']
    state = with_classifier_names(found)
    weight = state.get('head.fc.weight')
    fits = weight is not None and weight.ndim == 2 and weight.shape[1] == model.head.in_channels
    if weight is not None and fits and 'model.head.num_classes' not in overrides:
        model.head.num_classes = model.data_preprocessor.num_classes = int(weight.shape[0])
    complete_config(config, overrides)
    classifier = build_supernet(config)
    untrained: tuple[str, ...] = ()
    if checkpoint is not None:
        if not fits:
            untrained = tuple(f'head.{key}' for key in classifier.head.state_dict())
            load_state(classifier.backbone, state, checkpoint, 'backbone.')
        else:
            load_state(classifier, state, checkpoint)
    return _finished(Supernet(config, classifier, name, checkpoint, untrained))


def check_space_name(name: str, key: str, also: str = '') -> None:
    """Raises:
    InputError: No imported package has a space of that name; the message lists the names.
    """
    if name not in SPACES:
        raise InputError(
            f'{key}={name!r}: no such space, expected one of {sorted(SPACES)}{also}; a space of '
            f'another package is known once that package is imported'
        )


def with_classifier_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint's tensors by the names of mm's classifiers: torchvision's networks have no
    ``backbone.`` before their names, and their head is ``fc``."""
    if any(key.startswith('backbone.') for key in state):
        return dict(state)
    return {
        f'head.{key}' if key.startswith('fc.') else f'backbone.{key}': value
        for key, value in state.items()
    }


def _give_images(config: Config, train: Images | None, val: Images | None, batch_size: int) -> None:
    """Puts the user's images into a config, in place."""
    model = config.get('model') or {}
    inner = model.get('model', model)  # a strategy holds the model
    holder = inner if inner.get('data_preprocessor') else config
    preprocessor = holder.get('data_preprocessor') or {}
    to_bgr = bool(preprocessor.get('to_rgb') or preprocessor.get('bgr_to_rgb'))
    if train is not None:
        given = config.get('train_dataloader')
        loader = loader_config(train, 'train', batch_size, to_bgr, given)
        config.train_dataloader = loader
        settings = dict(config.get('arch_evaluation') or {})
        config.arch_evaluation = settings | dict(calibration_dataloader=loader)
        if config.get('search_loop'):
            config.search_loop.pop('calibration_dataloader', None)
    if val is not None:
        given = config.get('val_dataloader')
        config.val_dataloader = loader_config(val, 'val', batch_size, to_bgr, given)
    if train is not None and val is not None:
        config.pop('held_out', None)  # the user has split the data
    own = [torch_images(config.get(f'{part}_dataloader')) for part in ('train', 'val')]
    floats = {images.gives_floats for images in own if images is not None}
    if floats == {True, False} or (floats == {True} and None in own and None in (train, val)):
        raise InputError(
            'train and val: one gives float tensors and the other images of 0 to 255: expected '
            'both from datasets with the same transform'
        )
    if floats == {True}:
        # They are normalised already.
        for key in ('mean', 'std', 'to_rgb', 'bgr_to_rgb', 'rgb_to_bgr'):
            preprocessor.pop(key, None)
        holder.data_preprocessor = preprocessor


def _finished(found: Supernet) -> Supernet:
    supernet_of(found.model)
    use_fast_layout(found.model, found.config.get('channels_last'))
    found.model.eval()
    check_labels(found)
    return found


def check_labels(found: Supernet) -> None:
    """Whether the labels of torch Datasets are classes of the head, as far as both say it.

    Raises:
        InputError: A label is not.
    """
    classes = getattr(getattr(found.model, 'head', None), 'num_classes', None)
    images = torch_images(found.config.get('val_dataloader'))
    if images is None or classes is None:
        return
    if images.labels is not None and (largest := int(max(images.labels))) >= classes:
        raise InputError(
            f'val: a label is {largest}, but the head of {found.name} has the {classes} classes 0 '
            f'to {classes - 1}: expected images of its classes; tools/adapt.py trains a network '
            f'for others'
        )
    named = images.metainfo.get('classes')
    if named is not None and len(named) != classes:
        warn_once(
            f'val has {len(named)} classes, but the head of {found.name} {classes}: scores are '
            f'right only where its labels are the numbers of the same classes'
        )
