"""What a model is judged by: the recordings of its run, those to compare them with, foreign ones."""

from typing import Any

import numpy as np
from rich import print as show
from rich.markup import escape

from rave_lite.data import Catalogue, Clip, alike, catalogue, narrowed, pieces
from rave_lite.data.catalogue import usable
from rave_lite.errors import InputError

UNKNOWN = "an imported model, which knows no recordings; say which: data.root=DIR"


def recordings(run: dict[str, Any], sample_rate: int, *, root: str | None = None, cache: str | None = None) -> Catalogue:
    """As a run, of which this is the configuration, trained on them and held them out; or of another `root`, unnarrowed.

    Raises InputError where neither says which.
    """
    data = run["data"]
    if not root and not data["root"]:
        raise InputError(f"{run['name']}: {UNKNOWN}")
    found = catalogue(root or data["root"], sample_rate, held_out=data["held_out"], seed=data.get("split_seed", run["seed"]),
                      cache=cache or data["cache"], cache_gb=data.get("cache_gb", 20),
                      kept=None if root else data.get("kept"))
    if root:
        return found
    return narrowed(found, fraction=data.get("fraction", 1), seed=data.get("subset_seed", 0), without=data.get("without"))


def to_compare(found: Catalogue, most: int, seed: int) -> list[Clip]:
    """As many training clips as held-out ones, of like lengths, but `most` at most."""
    some = [found.held_out[i] for i in np.random.default_rng(seed).permutation(len(found.held_out))[:most]]
    longest = max(map(len, found.held_out)) / found.sample_rate
    return alike(some, pieces(found.train, found.sample_rate, max(10.0, longest)), seed)


def listed(root: str | None, key: str, sample_rate: int, cache: str | None) -> list[Clip]:
    """The clips of a folder or file, none for None. Says which files cannot be used; raises InputError where none can."""
    if root is None:
        return []
    try:
        _, entries, clips = usable(str(root), sample_rate, cache=cache)
    except InputError as error:
        raise InputError(f"{key}: {error}") from error
    for name, entry in entries.items():
        if entry.skipped is not None:
            show(f"{key}: {escape(name)} [red]skipped:[/] {escape(entry.skipped)}")
    return clips
