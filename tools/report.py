#!/usr/bin/env python
"""Makes the report of a run again, from the files of its work dir alone; or compares several runs.

python tools/report.py work_dirs/search                      # writes work_dirs/search/report.html
python tools/report.py work_dirs/first work_dirs/second --out both.html

A work dir is one of tools/search.py, dsnas.py, adapt.py or rank.py. Several are compared on one
page: a table, the curves in one plot, the found archs beside each other. The page is one file that
opens offline."""

from command_line import plain_parser, run_tool


def main() -> None:
    options = plain_parser(__doc__)
    options.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='the work dir of a run')
    options.add_argument(
        '--out',
        metavar='FILE',
        help='the page to write (default: report.html in the work dir; of several runs, '
        'report.html in the current folder)',
    )
    options.add_argument(
        '--imports',
        nargs='+',
        default=[],
        metavar='MODULE',
        help='modules to import first, such as a package that registers a space of its own',
    )
    args = options.parse_args()

    from importlib import import_module
    from pathlib import Path

    from pinas_mm.errors import InputError
    from pinas_mm.visualization.reports import write_comparison, write_report

    for module in args.imports:
        try:
            import_module(module)
        except ImportError as error:
            raise InputError(f'--imports {module}: {error}') from error
    if args.out is not None and Path(args.out).is_dir():
        raise InputError(f'{args.out}: is a folder, expected a file')
    if len(args.work_dirs) == 1:
        path = write_report(args.work_dirs[0], args.out)
    else:
        path = write_comparison(args.work_dirs, args.out or 'report.html')
    print(path)


if __name__ == '__main__':
    run_tool(main)
