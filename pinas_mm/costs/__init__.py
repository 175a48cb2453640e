"""What an arch costs: MACs, parameters, latency."""
