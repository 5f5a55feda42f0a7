"""Recordings: reading, cache, split, windows, and the built-in drum set."""

from rave_lite.data.catalogue import Catalogue, Clip, catalogue, located
from rave_lite.data.network import masked
from rave_lite.data.subset import narrowed
from rave_lite.data.windows import HeldOut, Windows

__all__ = ["Catalogue", "Clip", "HeldOut", "Windows", "catalogue", "located", "masked", "narrowed"]
