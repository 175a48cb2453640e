"""From a subnet file and a config to the built subnet and to a config that needs neither file."""

import inspect
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.optim import AmpOptimWrapper
from mmengine.registry import HOOKS, LOOPS, MODELS, OPTIM_WRAPPERS, Registry, init_default_scope
from mmpretrain.models import ImageClassifier

from ..checkpoint import load_checkpoint, load_strict
from ..errors import InputError
from ..models.backbones import ArchBackbone, backbone_type
from ..models.backbones.arch_backbone import is_pretrained
from ..registry import class_of
from ..spaces import get_space
from ..spaces.subnet_file import SubnetFile
from ..strategies import DSNASMixin
from ..strategies.subnet_aware import SubnetAwareMixin

# Parts of a config that refuse a subnet.
SUPERNET_HOOKS = ('pinas_mm.ArchSamplingHook', 'pinas_mm.ArchSearchHook', 'pinas_mm.DSNASHook')
SUPERNET_LOOPS = ('pinas_mm.ArchValLoop', 'pinas_mm.ArchTestLoop')


def subnet_classifier(
    config: Config, subnet: str | os.PathLike, checkpoint: str | os.PathLike
) -> tuple[Config, ImageClassifier]:
    """The classifier of a config with the arch of a subnet file, and the config that builds the
    same from nothing else.

    In that config the arch is a list, ``init_cfg`` names no checkpoint, and what is for a supernet
    alone (its hooks and loops, and frozen stages where the given config has no arch) is gone; all
    else, such as datasets and schedules, stays.

    Args:
        config: A config whose model is an ``ImageClassifier`` on a searchable backbone: the
            search's own, or that of the fine-tuning.
        subnet: The subnet file. It replaces whatever arch the config names.
        checkpoint: The classifier's weights: ``subnet.pth`` of the search, or a checkpoint of the
            fine-tuning.

    Returns:
        The config, and the classifier in eval mode on the CPU.

    Raises:
        InputError: No such model in the config, a subnet of another space or width, or a checkpoint
            that does not fit.
    """
    data = config.to_dict()
    _searchable(data, config)
    kind, scope = data['model'].get('type'), data.get('default_scope')
    init_default_scope(scope or 'mmpretrain')
    _searchable(data, config)
    if not issubclass(class_of(kind, MODELS, scope), ImageClassifier):
        raise InputError(
            f'{config.filename}: its model is a {kind}, expected an ImageClassifier; of any '
            f'other, the backbone alone '
            'can be exported'
        )
    model, built = subnet_model(config, subnet, checkpoint)
    backbone = model['backbone']
    backbone |= built_as(built.backbone)

    data['model'] = model
    data['custom_imports'] = custom_imports(data.get('custom_imports'), built.backbone)
    data['custom_hooks'] = [
        hook
        for hook in data.get('custom_hooks') or []
        if not issubclass(class_of(hook, HOOKS, scope), _classes(SUPERNET_HOOKS, HOOKS))
    ]
    data |= ordinary_loops(data)
    if data.get('optim_wrapper'):
        data['optim_wrapper'] = ordinary_optim_wrapper(data['optim_wrapper'], scope)
    for key in ('arch_evaluation', 'search_loop', 'second_stage', 'work_dir', 'launcher'):
        data.pop(key, None)
    return Config(data | dict(load_from=None, resume=False)), built


def subnet_model(
    config: Config, subnet: str | os.PathLike, checkpoint: str | os.PathLike
) -> tuple[dict[str, Any], BaseModel]:
    """The model of a config with the arch of a subnet file, and its own config.

    Args:
        config: A config whose model, of any task, has a searchable backbone.
        subnet: The subnet file. It replaces whatever arch the config names.
        checkpoint: The model's weights, such as ``subnet.pth`` of a search.

    Returns:
        ``model`` of a config, whose backbone has the subnet file as its arch; and the model in eval
        mode on the CPU.

    Raises:
        InputError: No such backbone in the config, a subnet of another space or width, or a
            checkpoint that does not fit.
    """
    data = config.to_dict()
    init_default_scope(data.get('default_scope') or 'mmpretrain')
    backbone = _without_pretrained(_searchable(data, config)) | {'arch': Path(subnet)}
    model = _without_pretrained(data['model']) | {'backbone': backbone}
    preprocessor = model.get('data_preprocessor') or data.get('data_preprocessor')
    built = MODELS.build(model | {'data_preprocessor': preprocessor})
    _load_subnet(built, built.backbone, checkpoint, 'backbone.')
    return model, built


def built_as(backbone: ArchBackbone) -> dict[str, Any]:
    """The arguments that a subnet file would give a backbone; channels where they are not 3."""
    channels = backbone.in_channels
    return (
        dict(arch=list(backbone.arch), widen_factor=backbone.widen_factor)
        | backbone.space_arguments
        | backbone.file_arguments
        | (dict(in_channels=channels) if channels != SubnetFile.in_channels else {})
    )


def ordinary_loops(config: Mapping[str, Any]) -> dict[str, Any]:
    """mm's own ``val_cfg`` and ``test_cfg`` for those of a config that evaluate a supernet."""
    scope = config.get('default_scope')
    return {
        loop: {}
        for loop in ('val_cfg', 'test_cfg')
        if issubclass(class_of(config.get(loop), LOOPS, scope), _classes(SUPERNET_LOOPS, LOOPS))
    }


