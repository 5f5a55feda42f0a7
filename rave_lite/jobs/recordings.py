"""What a model is judged by: the recordings of its run, those to compare them with, foreign ones."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from rich import print as show
from rich.markup import escape

from rave_lite.data import (
    Catalogue,
    Clip,
    catalogue,
    match_lengths,
    pieces,
    redact_url,
    resolve_root,
    search_and_cut,
    select_training_subset,
)
from rave_lite.data.catalogue import usable, without_silence
from rave_lite.errors import InputError

IMPORTED = "an imported model, which knows no recordings; say which: data.root=DIR"


def recordings(run: dict[str, Any], sample_rate: int, *, root: str | None = None, cache: str | None = None) -> Catalogue:
    """As a run, of which this is the configuration, trained on them and held them out; `root`: where they are now.

    Held-out recordings that are remote are read, to leave silence out.
    """
    data = run["data"]
    found = catalogue(root or data["root"], sample_rate, held_out=data["held_out"], seed=data.get("split_seed", run["seed"]),
                      cache=cache or data["cache"], cache_gb=data.get("cache_gb", 20), kept=data.get("kept"))
    found = replace(found, held_out=search_and_cut(found.held_out, sample_rate))
    return select_training_subset(found, fraction=data.get("fraction", 1), seed=data.get("subset_seed", 0),
                                  without=data.get("without"))


def known(run: dict[str, Any], sample_rate: int, *, root: str | None = None, cache: str | None = None) -> Catalogue | None:
    """The run's recordings, at `root` if they are not where they were but those there give as many minutes to train on.

    None where that is not so, and of an imported model. Raises InputError where they cannot be read and `root` is None.
    """
    if not run["data"]["root"]:
        return None
    try:
        return recordings(run, sample_rate, cache=cache)
    except InputError as error:
        if root is None:
            raise InputError(f"{error}\nhave the recordings of {run['name']} moved? say data.root=DIR") from error
    try:
        found = recordings(run, sample_rate, root=resolve_root(root), cache=cache)
    except InputError:
        return None
    return found if math.isclose(found.minutes(found.train), run["minutes"], rel_tol=1e-4) else None


def are_at(root: str | None, found: Catalogue) -> bool:
    """Whether a run's recordings are those of `root`; None: of no other place."""
    return root is None or found.root == redact_url(resolve_root(root))


def to_judge(run: dict[str, Any], sample_rate: int, root: str | None,
             cache: str | None) -> tuple[Catalogue | None, list[Clip]]:
    """The run's recordings, if `known`, and the clips to judge a model by: those it held out, or all of another `root`."""
    found = known(run, sample_rate, root=root, cache=cache)
    if found is None and not root:
        raise InputError(f"{run['name']}: {IMPORTED}")
    if found is not None and are_at(root, found):
        return found, found.held_out
    return found, listed(root, "data.root", sample_rate, cache, whole=False)


def to_compare(found: Catalogue, most: int, seed: int) -> list[Clip]:
    """As many training clips as held-out ones, of like lengths, but `most` at most."""
    some = [found.held_out[i] for i in np.random.default_rng(seed).permutation(len(found.held_out))[:most]]
    longest = max(map(len, found.held_out)) / found.sample_rate
    parts = pieces(found.train, found.sample_rate, max(10.0, longest))
    return match_lengths(some, search_and_cut(parts, found.sample_rate, len(some), seed), seed)


def listed(root: str | None, key: str, sample_rate: int, cache: str | None, *, whole: bool = True) -> list[Clip]:
    """The recordings of a folder or file, none for None: `whole`, or without long silent stretches.

    Says which files cannot be used; raises InputError where none can.
    """
    if root is None:
        return []
    try:
        _, entries, clips = usable(str(root), sample_rate, cache=cache)
    except InputError as error:
        raise InputError(f"{key}: {error}") from error
    for name, entry in entries.items():
        if entry.skipped is not None:
            show(f"{key}: {escape(name)} [red]skipped:[/] {escape(entry.skipped)}")
    return clips if whole else search_and_cut(without_silence(str(root), clips, entries, sample_rate), sample_rate)
