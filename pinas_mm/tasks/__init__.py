"""What one task needs, side by side: its dataset, sampler, metric, head and loss."""

from . import age, domains, reid

__all__ = ['age', 'domains', 'reid']
