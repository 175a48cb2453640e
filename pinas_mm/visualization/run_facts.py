"""``report.json``: what a report shows of a run and no other file of its work dir says."""

import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..costs import CostTable
from ..errors import InputError
from ..fileio import read_json, write_atomic
from ..schema import NotNegative, Positive, WholeNumber, check
from ..settings import plain_settings
from ..spaces import Arch, SearchSpace
from ..spaces.elastic import ElasticSpace
from ..version import __version__
from .arch_drawing import DrawnArch

REPORT_JSON, REPORT_HTML = 'report.json', 'report.html'
Kind = Literal['search', 'dsnas', 'adaptation', 'ranking']
# Packages whose versions decide what a run gives.
PACKAGES = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmpretrain', 'mmdet', 'mmseg', 'numpy')


@dataclass(frozen=True)
class RunFacts:
    """What ``report.json`` holds.

    Args:
        kind: What ran.
        space: Name of the space.
        command: The command line, or None for a program that is no tool.
        config: Path of the config file, or None.
        versions: Versions of Python and of the packages.
        settings: What was asked, for people: plain data by name.
        widen_factor: Width of the supernet.
        limits: The least and the most of each limited cost, either of them None.
        budget: How many archs were to be evaluated; None where nothing was searched.
        seconds: How long the run took, all its starts together; what a killed process took is
            missing.
        forecast_seconds, forecast_archs: How long the search would take, as its first asked batch
            of so many archs told.
        warnings: The warnings that arose, each once.
        drawings: The archs that are drawn, by title; the winner's is ``'winner'``.
    """

    kind: Kind
    space: str
    command: str | None = None
    config: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    widen_factor: Positive = 1.0
    limits: dict[str, tuple[NotNegative | None, Positive | None]] = field(default_factory=dict)
    budget: WholeNumber | None = None
    seconds: NotNegative | None = None
    forecast_seconds: NotNegative | None = None
    forecast_archs: WholeNumber | None = None
    warnings: tuple[str, ...] = ()
    drawings: dict[str, DrawnArch] = field(default_factory=dict)

    def write(self, work_dir: str | os.PathLike) -> None:
        """Writes ``report.json`` to a work dir."""
        text = json.dumps(plain_settings(asdict(self)), indent=1)
        write_atomic(Path(work_dir) / REPORT_JSON, lambda file: file.write(text.encode()))

    @classmethod
    def read(cls, work_dir: str | os.PathLike, kind: Kind | None = None) -> 'RunFacts | None':
        """Reads the ``report.json`` of a work dir; None where there is none, as in those of 0.1, or
        one of another kind of run, which wrote into the same folder later.

        Args:
            work_dir: The work dir.
            kind: What ran; None for any.

        Raises:
            InputError: The file is not one that this class writes.
        """
        path = Path(work_dir) / REPORT_JSON
        found = check(cls, read_json(path), str(path)) if path.exists() else None
        return found if found is None or kind in (None, found.kind) else None

    def of_space(self, space: SearchSpace, source: str) -> 'RunFacts':
        """The same, once its drawings are known to be of the space.

        Raises:
            InputError: One is not.
        """
        for title, drawn in self.drawings.items():
            where = f'{source}: drawings.{title}'
            space.validate(drawn.arch, where)
            if drawn.macs and len(drawn.macs) != len(space.cost_terms):
                raise InputError(
                    f'{where}.macs has {len(drawn.macs)} numbers, expected '
                    f'{len(space.cost_terms)}, one for each cost term of space {space.name!r}'
                )
        return self


def command_line() -> str | None:
    """The command that started this process, as one would type it; None where it was no file that
    Python ran, as in a notebook."""
    script = Path(sys.argv[0]) if sys.argv else Path()
    if script.suffix != '.py' or 'ipykernel' in script.parts or script.stem.startswith('ipykernel'):
        return None
    return shlex.join(['python', *sys.argv])


def tool_command(tool: str) -> str:
    """How a tool is called here: by its file in a checkout, else by the installed package."""
    in_checkout = (Path(__file__).parents[2] / 'tools' / f'{tool}.py').is_file()
    return f'python tools/{tool}.py' if in_checkout else f'python -m pinas_mm {tool}'


def package_versions() -> dict[str, str]:
    """Versions of Python, of this package and of those imported packages that decide what a run
    gives."""
    imported = {name: getattr(sys.modules.get(name), '__version__', None) for name in PACKAGES}
    found = {'pinas_mm': __version__, 'python': platform.python_version()}
    return found | {name: str(version) for name, version in imported.items() if version}


def drawn_arch(costs: CostTable, arch: Arch) -> DrawnArch:
    """An arch with what its parts cost.

    Args:
        costs: The costs of its supernet.
        arch: The arch.
    """
    terms = costs.term_costs('macs', arch)
    other = costs.arch_costs(arch)['macs'] - sum(terms)
    # A term of a cell counts from its slots' first candidates, which may cost more than another.
    return DrawnArch(arch, tuple(max(0.0, term) for term in terms), max(0.0, float(other)))


def costliest_arch(costs: CostTable) -> Arch | None:
    """The arch of a space with the most MACs: in an elastic space the whole network, else the
    candidate with the most MACs of every slot; None where slots have no MACs of their own."""
    space = costs.space
    if isinstance(space, ElasticSpace):
        return space.largest
    try:
        return tuple(int(slot.argmax()) for slot in costs.slot_costs('macs'))
    except InputError:
        return None


def data_text(
    settings: Mapping[str, Any] | str | None, prints: Mapping[str, Any] | None = None
) -> str:
    """A dataset in one line: its type, where its files are, and how many samples it has.

    Args:
        settings: The config of the dataset; text of one that the user made, as a history has it.
        prints: Its :func:`~pinas_mm.datasets.fingerprint.fingerprint`, or None.
    """
    if not settings:
        return 'none'
    if not isinstance(settings, Mapping):
        return str(settings)
    parts: list[str] = [str(settings.get('type', '?')).rpartition('.')[2]]
    inner: Any = settings
    while isinstance(inner.get('dataset'), Mapping):
        inner = inner['dataset']
        parts.append(f'of {str(inner.get("type", "?")).rpartition(".")[2]}')
    for key in ('data_root', 'split', 'ann_file'):
        value = inner.get(key)
        if isinstance(value, str) and value:
            parts.append(f'{key} {value}')
    if prints and isinstance(prints.get('samples'), int):
        parts.append(f'{prints["samples"]:,} samples')
    return ', '.join(parts)


def unique(texts: Sequence[str], most: int = 30) -> tuple[str, ...]:
    """Each text once, in order; of very many the first."""
    return tuple(list(dict.fromkeys(texts))[:most])
