"""Training on a part of the recordings: a share of the files, drawn so that shares are nested, or all but some."""

from dataclasses import replace

import numpy as np

from rave_lite.data import audio
from rave_lite.data.catalogue import Catalogue, named
from rave_lite.data.clip import Clip
from rave_lite.errors import InputError


def select_training_subset(found: Catalogue, *, fraction: float = 1.0, seed: int = 0,
                           without: list[str] | str | None = None) -> Catalogue:
    """`found` with less to train on; what is held out stays.

    `fraction`: of the training files, the first of them in an order drawn with `seed`, so a smaller share is part of a
    larger one; of a single file, of its seconds: one stretch, nested likewise. `without`: names (stems or patterns) of
    training files to leave out of that. Raises InputError when nothing is left, or for a name that means no such file.
    """
    train = share(found.train, fraction, seed, found.sample_rate)
    if without:
        sources = list(dict.fromkeys(clip.source for clip in found.train))
        without = [without] if isinstance(without, str) else without
        left_out = named(without, sources, "data.without: no training file")
        train = [clip for clip in train if clip.source not in left_out]
        if not train:
            raise InputError(f"data.without: {', '.join(map(str, without))}: nothing is left to train on")
    return replace(found, train=train)


def share(clips: list[Clip], fraction: float, seed: int, sample_rate: int) -> list[Clip]:
    """See `select_training_subset`; a file counts whole, with all its clips, and half a file as one."""
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction <= 1:
        raise InputError(f"data.fraction: {fraction!r} is no share above 0, up to 1")
    names = sorted({clip.source for clip in clips})
    if len(names) == 1:
        return _stretch(clips, fraction, seed, sample_rate)
    count = counted(fraction, len(names))
    if not count:
        raise InputError(f"data.fraction: {fraction:g} of {len(names)} training files is none; say {1 / len(names):.2g} or "
                         f"more")
    chosen = {names[i] for i in _rng(seed).permutation(len(names))[:count]}
    return [clip for clip in clips if clip.source in chosen]


def counted(fraction: float, files: int) -> int:
    """How many files a share of them is."""
    return int(fraction * files + 0.5)


def _stretch(clips: list[Clip], fraction: float, seed: int, sample_rate: int) -> list[Clip]:
    """`fraction` of one file's clips, in one piece from a place drawn with `seed`, laid end to end."""
    total = sum(map(len, clips))
    length = round(fraction * total)
    start = round(_rng(seed).random() * (total - length))  # moves down as the length grows, the end up
    kept, before = [], 0
    for clip in clips:
        first, last = max(0, start - before), min(len(clip), start + length - before)
        if last - first >= audio.SHORTEST * sample_rate:
            kept.append(replace(clip, start=clip.start + first, stop=clip.start + last))
        before += len(clip)
    if not kept:
        raise InputError(f"data.fraction: {fraction:g} of {clips[0].source!r}, the only training file, is "
                         f"{length / sample_rate:.3f} s: too short to train on")
    return kept


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, 1])  # not the draws of the split
