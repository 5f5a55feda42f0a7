"""Training windows, composed of clips; each depends on its number alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count, pairwise

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from rave_lite.data.clip import Clip, audible, search_and_cut, sounding_parts

FADE = 22  # samples, half a millisecond at 44.1 kHz: enough against clicks, too short to blunt an attack
PIECE = 10.0  # s: the longest clip that is evaluated in one piece
MOST_PIECES, MOST_SECONDS = 256, 600.0  # that a validation judges
STRETCH = 20.0  # s of a remote recording searched for silence at once
TRIES = 8  # draws of a stretch until one has sound


class Windows(Dataset):
    """Endless windows `(channels, length)`: clips one after the other with random silence between, cut at a random place.

    Window `i` depends on `seed` and `i` only, so that a resumed run goes on with the same data. A clip longer than the
    window is drawn in proportion to its length. A shorter one is likelier the shorter it is (by the inverse root of its
    length), or clicks would be too small a part of the loss to be learned. `gap`: the longest silence between clips, s. A
    clip not searched for silence yields a sounding part of a random 20 s stretch, drawn up to eight times until it has any.
    `augmentation`: maps the composed samples, `(length,)` or `(2, length)`, seed and number to the samples used.
    """

    def __init__(self, clips: list[Clip], *, length: int, sample_rate: int, gap: float = 0.25, seed: int = 0,
                 augmentation: Callable[[np.ndarray, int, int], np.ndarray] | None = None):
        self.clips = clips
        self.length = length
        self.sample_rate = sample_rate
        self.gap = round(gap * sample_rate)
        self.seed = seed
        self.augmentation = augmentation
        self.probability = self._likelihood(clips)
        self.stretches = {clip: pieces([clip], sample_rate, STRETCH) for clip in clips if not clip.searched}

    def __getitem__(self, index: int) -> Tensor:
        window = self._composed(index)
        if self.augmentation:
            window = self.augmentation(window, self.seed, index)
        return torch.from_numpy(np.atleast_2d(window))

    def recorded(self, index: int) -> Tensor:
        """Window `index` without augmentation."""
        return torch.from_numpy(np.atleast_2d(self._composed(index)))

    def sources(self, index: int) -> set[str]:
        """The files of the clips in window `index`."""
        return {clip.source for clip, _ in self._layout(index)}

    def _composed(self, index: int) -> np.ndarray:
        channels = self.clips[0].samples.channels
        window = np.zeros(self.length if channels == 1 else (channels, self.length), np.float32)
        for clip, position in self._layout(index):
            lay(window, clip, position)
        return window

    def _layout(self, index: int) -> Iterator[tuple[Clip, int]]:
        rng = np.random.default_rng([self.seed, index])
        clip = self._draw(rng)
        visible = min(len(clip), self.length // 4)
        position = int(rng.integers(visible - len(clip), self.gap + 1))
        while position < self.length:
            yield clip, position
            position += len(clip) + int(rng.integers(0, self.gap + 1))
            clip = self._draw(rng)

    def _draw(self, rng: np.random.Generator) -> Clip:
        clip = self.clips[rng.choice(len(self.clips), p=self.probability)]
        return clip if clip.searched else self._sounding(self.stretches[clip], rng)

    def _sounding(self, stretches: list[Clip], rng: np.random.Generator) -> Clip:
        """A sounding part of one of the stretches, or a silent stretch where eight draws find no sound."""
        for _ in range(TRIES):
            stretch = stretches[rng.integers(len(stretches))] if len(stretches) > 1 else stretches[0]
            if parts := sounding_parts(stretch, self.sample_rate):
                return parts[rng.choice(len(parts), p=self._likelihood(parts))] if len(parts) > 1 else parts[0]
        return stretch

    def _likelihood(self, clips: Sequence[Clip]) -> np.ndarray:
        """The probability that each clip is drawn."""
        ratio = np.array([len(clip) / self.length for clip in clips])
        weight = np.maximum(ratio, ratio**-0.5)
        return weight / weight.sum()


def lay(window: np.ndarray, clip: Clip, position: int) -> None:
    """Copies the visible part of `clip`, which starts at `position` (may be negative) and is faded at both ends."""
    first, last = max(0, -position), min(len(clip), window.shape[-1] - position)
    window[..., position + first : position + last] = clip.sound(first, last) * fade(len(clip), first, last)


def fade(length: int, first: int = 0, last: int | None = None) -> np.ndarray:
    """The gains, `first` to `last`, that fade the two ends of `length` samples in and out."""
    at = np.arange(first, length if last is None else last)
    return np.minimum(1, np.minimum(at + 1, length - at) / FADE).astype(np.float32)


class Pieces(Dataset):
    """A dataset of clips, each as samples `(channels, T)` and the name of its file."""

    def __init__(self, clips: list[Clip]):
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[Tensor, str]:
        clip = self.clips[index]
        return torch.from_numpy(np.atleast_2d(clip.sound())), clip.source


def pieces(clips: list[Clip], sample_rate: int, seconds: float = PIECE) -> list[Clip]:
    """Cuts clips into equal pieces of at most `seconds`, in order; an unequal last piece could be a tail of silence."""
    equal_pieces = []
    for clip in clips:
        piece_count = -(-len(clip) // round(seconds * sample_rate))
        edges = [clip.start + len(clip) * i // piece_count for i in range(piece_count + 1)]
        equal_pieces += [replace(clip, start=start, stop=stop) for start, stop in pairwise(edges)]
    return equal_pieces


def judged(clips: list[Clip], sample_rate: int) -> list[Clip]:
    """The pieces that a model is evaluated on: without long silences and without pieces below -60 dBFS throughout."""
    return audible(pieces(search_and_cut(clips, sample_rate), sample_rate), sample_rate)


def bounded(pieces: list[Clip], sample_rate: int) -> list[Clip]:
    """At most 256 of the pieces and ten minutes of sound, always the same ones: a validation takes a bounded time."""
    order = np.random.default_rng(0).permutation(len(pieces))
    seconds = np.cumsum([len(pieces[i]) / sample_rate for i in order])
    count = max(1, min(MOST_PIECES, int(np.searchsorted(seconds, MOST_SECONDS, "right"))))
    return [pieces[i] for i in sorted(order[:count])]


def match_lengths(clips: list[Clip], candidates: list[Clip], seed: int) -> list[Clip]:
    """For each of `clips` the candidate of the nearest length, its end cut off where it is longer.

    No candidate is used twice before all are used once. Of equally long ones `seed` decides.
    """
    order = np.random.default_rng(seed).permutation(len(candidates))
    lengths, uses = np.log([len(candidates[i]) for i in order]), np.zeros(len(candidates))
    chosen = []
    for clip in clips:
        nearest = int((np.abs(lengths - np.log(len(clip))) + 100 * uses).argmin())  # no lengths differ by a factor of e^100
        uses[nearest] += 1
        match = candidates[order[nearest]]
        chosen.append(replace(match, stop=min(match.stop, match.start + len(clip))))
    return chosen


def subsample(clips: list[Clip], sample_rate: int, seed: int, minutes: float = 20.0) -> list[Clip]:
    """The clips without silence; of more than `minutes`, that much, in one-minute pieces drawn with `seed`."""
    if sum(map(len, clips)) <= minutes * 60 * sample_rate:
        return search_and_cut(clips, sample_rate)
    minute_pieces = pieces(clips, sample_rate, 60.0)
    order = np.random.default_rng(seed).permutation(len(minute_pieces))
    count = int(np.searchsorted(np.cumsum([len(minute_pieces[i]) for i in order]), minutes * 60 * sample_rate, "right"))
    return search_and_cut([minute_pieces[i] for i in sorted(order[: max(1, count)])], sample_rate)


class CountFrom(Sampler[int]):
    """Counts from `start` without end; of each `every` numbers it yields only the `share`-th of `shares` equal parts."""

    def __init__(self, start: int, *, every: int = 1, share: int = 0, shares: int = 1):
        self.start, self.every = start, every
        self.offsets = range(share * every // shares, (share + 1) * every // shares)

    def __iter__(self) -> Iterator[int]:
        return (self.start + cycle * self.every + i for cycle in count() for i in self.offsets)
