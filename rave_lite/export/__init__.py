"""Exports a trained model to a file for live hosts, and verifies that both sound the same."""
