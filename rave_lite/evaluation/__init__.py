"""Evaluation of models: reconstruction, figures and pictures."""
