"""Training on a part of the recordings: a random share of the files (shares are nested), or all but the files named."""

from dataclasses import replace

import numpy as np

from rave_lite.data import audio
from rave_lite.data.catalogue import Catalogue
from rave_lite.data.clip import Clip
from rave_lite.data.split import named
from rave_lite.errors import InputError


def select_training_subset(recordings: Catalogue, *, fraction: float = 1.0, seed: int = 0,
                           without: list[str] | str | None = None) -> Catalogue:
    """`recordings` with fewer training clips; the held-out clips stay.

    `fraction`: of the training files, the first in an order drawn with `seed`, so that a smaller share is part of a larger
    one; of a single training file, one stretch of its seconds, nested likewise. `without`: names (stems or patterns) of
    training files to leave out of the share. Raises InputError when no clip remains, or for a name without a match.
    """
    train = share(recordings.train, fraction, seed, recordings.sample_rate)
    if without:
        sources = list(dict.fromkeys(clip.source for clip in recordings.train))
        without = [without] if isinstance(without, str) else without
        left_out = named(without, sources, "data.without: no training file")
        train = [clip for clip in train if clip.source not in left_out]
        if not train:
            raise InputError(f"{', '.join(map(str, without))}: nothing is left to train on", where="data.without")
    return replace(recordings, train=train)


def share(clips: list[Clip], fraction: float, seed: int, sample_rate: int) -> list[Clip]:
    """Selects whole files, their number rounded half up; of a single file a stretch. See `select_training_subset`."""
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction <= 1:
        raise InputError(f"{fraction!r} is no share above 0, up to 1", where="data.fraction")
    names = sorted({clip.source for clip in clips})
    if len(names) == 1:
        return _stretch(clips, fraction, seed, sample_rate)
    count = file_count(fraction, len(names))
    if not count:
        raise InputError(f"{fraction:g} of {len(names)} training files is none; say {1 / len(names):.2g} or "
                         f"more", where="data.fraction")
    chosen = {names[i] for i in _rng(seed).permutation(len(names))[:count]}
    return [clip for clip in clips if clip.source in chosen]


def file_count(fraction: float, files: int) -> int:
    """The number of files in a share of `files`, rounded half up."""
    return int(fraction * files + 0.5)


def _stretch(clips: list[Clip], fraction: float, seed: int, sample_rate: int) -> list[Clip]:
    """One stretch, `fraction` of one file's clips laid end to end, from a position drawn with `seed`."""
    total = sum(map(len, clips))
    length = round(fraction * total)
    start = round(_rng(seed).random() * (total - length))  # a longer stretch starts earlier and ends later
    kept, before = [], 0
    for clip in clips:
        first, last = max(0, start - before), min(len(clip), start + length - before)
        if last - first >= audio.SHORTEST * sample_rate:
            kept.append(replace(clip, start=clip.start + first, stop=clip.start + last))
        before += len(clip)
    if not kept:
        raise InputError(f"{fraction:g} of {clips[0].source!r}, the only training file, is "
                         f"{length / sample_rate:.3f} s: too short to train on", where="data.fraction")
    return kept


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, 1])  # other random numbers than the split's
