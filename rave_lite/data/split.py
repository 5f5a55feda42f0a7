"""Which recordings are held out: drawn by file, or given by name; a lone file is split by region."""

import difflib
import fnmatch
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rave_lite.data import audio
from rave_lite.data.clip import Clip
from rave_lite.errors import InputError

GUARD = 1.0  # s between the regions of a lone file
MIN_LONE_FILE_SECONDS = 4.0  # s from the first to the last sound of a lone file that can be split
HIT = 10.0  # s: shorter sounds of a lone file are not split


def split(clips: list[Clip], sample_rate: int, held_out: float | list[str], seed: int,
          takes: dict[str, str] | None = None) -> tuple[list[Clip], list[Clip]]:
    """Splits clips into training and held-out ones, by file; a lone file is split by region.

    `takes`: a name for each file, the same for files that belong on one side; by default each file is by itself.
    """
    takes = takes or {clip.source: clip.source for clip in clips}
    if not isinstance(held_out, int | float):
        held_takes = {takes[name] for name in named(held_out, [*takes], "data.held_out: no usable file")}
        held_sources = {name for name, take in takes.items() if take in held_takes}
        held = [c for c in clips if c.source in held_sources]
        train = [c for c in clips if c.source not in held_sources]
        if not train or not held:
            raise InputError("it must leave files on both sides, to train on and to hold out", where="data.held_out")
        return train, held
    if not 0 < held_out < 1:
        raise InputError(f"{held_out} is not a fraction between 0 and 1", where="data.held_out")
    names = list(dict.fromkeys(takes[clip.source] for clip in clips))
    if len(names) == 1:
        return _split_lone([clip for clip in clips if clip.source == names[0]], sample_rate, held_out)
    count = min(max(1, round(held_out * len(names))), len(names) - 1)
    held_takes = {names[i] for i in np.random.default_rng(seed).permutation(len(names))[:count]}
    return [c for c in clips if takes[c.source] not in held_takes], [c for c in clips if takes[c.source] in held_takes]


def named(patterns: Sequence[str], sources: Sequence[str], error: str) -> set[str]:
    """The `sources` that match by name, stem or pattern. Raises InputError, starting with `error`, if one has no match."""
    matched: set[str] = set()
    for pattern in patterns:
        matches = matching(pattern, sources)
        if not matches:
            known = {n: s for s in sources for n in (s, Path(s).name, Path(s).stem)}
            near = dict.fromkeys(known[n] for n in difflib.get_close_matches(str(pattern), known, 6, 0.5))
            raise InputError(f"{error} is named {pattern!r}; " + (f"near it: {', '.join(list(near)[:3])}" if near else
                             f"there are {', '.join(sorted(set(sources))[:5])}{' ...' if len(set(sources)) > 5 else ''}"))
        matched |= matches
    return matched


def matching(pattern: str, sources: Sequence[str]) -> set[str]:
    """The `sources` that match a name, stem or pattern."""
    return {pattern} & set(sources) or {
        s for s in sources if fnmatch.fnmatch(s, str(pattern)) or Path(s).stem == str(pattern)}


def _split_lone(clips: list[Clip], sample_rate: int, fraction: float) -> tuple[list[Clip], list[Clip]]:
    """Holds out the end of one file, given by its ascending regions, behind a guard gap.

    A region of at most 10 s is not cut, unless more than a third of the file would then be held out.
    """
    total, held = sum(map(len, clips)), 0
    target = max(min(sample_rate, total // 4), round(fraction * total))
    for clip in reversed(clips):
        held += len(clip)
        if held >= target:
            break
    whole = len(clip) <= HIT * sample_rate and held <= total / 3
    start = clip.start if whole else clip.start + held - target
    end = start - round(GUARD * sample_rate)
    train = part(clips, 0, end, sample_rate)
    if clips[-1].stop - clips[0].start < MIN_LONE_FILE_SECONDS * sample_rate or not train:
        raise InputError(f"{total / sample_rate:.1f} s of one file cannot be split into training and "
                         f"held-out parts; add a second file, or {MIN_LONE_FILE_SECONDS:.0f} s at least", where=clip.source)
    return train, part(clips, start, clips[-1].stop, sample_rate)


def part(clips: list[Clip], start: int, stop: int, sample_rate: int) -> list[Clip]:
    """The parts of the clips between two samples of their file, without those shorter than 20 ms."""
    cut = [replace(c, start=max(start, c.start), stop=min(stop, c.stop)) for c in clips]
    return [c for c in cut if c.stop - c.start >= audio.SHORTEST * sample_rate]
