#!/usr/bin/env python
"""Composes scenes of handwritten digits and writes them in the layouts of COCO, ADE20K and
Cityscapes.

    python tools/digit_scenes.py data/digit_scenes
    python tools/digit_scenes.py data/more_scenes --train 2000 --size 128

The digits are scikit-learn's, which ship in that package; scenes of train, val and test share none.
What is there already is kept."""

from pathlib import Path

from command_line import plain_parser, run_tool, seed, whole_number


def main() -> None:
    options = plain_parser(__doc__)
    options.add_argument('folder', help='where to write coco/, ade20k/ and cityscapes/')
    for split, number in (('train', 400), ('val', 100), ('test', 100)):
        options.add_argument(
            f'--{split}',
            type=whole_number(1),
            default=number,
            help=f'{split} scenes (default: {number})',
        )
    options.add_argument(
        '--size',
        type=whole_number(48, 4096),
        default=96,
        help='height and width in pixels (default: 96)',
    )
    options.add_argument('--seed', type=seed, default=0)
    args = options.parse_args()

    from pinas_mm.datasets.scene_layouts import write_digit_scenes
    from pinas_mm.folder_lock import hold

    folder = Path(args.folder)
    hold(folder.parent, folder.name)  # it appears when all is in it
    written = write_digit_scenes(
        args.folder, dict(train=args.train, val=args.val, test=args.test), args.size, args.seed
    )
    print(
        f'{args.folder}: {args.train + args.val + args.test} scenes'
        + ('' if written else ', there already')
    )


if __name__ == '__main__':
    run_tool(main)
