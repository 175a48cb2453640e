from .search_plots import plot_pareto, plot_search_curve

__all__ = ['plot_pareto', 'plot_search_curve']
