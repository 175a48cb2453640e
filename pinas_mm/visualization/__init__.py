from .consistency_plots import plot_consistency
from .search_plots import plot_pareto, plot_search_curve

__all__ = ['plot_consistency', 'plot_pareto', 'plot_search_curve']
