#!/usr/bin/env python
"""Exports a found subnet: as an mm config and checkpoint, as a torch.export program, as ONNX. Each
is compared with the subnet itself.

    # the backbone: feature maps of every stage
    python tools/export.py work_dirs/search/subnet.yaml
    # and the classifier
    python tools/export.py work_dirs/search/subnet.yaml --config SEARCH_CONFIG
    python tools/export.py subnet.yaml --checkpoint epoch_2.pth --config FINETUNE_CONFIG \\
        --formats onnx --out exported

Programs take any batch and any image size above the network's total stride. The classifier takes
images as they are loaded, values 0 to 255, and returns logits; the backbone takes normalised images
and returns one feature map per stage. export.json says it in full.

A further part or format may go to the same folder. Another subnet, checkpoint or config is refused
there: give it an --out of its own."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from command_line import add_overrides, check_files, plain_parser, run_tool, whole_number

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import nn

FORMATS, PARTS = ('mm', 'torch', 'onnx'), ('classifier', 'backbone')
# What the exports of a folder are of.
EXPORTS = 'export.json'
SUFFIXES = dict(torch='pt2', onnx='onnx')


def main() -> None:
    options = plain_parser(__doc__)
    options.add_argument('subnet', help='the subnet file')
    options.add_argument('--checkpoint', help='its weights (default: the .pth beside it)')
    options.add_argument(
        '--config',
        help="config with the model around the subnet: the search's, or that of the fine-tuning",
    )
    add_overrides(options, 'overrides of the config')
    options.add_argument(
        '--formats', nargs='+', choices=FORMATS, default=FORMATS, help='default: all'
    )
    options.add_argument(
        '--parts', nargs='+', choices=PARTS, help='default: both with --config, else the backbone'
    )
    options.add_argument(
        '--out-indices',
        type=whole_number(0),
        nargs='+',
        help='stages the backbone returns (default: all)',
    )
    options.add_argument(
        '--input-size',
        type=whole_number(2),
        default=224,
        help='image size around which programs are compared (default: 224)',
    )
    options.add_argument('--out', help='folder to write (default: export/ beside the subnet file)')
    args = options.parse_args()

    from pinas_mm.checkpoint import checksum, load_checkpoint
    from pinas_mm.engine.config import load_config, option_values
    from pinas_mm.errors import InputError
    from pinas_mm.fileio import write_atomic
    from pinas_mm.folder_lock import hold
    from pinas_mm.spaces.subnet_file import SubnetFile
    from pinas_mm.subnets import export as programs
    from pinas_mm.subnets.subnet_config import subnet_backbone, subnet_classifier

    parts = args.parts or (PARTS if args.config else ('backbone',))
    if 'classifier' in parts and not args.config:
        raise InputError(
            '--parts classifier needs --config: the subnet file has the backbone alone'
        )
    if 'onnx' in args.formats:
        programs.require_onnx()
    # The config first: its custom_imports may be what makes the subnet's space known.
    config = load_config(args.config, option_values(args.cfg_options)) if args.config else None
    subnet = SubnetFile.read(args.subnet)
    checkpoint = args.checkpoint or Path(args.subnet).with_suffix('.pth')
    check_files(checkpoint)
    out = Path(args.out or Path(args.subnet).parent / 'export')
    hold(out)

    exports: dict[str, tuple[Any, ...]] = {}
    weights = load_checkpoint(checkpoint)
    for part in (part for part in PARTS if part in parts):
        if part == 'classifier':
            plain, model = subnet_classifier(config, args.subnet, checkpoint)
        else:
            plain, model = subnet_backbone(args.subnet, checkpoint, config, args.out_indices)
        description = dict(
            space=subnet.space,
            arch=list(subnet.arch),
            widen_factor=subnet.widen_factor,
            weights=checksum(weights['state_dict']),
        ) | programs.describe(model, config)
        meta = weights.get('meta') or {}
        classes = (meta.get('dataset_meta') or {}).get('classes') if part == 'classifier' else None
        if classes:
            description['classes'] = list(classes)
        exports[part] = plain, model, description
    found = programs.read_exports(out / EXPORTS)
    wanted = {part: description for part, (*_, description) in exports.items()}
    programs.refuse_other_exports(found, wanted, out)
    # Written when all is computed: what failed would lie beside the next subnet's exports.
    writes: list[Callable[[], Any]] = []
    for part, (plain, model, description) in exports.items():
        classes = description.get('classes')
        differences = export(
            part,
            plain,
            model,
            description,
            args.formats,
            args.input_size,
            out,
            {'dataset_meta': {'classes': classes}} if classes else {},
            writes,
        )
        before = found.get(part, {}).get('differences', {})
        found[part] = description | dict(differences=before | differences)
    for write in writes:
        write()
    text = json.dumps(found, indent=1)
    write_atomic(out / EXPORTS, lambda file: file.write(text.encode()))


def export(
    part: str,
    config: 'Config',
    model: 'nn.Module',
    description: dict[str, Any],
    formats: Sequence[str],
    size: int,
    out: Path,
    meta: dict[str, Any],
    writes: list[Callable[[], Any]],
) -> dict[str, float]:
    """Exports one part in every format, and adds what writes it to ``writes``; returns how far each
    program is from the model.

    Raises:
        InputError: The images to compare on are too small.
        RuntimeError: A program computes something else.
    """
    from pinas_mm.checkpoint import save_checkpoint
    from pinas_mm.fileio import write_atomic
    from pinas_mm.subnets import export as programs

    if 'mm' in formats:
        text, state = config.pretty_text, model.state_dict()
        meta = meta | {key: description[key] for key in ('space', 'arch')}
        writes += [
            lambda: write_atomic(out / f'{part}.py', lambda file: file.write(text.encode())),
            lambda: save_checkpoint(out / f'{part}.pth', state, meta),
            lambda: print(f'{out / f"{part}.py"}, {out / f"{part}.pth"}'),
        ]
    differences: dict[str, float] = {}
    kinds = [kind for kind in ('torch', 'onnx') if kind in formats]
    if not kinds:
        return differences
    for kind, program in programs.checked_programs(model, description, kinds, size):
        path = out / f'{part}.{SUFFIXES[kind]}'
        print(f'{path}: largest difference {program.difference:.1e} on images {program.shapes}')
        program.check(kind, path)
        differences[kind] = program.difference
        writes.append(
            lambda path=path, data=program.data: write_atomic(path, lambda file: file.write(data))
        )
    return differences


if __name__ == '__main__':
    run_tool(main)
