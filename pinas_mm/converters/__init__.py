"""How published checkpoints get in."""
