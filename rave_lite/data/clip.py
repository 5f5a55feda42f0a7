"""Clips of recordings, and cutting silence out of them."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np

from rave_lite.data import audio
from rave_lite.data.silence import AUDIBLE_POWER, LevelMeter, sounding


class Samples(Protocol):
    """The samples of a whole recording, float32 at one rate, whether local or remote.

    `content`: the same for files that hold the same, whatever their names. `channels`: 1, or 2 where a model is stereo.
    """

    @property
    def content(self) -> str: ...

    @property
    def channels(self) -> int: ...

    def read(self, start: int, stop: int) -> np.ndarray:
        """`(T,)`, or `(2, T)` of two channels."""


@dataclass(frozen=True)
class Clip:
    """Samples `start` to `stop` of a recording, which is named `source` after its file.

    `searched`: False if it may hold long silent stretches, because its remote file was not read yet.
    """

    source: str
    samples: Samples
    start: int
    stop: int
    searched: bool = True

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """The mix of `sound`, `(T,)`: figures and cuts are those of the mix."""
        return audio.mix(self.sound(start, stop))

    def sound(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Samples `(T,)`, or `(2, T)` of two channels, counted from the clip's start. Raises InputError when a remote file
        fails."""
        stop = len(self) if stop is None else min(stop, len(self))
        return self.samples.read(self.start + start, self.start + stop)


def cut_silence(clip: Clip, silent: list[list[int]], sample_rate: int) -> list[Clip]:
    """The parts of a clip outside its recording's silent stretches, without those shorter than 20 ms."""
    parts = [replace(clip, start=start, stop=stop, searched=True) for start, stop in sounding(silent, clip.start, clip.stop)]
    return [part for part in parts if not silent or len(part) >= audio.SHORTEST * sample_rate]


def search_and_cut(clips: list[Clip], sample_rate: int, max_searched: int | None = None, seed: int = 0) -> list[Clip]:
    """Reads the clips not yet searched for silence and replaces them by their sounding parts; the others stay.

    At most `max_searched` clips are read, drawn with `seed`; other unsearched ones are dropped, as are parts below -60 dBFS,
    unless there is nothing else. Raises InputError when a remote file fails.
    """
    unsearched = [number for number, clip in enumerate(clips) if not clip.searched]
    chosen = {unsearched[i] for i in np.random.default_rng(seed).permutation(len(unsearched))[:max_searched]}
    selected = [clip for number, clip in enumerate(clips) if clip.searched or number in chosen]
    parts = [part for clip in selected for part in ([clip] if clip.searched else sounding_parts(clip, sample_rate))]
    return parts or [replace(clip, searched=True) for clip in selected]


def audible(clips: list[Clip], sample_rate: int) -> list[Clip]:
    """Reads the clips and drops those below -60 dBFS throughout; if that is all of them, returns all."""
    return [clip for clip in clips if sounding_parts(clip, sample_rate)] or clips


@lru_cache(1 << 12)
def sounding_parts(clip: Clip, sample_rate: int) -> tuple[Clip, ...]:
    """Reads a clip: its parts between long silent stretches, or none if it is below -60 dBFS throughout."""
    meter = LevelMeter(sample_rate)
    for start in range(0, len(clip), audio.BLOCK):
        meter.add(clip.read(start, start + audio.BLOCK))
    if meter.powers().max() <= AUDIBLE_POWER:
        return ()
    silent = [[clip.start + edge for edge in stretch] for stretch in meter.silent()]
    return tuple(cut_silence(clip, silent, sample_rate))
