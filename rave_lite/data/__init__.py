"""Recordings: reading, cache, split, windows, and the built-in drum set."""

from typing import TYPE_CHECKING, Any

from rave_lite.data.catalogue import Catalogue, catalogue, resolve_root
from rave_lite.data.clip import Clip, audible, search_and_cut
from rave_lite.data.network import redact_url
from rave_lite.data.subset import select_training_subset

if TYPE_CHECKING:
    from rave_lite.data.windows import Pieces, Windows, bounded, judged, match_lengths, pieces, subsample

__all__ = ["Catalogue", "Clip", "Pieces", "Windows", "audible", "bounded", "catalogue", "judged", "match_lengths",
           "pieces", "redact_url", "resolve_root", "search_and_cut", "select_training_subset", "subsample"]


def __getattr__(name: str) -> Any:
    """Imports the windows, and torch with them, on first access: reading recordings needs neither."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rave_lite.data import windows

    return getattr(windows, name)