def ordinary_optim_wrapper(config: Mapping[str, Any], scope: str | None) -> dict[str, Any]:
    """mm's optimiser wrapper with the settings of a config's; what only a supernet needs is left
    out.

    Args:
        config: ``optim_wrapper`` of a config.
        scope: Its ``default_scope``.
    """
    kind = class_of(config, OPTIM_WRAPPERS, scope)
    mixins = [cls for cls in (DSNASMixin, SubnetAwareMixin) if issubclass(kind, cls)]
    if not mixins:
        return dict(config)
    own = {name for cls in mixins for name in inspect.signature(cls.__init__).parameters}
    return {key: value for key, value in config.items() if key not in own} | dict(
        type='pinas_mm.AmpOptimWrapper' if issubclass(kind, AmpOptimWrapper) else 'OptimWrapper'
    )


def subnet_backbone(
    subnet: str | os.PathLike,
    checkpoint: str | os.PathLike,
    config: Config | None = None,
    out_indices: Sequence[int] | None = None,
) -> tuple[Config, ArchBackbone]:
    """The backbone of a subnet file, and a config whose ``model`` builds it from nothing else.

    Args:
        subnet: The subnet file.
        checkpoint: Its weights, below ``backbone.`` or bare.
        config: A config whose model has a searchable backbone, for arguments other than the
            defaults (dilations, norms). The model may be of any kind.
        out_indices: Stages to return. Defaults to every stage and, where the space has one, the
            tail.

    Returns:
        The config, and the backbone in eval mode on the CPU.

    Raises:
        InputError: No config and not exactly one known backbone of the subnet's space, a subnet of
            another space or width, stages out of range, or a checkpoint that does not fit.
    """
    space = get_space(SubnetFile.read(subnet).space, os.fspath(subnet))
    if config is None:
        arguments: dict[str, Any] = dict(type=backbone_type(space.name, os.fspath(subnet)))
    else:
        arguments = _without_pretrained(_searchable(config.to_dict(), config))
    arguments['arch'] = Path(subnet)
    stages = space.num_stages + bool(space.tail_channels)
    arguments['out_indices'] = list(range(stages) if out_indices is None else out_indices)
    backbone = MODELS.build(arguments)
    prefix = (
        'backbone.'
        if any(key.startswith('backbone.') for key in load_checkpoint(checkpoint)['state_dict'])
        else ''
    )
    _load_subnet(backbone, backbone, checkpoint, prefix)
    arguments |= built_as(backbone)
    imports = custom_imports(config.get('custom_imports') if config else None, backbone)
    return Config(dict(custom_imports=imports, model=arguments)), backbone


def _searchable(data: dict, config: Config) -> dict:
    """The backbone of a config's model, without what it has for the training of a supernet's
    classifier: frozen stages."""
    backbone = (data.get('model') or {}).get('backbone') or {}
    kind = backbone.get('type')
    if not issubclass(class_of(kind, MODELS, data.get('default_scope')), ArchBackbone):
        raise InputError(
            f'{config.filename}: its model.backbone is {kind!r}, expected a searchable backbone, '
            f"one of 'pinas_mm' or of a package that its custom_imports names"
        )
    frozen = ('frozen_stages', 'frozen_norm_eval') if backbone.get('arch') is None else ()
    return {key: value for key, value in backbone.items() if key not in frozen}


def _load_subnet(
    model: torch.nn.Module, backbone: ArchBackbone, checkpoint: str | os.PathLike, prefix: str
) -> None:
    load_strict(model, checkpoint, '' if model is not backbone else prefix)
    beyond = backbone.beyond_subnet(load_checkpoint(checkpoint)['state_dict'], prefix)
    if beyond:
        # Its BN statistics are of no single arch, so that outputs would be noise.
        raise InputError(
            f'{checkpoint}: a supernet ({len(beyond)} tensors of other candidates, such as '
            f'{beyond[0]}), expected the subnet '
            f'{backbone.space.encode(backbone.arch)} alone: the subnet.pth of a search, or a '
            f'checkpoint trained from it'
        )
    if backbone.may_be_a_supernets():
        print_log(
            f'{checkpoint}: its blocks have counted different numbers of batches, as in a supernet '
            f'trained along archs of several depths: if it is one, its BN statistics are of no '
            f'single arch, and outputs are noise. A search writes those of its arch: subnet.pth.',
            logger='current',
            level=logging.WARNING,
        )
    model.eval()


def _without_pretrained(config: Any) -> Any:
    """A copy without any ``init_cfg`` that names a checkpoint: the exported one holds every
    tensor."""
    if isinstance(config, dict):
        config = {
            key: _without_pretrained(value) for key, value in config.items() if key != 'pretrained'
        }
        init = config.get('init_cfg')
        if any(
            isinstance(entry, dict) and is_pretrained(entry)
            for entry in (init if isinstance(init, list) else [init])
        ):
            del config['init_cfg']
        return config
    return [_without_pretrained(entry) for entry in config] if isinstance(config, list) else config


def custom_imports(given: Mapping[str, Any] | None, backbone: ArchBackbone) -> dict[str, Any]:
    """``custom_imports`` of a config with which another process knows a backbone: what the config
    has, our package, and the module of a backbone of another package."""
    given = given or dict(allow_failed_imports=False)
    imports = given.get('imports', [])
    imports = [imports] if isinstance(imports, str) else list(imports)
    module = type(backbone).__module__
    needed = ['pinas_mm'] if module.startswith('pinas_mm.') else ['pinas_mm', module]
    return {**given, 'imports': list(dict.fromkeys([*imports, *needed]))}


def _classes(names: Sequence[str], registry: Registry) -> tuple[type, ...]:
    """Classes of a floor above, which this one cannot import."""
    return tuple(class_of(name, registry) for name in names)
