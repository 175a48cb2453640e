"""``nas.space``: what can be searched, in words and numbers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..costs.latency import Latency
from ..costs.measure import measure_costs
from ..errors import InputError
from ..models.backbones import ArchBackbone, backbone_type, supernet_of_space
from ..spaces import SearchSpace, get_space
from .quiet import quiet_scope
from .supernets import check_space_name

if TYPE_CHECKING:
    import pandas

COLUMNS = ('least', '25 %', 'median', '75 %', 'most')
INPUT_SIZE = 224


class SpaceDescription:
    """The slots of a space, the candidates of each by name, and what its archs cost. Printed, it is
    what ``tools/space.py`` prints.

    Args:
        backbone: The supernet that the costs are of; its weights are not read.
        input_size: Height and width of the images in pixels.
        latency: Latencies of its archs, or None.
    """

    def __init__(
        self, backbone: ArchBackbone, input_size: tuple[int, int], latency: Latency | None = None
    ) -> None:
        self.space, self.input_size = backbone.space, input_size
        self._backbone_type = backbone_type(backbone.space.name)
        self._costs = measure_costs(backbone, input_size)
        self._names = {'backbone_macs': ('M', 1e6), 'params': ('M', 1e6)}
        if latency is not None:
            latency.add_to(self._costs)
            self._names['latency'] = ('ms', 1.0)

    def slots(self) -> 'pandas.DataFrame':
        """One row per slot: ``stage`` and ``position``, which read it, and ``candidates``, their
        names."""
        import pandas

        rows = [
            dict(stage=runs(stages), position=runs(positions), candidates=names)
            for stages, positions, names in self._slots()
        ]
        return pandas.DataFrame(rows).rename_axis('slot')

    def costs(self) -> 'pandas.DataFrame':
        """One row per cost, ``backbone_macs`` and ``params`` of the backbone in units of one (and
        ``latency`` in ms): the least, the quartiles of random archs, and the most."""
        import pandas

        rows = {name: self._costs.quartiles(name) for name in self._names}
        return pandas.DataFrame.from_dict(rows, orient='index', columns=list(COLUMNS))

    def __str__(self) -> str:
        space = self.space
        lines = [
            f'{space.name} of {self._backbone_type}: {space.num_slots} slots, {space.size:.3g} '
            f'archs',
            'slot  stage  position  candidates',
        ]
        for slot, (stages, positions, names) in enumerate(self._slots()):
            lines.append(f'{slot:4}  {runs(stages):5}  {runs(positions):8}  {", ".join(names)}')
        height, width = self.input_size
        lines.append(f'costs at {height}x{width}; the quartiles are of random archs')
        lines.append(f'{"":13}' + ''.join(f'{column:>12}' for column in COLUMNS))
        for name, (unit, divisor) in self._names.items():
            values = ''.join(
                f'{f"{value / divisor:.2f}{unit}":>12}' for value in self._costs.quartiles(name)
            )
            lines.append(f'{name:13}{values}')
        return '\n'.join(lines)

    __repr__ = __str__

    def _slots(self) -> list[tuple[list[int], list[int], list[str]]]:
        """Of every slot the stages and positions that read it, and the names of its candidates."""
        positions = self.space.positions
        found = []
        for slot, candidates in enumerate(self.space.candidates):
            reads = [i for i, position in enumerate(positions) if slot in position.slots]
            stages = sorted({positions[index].stage for index in reads})
            found.append((stages, reads, [candidate.name for candidate in candidates]))
        return found


class NamedSpace:
    """A space by its name: what :func:`space` returns.

    Args:
        name: The name.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def space(self) -> SearchSpace:
        """The space itself: slots, candidates, positions."""
        return get_space(self.name)

    def describe(self, input_size: int | tuple[int, int] = INPUT_SIZE) -> SpaceDescription:
        """Its slots, its candidates by name, and the range of its costs, of the backbone alone at
        full width.

        Args:
            input_size: Height and width of the images in pixels, or one number for both; 224 by
                default, as for ImageNet.

        Raises:
            InputError: A size that is no whole number of at least 1.
        """
        sizes = (input_size,) * 2 if isinstance(input_size, int) else input_size
        if (
            not isinstance(sizes, tuple | list)
            or len(sizes) != 2
            or any(isinstance(size, bool) or not isinstance(size, int) for size in sizes)
            or min(sizes) < 1
        ):
            raise InputError(
                f'input_size={input_size!r}: expected a whole number of at least 1, such as 224, '
                f'or (height, width)'
            )
        height, width = sizes
        with quiet_scope(None):
            return SpaceDescription(supernet_of_space(self.name, 'name'), (height, width))

    def __repr__(self) -> str:
        return f'{self.name}: {self.space.num_slots} slots, {self.space.size:.3g} archs'


def space(name: str) -> NamedSpace:
    """A space by its name.

    Args:
        name: Such as ``'nasbench_macro'``, as in subnet files.

    Raises:
        InputError: There is no such space; the message lists all names.

    Example:
        >>> import pinas_mm as nas
        >>> nas.space('nasbench_macro')
        nasbench_macro: 8 slots, 6.56e+03 archs
        >>> nas.space('nasbench_macro').describe(input_size=32).slots().candidates[0]
        ['identity', 'mb3_k3', 'mb6_k5']
    """
    if not isinstance(name, str):
        raise InputError(f"name={name!r}: expected the name of a space, such as 'nasbench_macro'")
    check_space_name(name, 'name')
    return NamedSpace(name)


def runs(numbers: Sequence[int]) -> str:
    """Ascending numbers as a person writes them: ``0-4,6``."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][-1] == number - 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ','.join(f'{run[0]}-{run[-1]}' if len(run) > 1 else f'{run[0]}' for run in found)
