"""What an arch is worth with shared weights: BN recalibration, then the validation metric."""
