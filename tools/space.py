#!/usr/bin/env python
"""Describes a search space: its slots, the candidates of each by name, and what its archs cost.

python tools/space.py elastic_resnet50
python tools/space.py elastic_efficientnet_lite0 --input-size 240 320

Costs are those of the backbone alone, at its full width. A limit in a config fits where archs are:
constraints=dict(backbone_macs=2.5e9).
"""

from collections.abc import Sequence

from command_line import plain_parser, run_tool, whole_number

COLUMNS = ('least', '25 %', 'median', '75 %', 'most')


def main() -> None:
    options = plain_parser(__doc__)
    options.add_argument('name', help='the name of the space, as in subnet files')
    options.add_argument(
        '--input-size',
        type=whole_number(1),
        nargs='+',
        default=[224],
        metavar='PIXELS',
        help='height and width of the images, or one number for both (default: 224)',
    )
    args = options.parse_args()
    if len(args.input_size) > 2:
        options.error('--input-size: expected height and width, such as 240 320')
    height, width = args.input_size[0], args.input_size[-1]

    import pinas_mm  # noqa: F401 registers the spaces and their backbones
    from pinas_mm.costs.measure import measure_costs
    from pinas_mm.models.backbones import backbone_type, supernet_of_space

    backbone = supernet_of_space(args.name)
    space = backbone.space
    print(
        f'{space.name} of {backbone_type(space.name)}: {space.num_slots} slots, {space.size:.3g} '
        f'archs'
    )
    print('slot  stage  position  candidates')
    for slot, candidates in enumerate(space.candidates):
        reads = [i for i, position in enumerate(space.positions) if slot in position.slots]
        stages = sorted({space.positions[index].stage for index in reads})
        names = ', '.join(candidate.name for candidate in candidates)
        print(f'{slot:4}  {runs(stages):5}  {runs(reads):8}  {names}')
    table = measure_costs(backbone, (height, width))
    print(f'costs at {height}x{width}; the quartiles are of random archs')
    print(f'{"":13}' + ''.join(f'{column:>10}' for column in COLUMNS))
    for name in ('backbone_macs', 'params'):
        values = ''.join(f'{value / 1e6:9.2f}M' for value in table.quartiles(name))
        print(f'{name:13}{values}')


def runs(numbers: Sequence[int]) -> str:
    """Ascending numbers as a person writes them: ``0-4,6``."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][-1] == number - 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ','.join(f'{run[0]}-{run[-1]}' if len(run) > 1 else f'{run[0]}' for run in found)


if __name__ == '__main__':
    run_tool(main)
