"""Recordings: reading, cache, split, windows, and the built-in drum set."""

from rave_lite.data.catalogue import Catalogue, catalogue, located
from rave_lite.data.clip import Clip, search_and_cut
from rave_lite.data.network import masked
from rave_lite.data.subset import narrowed
from rave_lite.data.windows import Pieces, Windows, alike, drawn, pieces

__all__ = ["Catalogue", "Clip", "Pieces", "Windows", "alike", "catalogue", "drawn", "located", "masked", "narrowed",
           "pieces", "search_and_cut"]
