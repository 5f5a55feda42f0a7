"""Losses, discriminators, the training module and what surrounds it."""
