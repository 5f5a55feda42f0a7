"""Judging a model: reconstruction, figures, pictures."""
