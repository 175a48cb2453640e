#!/usr/bin/env python
"""Describes a search space: its slots, the candidates of each by name, and what its archs cost.

python tools/space.py elastic_resnet50
python tools/space.py elastic_efficientnet_lite0 --input-size 240 320
python tools/space.py CONFIG --latency latency.json    # of tools/latency.py

MACs and parameters are those of the backbone alone: at its full width, or as a config has it. A
limit in a config fits where archs are: constraints=dict(backbone_macs=2.5e9), or latency in ms.
"""

import sys
from typing import TYPE_CHECKING, Any

from command_line import plain_parser, run_tool, whole_number

if TYPE_CHECKING:
    from pinas_mm.models.backbones import ArchBackbone


def main() -> None:
    options = plain_parser(__doc__)
    options.add_argument(
        'name', help='the name of the space, as in subnet files; or a config, which ends in .py'
    )
    options.add_argument(
        '--input-size',
        type=whole_number(1),
        nargs='+',
        default=[],
        metavar='PIXELS',
        help='height and width of the images, or one number for both (default: that of the '
        "config's search_loop, else 224)",
    )
    options.add_argument(
        '--latency', metavar='TABLE', help='a file of tools/latency.py: adds the latencies in ms'
    )
    args = options.parse_args()
    if len(args.input_size) > 2:
        options.error('--input-size: expected height and width, such as 240 320')

    import pinas_mm  # noqa: F401 registers the spaces and their backbones
    from pinas_mm.api.space_description import INPUT_SIZE, SpaceDescription
    from pinas_mm.costs.latency import read_latency
    from pinas_mm.models.backbones import supernet_of_space
    from pinas_mm.schema import shown

    if args.name.endswith('.py'):
        backbone, size = supernet_of_config(args.name)
    else:
        backbone, size = supernet_of_space(args.name), None
    size = args.input_size or size or INPUT_SIZE
    height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
    latency = read_latency(args.latency, backbone) if args.latency else None
    print(SpaceDescription(backbone, (height, width), latency))
    if latency:
        measured = ', '.join(f'{key} {shown(value)}' for key, value in latency.setting.items())
        print(f'{args.latency}: {measured}')
        if doubt := latency.doubt():
            print(f'warning: {args.latency}: {doubt}', file=sys.stderr)


def supernet_of_config(path: str) -> 'tuple[ArchBackbone, Any]':
    """The backbone of a config as a supernet, without weights (on the meta device), and the size of
    the images that its search counts costs for."""
    from mmengine.registry import MODELS, init_default_scope

    from pinas_mm.engine.config import load_config
    from pinas_mm.errors import InputError
    from pinas_mm.models.backbones import supernet_of

    config = load_config(path, {})
    model = config.get('model') or {}
    settings = model.get('model', model).get('backbone')  # a strategy holds the model
    if settings is None:
        raise InputError(f'{path}: no model.backbone: expected a config with a searchable backbone')
    init_default_scope(config.get('default_scope') or 'mmpretrain')
    backbone = supernet_of(MODELS.build(dict(settings, init_cfg=None)))
    # Not built there: some of mm's networks compute with tensors while they are built.
    return backbone.to('meta'), (config.get('search_loop') or {}).get('input_size')


if __name__ == '__main__':
    run_tool(main)
