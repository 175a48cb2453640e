#!/usr/bin/env python
"""Turns a supernet checkpoint published with Pi-NAS into ours.

    python tools/convert.py published.pth pinas_resnest50.pth
"""
import argparse

from pinas_mm.checkpoint import load_checkpoint, save_checkpoint
from pinas_mm.engine.command_line import run_tool
from pinas_mm.models.backbones.reference_checkpoint import convert_reference


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('source', help='the published checkpoint')
    options.add_argument('destination', help='where to write ours')
    args = options.parse_args()
    converted = convert_reference(load_checkpoint(args.source)['state_dict'], args.source)
    save_checkpoint(args.destination, converted, dict(space='resnest50', source=args.source))
    print(f'{args.destination}: {len(converted)} tensors')


if __name__ == '__main__':
    run_tool(main)
