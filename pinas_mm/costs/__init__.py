"""What an arch costs: MACs, parameters, latency."""

from typing import TYPE_CHECKING, Any

from .table import Constraints, CostTable, Limits

if TYPE_CHECKING:
    from .measure import blank_samples, measure_costs

__all__ = ['Constraints', 'CostTable', 'Limits', 'blank_samples', 'measure_costs']


def __getattr__(name: str) -> Any:
    """What measures needs torch; the table does not, so the former is imported when asked for."""
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from . import measure

    return getattr(measure, name)
