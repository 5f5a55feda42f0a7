"""Recordings of the same take: equal files, and near copies, such as an mp3 of a wav, or a trimmed one."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from rave_lite.data.clip import Clip
from rave_lite.data.split import split
from rave_lite.notes import note_once, some

SAME_TAKE = 0.92  # `likeness` of near copies; of 721 CC0 strokes in 1,500 pairs the likest two that differ have 0.88
MOST_FILES, MOST_MINUTES = 2000, 120.0  # in larger collections near copies are not looked for
MOST_PAIRS = 200  # compared sample by sample, the likest spectra first
NEIGHBOURS = 4  # files compared with each
NEAR = 1.2  # distance of the `spectrum` of files that are compared
LONGEST = 120.0  # s of a file that are read
ATTACK, AROUND = 0.19, 0.74  # s around the loudest moment: described by its spectrum, and aligned
COMPARED = 1.4  # s
BAND = (100.0, 6000.0)  # Hz compared; mp3 files of low rates end there
EDGES = np.geomspace(80.0, 8000.0, 25)  # Hz, of the bands of a `spectrum`
WHITENING = 30.0  # Hz


def split_by_take(root: str, clips: list[Clip], sample_rate: int, held_out: float | list[str], seed: int,
                  near: bool = True) -> tuple[list[Clip], list[Clip]]:
    """`split`, with copies on one side, and with near copies of held-out files held out, too, unless these were named.

    Says once which these are. `near`: also look for near copies, which reads the files. Near copies stay in the training set
    where less than half of it would be left.
    """
    originals: dict[str, str] = {}
    takes = {clip.source: originals.setdefault(clip.samples.content, clip.source) for clip in clips}
    if copied := [name for name, original in takes.items() if name != original]:
        are = "is a copy of another" if len(copied) == 1 else "are copies of others"
        note_once(f"{root}: {len(copied)} of {len(takes)} recordings {are}, on the same side: {some(copied)}")
    train, held = split(clips, sample_rate, held_out, seed, takes)
    if not near or len(originals) == 1:
        return train, held
    copy_of: dict[str, str] = {}
    latest, rest = held, train
    while more := near_copies(latest, rest, sample_rate):
        copy_of |= more
        latest, rest = ([c for c in rest if (c.source in more) is side] for side in (True, False))
    if not copy_of:
        return train, held
    shown = some([f"{name} (of {original})" for name, original in copy_of.items()])
    if not isinstance(held_out, int | float) or len(copy_of) > len({clip.source for clip in train}) / 2:
        note_once(f"{root}: near copies of what is held out are trained on: {shown}. Name them in data.held_out, too, or in "
                  "data.without")
        return train, held
    note_once(f"{root}: held out, too, as near copies: {shown}")
    return [c for c in train if c.source not in copy_of], held + [c for c in train if c.source in copy_of]


def near_copies(held_out: list[Clip], others: list[Clip], sample_rate: int) -> dict[str, str]:
    """The files among `others` that are near copies of files in `held_out`: by their name, the name of the latter."""
    ours, theirs = (excerpts(clips, sample_rate) for clips in (held_out, others))
    excerpt_of = ours | theirs
    minutes = sum(map(len, excerpt_of.values())) / sample_rate / 60
    if not ours or not theirs or len(excerpt_of) > MOST_FILES or minutes > MOST_MINUTES:
        return {}
    from scipy.spatial import KDTree  # takes half a second

    sound = lru_cache(NEIGHBOURS + 1)(lambda name: without_edges(excerpt_of[name].read()))
    spectra = [np.array([spectrum(sound(name), sample_rate) for name in side]) for side in (ours, theirs)]
    count = min(NEIGHBOURS, len(theirs))
    distances, numbers = (a.reshape(-1, count) for a in KDTree(spectra[1]).query(spectra[0], count))
    pairs = sorted((d, ours_name, list(theirs)[n]) for ours_name, row, near in zip(ours, distances, numbers, strict=True)
                   for d, n in zip(row.tolist(), near.tolist(), strict=True) if d < NEAR)
    copy_of: dict[str, str] = {}
    for _, ours_name, name in pairs[:MOST_PAIRS]:
        if name not in copy_of and likeness(sound(ours_name), sound(name), sample_rate) > SAME_TAKE:
            copy_of[name] = ours_name
    return copy_of


def excerpts(clips: Iterable[Clip], sample_rate: int) -> dict[str, Clip]:
    """Each file, from its first clip to the end of its last one, two minutes at most."""
    regions: dict[str, Clip] = {}
    for clip in clips:
        start = regions.setdefault(clip.source, clip).start
        regions[clip.source] = replace(clip, start=start, stop=min(clip.stop, start + round(LONGEST * sample_rate)))
    return {name: clip for name, clip in regions.items() if len(clip) > 0}


def without_edges(x: np.ndarray) -> np.ndarray:
    """A sound without what is 60 dB below its peak before and after it."""
    loud = np.flatnonzero(np.abs(x) > 1e-3 * np.abs(x).max(initial=0))
    return x[loud[0] : loud[-1] + 1] if len(loud) else x[:0]


def loudest(x: np.ndarray) -> int:
    """About the sample where a sound is loudest, to 256 samples."""
    blocks = np.square(x[: len(x) // 256 * 256].reshape(-1, 256)).sum(1)
    return int(np.convolve(blocks, np.ones(4), "same").argmax()) * 256 if len(blocks) > 4 else 0


def spectrum(x: np.ndarray, sample_rate: int) -> np.ndarray:
    """The spectrum around the loudest moment `(T,) -> (24,)`; a difference of 1 is 10 dB. The level is left out."""
    length = round(ATTACK * sample_rate)
    start = loudest(x) - length // 8
    excerpt = np.pad(x[max(0, start) : start + length], (max(0, -start), 0)).astype(np.float64)
    power = np.abs(np.fft.rfft(excerpt * np.hanning(length)[: len(excerpt)], length)) ** 2
    edges = np.minimum(np.round(EDGES * length / sample_rate).astype(int), len(power))
    cumulative = np.concatenate([[0], np.cumsum(power)])
    bands = np.maximum(np.diff(cumulative[edges]), 0)
    decibels = 10 * np.log10(bands / max(bands.max(), 1e-30) + 1e-4)
    return (decibels - decibels.mean()) / 10


def likeness(x: np.ndarray, y: np.ndarray, sample_rate: int) -> float:
    """How alike two sounds are where they overlap, 0 to 1: their correlation, with each frequency as loud as any other.

    They are aligned around the loudest moment of each. 0 if they share less than half of the longer one. Unlike the spectra
    of two strokes, their phases differ; so a drum that is struck twice alike is no near copy.
    """
    around = round(AROUND * sample_rate)
    starts = [max(0, loudest(sound) - around // 16) for sound in (x, y)]
    _, lag = correlation(x[starts[0] :][:around], y[starts[1] :][:around], sample_rate)
    offset = starts[0] + lag - starts[1]  # x[t + offset] is y[t]
    start, stop = max(0, offset), min(len(x), len(y) + offset)
    if stop - start < max(512, max(len(x), len(y)) / 2):
        return 0.0
    length = round(COMPARED * sample_rate)
    start = max(start, min(starts[0], stop - length))
    stop = min(stop, start + length)
    return correlation(x[start:stop], y[start - offset : stop - offset], sample_rate)[0]


def correlation(x: np.ndarray, y: np.ndarray, sample_rate: int) -> tuple[float, int]:
    """The largest correlation of two whitened sounds, and the lag where it is: x[t + lag] is like y[t].

    Knapp and Carter, 1976 (PHAT), smoothed over frequency.
    """
    n = 1 << (len(x) + len(y) - 1).bit_length()
    low, high = (min(n // 2, round(edge * n / sample_rate)) for edge in BAND)
    width = round(WHITENING * n / sample_rate) // 2 * 2 + 1
    whitened = []
    for sound in (x, y):
        band = np.fft.rfft(sound.astype(np.float64), n)[low:high]
        cumulative = np.concatenate([[0], np.cumsum(np.abs(band) ** 2)])
        level = np.sqrt(np.maximum(np.pad(cumulative[width:] - cumulative[:-width], width // 2, "edge"), 0))
        whitened.append(band / np.maximum(level, 1e-3 * level.max() + 1e-20))
    cross = np.zeros(n // 2 + 1, complex)
    cross[low:high] = whitened[0] * whitened[1].conj()
    energy = np.prod([np.square(np.abs(part)).sum() for part in whitened])
    values = np.abs(np.fft.irfft(cross, n)) * n / 2 / max(np.sqrt(energy), 1e-30)
    at = int(values.argmax())
    return float(values[at]), at if at < n // 2 else at - n
