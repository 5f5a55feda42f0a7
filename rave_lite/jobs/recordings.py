"""The recordings of a run, found again from its checkpoint."""

from pathlib import Path
from typing import Any

import numpy as np

from rave_lite.data import Catalogue, Clip, alike, catalogue, narrowed, pieces
from rave_lite.errors import InputError


def recordings_of(checkpoint: dict[str, Any], path: Path, *, root: str | None = None,
                  cache: str | None = None) -> Catalogue:
    """What its run trains on and holds out; or another `root`, split likewise. `path`: of the checkpoint, for messages.

    Raises InputError for an imported model, which knows no recordings, without `root`.
    """
    run, data = checkpoint["config"], checkpoint["config"]["data"]
    if not root and not data["root"]:
        raise InputError(f"{path}: an imported model, which knows no recordings; say which: data.root=DIR")
    found = catalogue(root or data["root"], checkpoint["sample_rate"], held_out=data["held_out"],
                      seed=data.get("split_seed", run["seed"]), cache=cache or data["cache"],
                      cache_gb=data.get("cache_gb", 20), kept=None if root else data.get("kept"))
    if root:
        return found
    return narrowed(found, fraction=data.get("fraction", 1), seed=data.get("subset_seed", 0), without=data.get("without"))


def to_compare(found: Catalogue, most: int, seed: int) -> list[Clip]:
    """As many training clips as held-out ones, of like lengths, but `most` at most."""
    some = [found.held_out[i] for i in np.random.default_rng(seed).permutation(len(found.held_out))[:most]]
    longest = max(map(len, found.held_out)) / found.sample_rate
    return alike(some, pieces(found.train, found.sample_rate, max(10.0, longest)), seed)
