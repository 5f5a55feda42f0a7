"""One thin Hydra entry per command."""
