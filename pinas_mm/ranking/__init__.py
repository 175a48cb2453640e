"""How well scores order archs against their true accuracies."""
