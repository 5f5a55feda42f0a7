"""Encoder, latent, decoder, and the complete model RAVE."""

from rave_lite.model.checkpoint import Checkpoint, load_matching, read_checkpoint
from rave_lite.model.rave import RAVE

__all__ = ["RAVE", "Checkpoint", "load_matching", "read_checkpoint"]
