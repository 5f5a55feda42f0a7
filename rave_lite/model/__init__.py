"""Encoder, latent, decoder, and the complete model RAVE."""

from rave_lite.model.rave import RAVE, load_matching, load_plain, migrate, read_checkpoint

__all__ = ["RAVE", "load_matching", "load_plain", "migrate", "read_checkpoint"]
