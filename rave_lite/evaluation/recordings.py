"""Which recordings a model is judged by: those of its run, training clips to compare with, foreign ones."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich import print as show

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
from rave_lite.data.catalogue import remarks, usable, without_silence
from rave_lite.data.network import is_url
from rave_lite.errors import InputError
from rave_lite.evaluation.side_by_side import location

T = TypeVar("T")
IMPORTED = "an imported model or a base, which knows no recordings; say which: data.root=DIR"


def recordings(run: dict[str, Any], sample_rate: int, *, root: str | None = None, cache: str | None = None,
               channels: int = 1) -> Catalogue:
    """The recordings of the run with configuration `run`, split as the run split them. `root`: where they are now.

    `channels`, here and below: of the sounds, as many as the model has.

    Prints which files cannot be used. Reads the held-out recordings, even remote ones, to leave out silence.
    """
    data = run["data"]
    split = catalogue(root or data["root"], sample_rate, held_out=data["held_out"], seed=data.get("split_seed", run["seed"]),
                      cache=cache or data["cache"], cache_gb=data.get("cache_gb", 20), kept=data.get("kept"),
                      memory=data.get("split"), channels=channels)
    for line in remarks(split.entries):
        show(line)
    split = replace(split, held_out=search_and_cut(split.held_out, sample_rate))
    if split.sides:  # those that the run was trained on
        return split
    return select_training_subset(split, fraction=data.get("fraction", 1), seed=data.get("subset_seed", 0),
                                  without=data.get("without"))


def known(run: dict[str, Any], sample_rate: int, *, root: str | None = None, cache: str | None = None,
          channels: int = 1) -> Catalogue | None:
    """The run's recordings. If they are not at the original path, uses `root`, provided that they are there.

    None if they do not match, and for an imported model. Raises InputError if they cannot be read and `root` is None.
    """
    if not run["data"]["root"]:
        return None
    try:
        return recordings(run, sample_rate, cache=cache, channels=channels)
    except InputError as error:
        if root is None:
            raise InputError(f"{error}\nhave the recordings of {run['name']} moved? say data.root=DIR") from error
    try:
        run_catalogue = recordings(run, sample_rate, root=resolve_root(root), cache=cache, channels=channels)
    except InputError:
        return None
    if run["data"].get("split") and not is_url(root) and not is_url(run["data"]["root"]):
        return run_catalogue  # its files are there, by their content
    return run_catalogue if math.isclose(run_catalogue.minutes(run_catalogue.train), run["minutes"], rel_tol=1e-4) else None


def are_at(root: str | None, run_catalogue: Catalogue) -> bool:
    """Whether the recordings of a run are those at `root`; true if `root` is None."""
    return root is None or run_catalogue.root == redact_url(resolve_root(root))


def to_judge(run: dict[str, Any], sample_rate: int, root: str | None, cache: str | None,
             channels: int = 1) -> tuple[Catalogue | None, list[Clip]]:
    """The run's recordings, if `known`; and the clips to judge by: the held-out ones, or all clips of another `root`."""
    run_catalogue = known(run, sample_rate, root=root, cache=cache, channels=channels)
    if run_catalogue is None and not root:
        raise InputError(f"{IMPORTED}", where=run['name'])
    if run_catalogue is not None and are_at(root, run_catalogue):
        return run_catalogue, run_catalogue.held_out
    return run_catalogue, listed(root, "data.root", sample_rate, cache, whole=False, channels=channels)


def to_compare(run_catalogue: Catalogue, most: int, seed: int) -> list[Clip]:
    """Training clips to compare with the held-out ones: as many and of similar lengths, but at most `most`."""
    order = np.random.default_rng(seed).permutation(len(run_catalogue.held_out))
    held_out = [run_catalogue.held_out[i] for i in order[:most]]
    longest = max(map(len, run_catalogue.held_out)) / run_catalogue.sample_rate
    parts = pieces(run_catalogue.train, run_catalogue.sample_rate, max(10.0, longest))
    return match_lengths(held_out, search_and_cut(parts, run_catalogue.sample_rate, len(held_out), seed), seed)


def listed(root: str | None, key: str, sample_rate: int, cache: str | None, *, whole: bool = True,
           channels: int = 1) -> list[Clip]:
    """The recordings of a folder or file, none for None: `whole`, or without long silences.

    Prints which files cannot be used, and notes on others. Raises InputError if none can.
    """
    if root is None:
        return []
    try:
        _, entries, clips = usable(str(root), sample_rate, cache=cache, foreign=key == "inputs",
                                   channels=channels)
    except InputError as error:
        raise InputError(str(error), where=key) from error
    for line in remarks(entries):
        show(f"{key}: {line}")
    return clips if whole else search_and_cut(without_silence(str(root), clips, entries, sample_rate), sample_rate)


def run_catalogues(runs: list[dict[str, Any]], sample_rate: int, root: str | None, cache: str | None,
                   channels: int = 1) -> list[Catalogue | None]:
    """The recordings of each run, None where they are not `known`. Runs with the same data share one catalogue."""
    keys = [json.dumps([run["data"], run["seed"]], sort_keys=True) for run in runs]
    catalogues = {key: known(run, sample_rate, root=root, cache=cache, channels=channels)
                  for key, run in dict(zip(keys, runs, strict=True)).items()}
    return [catalogues[key] for key in keys]


def choose_clips(catalogues: list[Catalogue | None], sample_rate: int, root: str | None, cache: str | None, *, files: int,
                 training: int, seed: int, channels: int = 1) -> list[tuple[str, Clip]]:
    """The clips to compare models by, with their files' locations.

    At most `files` held-out clips of the runs and `training` training clips; or `files` clips of `root`, unless a run's
    recordings are there.
    """
    distinct = list({id(catalogue): catalogue for catalogue in catalogues if catalogue is not None}.values())
    if root and not any(are_at(root, catalogue) for catalogue in distinct):
        place = redact_url(resolve_root(root))
        everything = listed(root, "data.root", sample_rate, cache, whole=False, channels=channels)
        clips = [(place, clip) for clip in draw(everything, files, seed)]
    else:
        held_out = [(catalogue.root, clip) for catalogue in distinct for clip in catalogue.held_out]
        trained_on = [(catalogue.root, clip) for catalogue in distinct
                      for clip in to_compare(catalogue, -(-training // len(distinct)), seed)]
        clips = [*draw(without_duplicates(held_out), files, seed), *without_duplicates(trained_on)[:training]]
    roots = {source: {root for root, clip in clips if clip.source == source} for source in {c.source for _, c in clips}}
    label = lambda root, clip: f"{Path(root).name}/{clip.source}" if len(roots[clip.source]) > 1 else clip.source
    return [(location(root, clip.source), replace(clip, source=label(root, clip))) for root, clip in clips]


def without_duplicates(clips: list[tuple[str, Clip]]) -> list[tuple[str, Clip]]:
    """Each clip once, though runs may share recordings."""
    return list({(location(root, c.source), c.start, c.stop): (root, c) for root, c in clips}.values())


def draw(clips: list[T], most: int, seed: int) -> list[T]:
    """All clips, or `most` of them drawn at random with `seed`, in their original order."""
    return [clips[i] for i in sorted(np.random.default_rng(seed).permutation(len(clips))[:most])]
