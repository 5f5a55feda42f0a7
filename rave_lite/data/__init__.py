"""Recordings: reading, cache, split, windows, and the built-in drum set."""

from rave_lite.data.catalogue import Catalogue, catalogue, located
from rave_lite.data.clip import Clip, audible, search_and_cut
from rave_lite.data.network import masked
from rave_lite.data.subset import narrowed
from rave_lite.data.windows import Pieces, Windows, alike, drawn, judged, pieces

__all__ = ["Catalogue", "Clip", "Pieces", "Windows", "alike", "audible", "catalogue", "drawn", "judged", "located", "masked",
           "narrowed", "pieces", "search_and_cut"]
