from .consistency_plots import plot_consistency
from .ranking_plots import plot_rankings
from .search_plots import plot_pareto, plot_search_curve

__all__ = ['plot_consistency', 'plot_pareto', 'plot_rankings', 'plot_search_curve']
