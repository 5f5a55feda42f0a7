"""What the training loop sees: windows composed of clips, each drawn from its number alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count, pairwise

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from rave_lite.data.clip import Clip, audible, search_and_cut, sounding_parts

FADE = 22  # samples, half a millisecond at 44.1 kHz: enough against clicks, too short to blunt an attack
PIECE = 10.0  # s judged at once
STRETCH = 20.0  # s of a remote recording searched for silence at once
TRIES = 8  # stretches drawn to find one with sound


class Windows(Dataset):
    """Endless windows `(1, length)`: clips one after the other with random silence between, cut at a random place.

    Window `i` depends on `seed` and `i` only, so that a resumed run goes on with the same data. A clip longer than the
    window is as likely as its length says. A shorter one is likelier the shorter it is (as the root of its length), or
    clicks would be too small a part of the loss to be learned. `gap`: the longest silence between clips, s. Of a clip that
    was not searched for silence a stretch of 20 s is drawn, up to eight times until it has sound, and a sounding part of it.
    `augmentation`: what changes the composed samples `(length,)` as a function of them, seed and number.
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
        return torch.from_numpy(window).unsqueeze(0)

    def recorded(self, index: int) -> Tensor:
        """The window as it is without augmentation."""
        return torch.from_numpy(self._composed(index)).unsqueeze(0)

    def sources(self, index: int) -> set[str]:
        """The files that window `index` is made of."""
        return {clip.source for clip, _ in self._layout(index)}

    def _composed(self, index: int) -> np.ndarray:
        window = np.zeros(self.length, np.float32)
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
        """How likely each is drawn."""
        ratio = np.array([len(clip) / self.length for clip in clips])
        weight = np.maximum(ratio, ratio**-0.5)
        return weight / weight.sum()


def lay(window: np.ndarray, clip: Clip, position: int) -> None:
    """Copy the visible part of `clip`, starting at `position` (maybe negative), with its two ends faded."""
    first, last = max(0, -position), min(len(clip), len(window) - position)
    audio = clip.read(first, last)
    window[position + first : position + last] = audio * fade(len(clip), first, last)


def fade(length: int, first: int = 0, last: int | None = None) -> np.ndarray:
    """The factors, `first` to `last`, that fade the two ends of `length` samples."""
    at = np.arange(first, length if last is None else last)
    return np.minimum(1, np.minimum(at + 1, length - at) / FADE).astype(np.float32)


class Pieces(Dataset):
    """Clips one by one, `(1, T)`, with the file each comes from."""

    def __init__(self, clips: list[Clip]):
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[Tensor, str]:
        clip = self.clips[index]
        return torch.from_numpy(clip.read()).unsqueeze(0), clip.source


def pieces(clips: list[Clip], sample_rate: int, seconds: float = PIECE) -> list[Clip]:
    """The clips in order, longer ones in equal pieces of at most `seconds`: a rest could be a tail of silence."""
    made = []
    for clip in clips:
        parts = -(-len(clip) // round(seconds * sample_rate))
        edges = [clip.start + len(clip) * i // parts for i in range(parts + 1)]
        made += [replace(clip, start=start, stop=stop) for start, stop in pairwise(edges)]
    return made


def judged(clips: list[Clip], sample_rate: int) -> list[Clip]:
    """The pieces of clips that a model is judged by: without long silences, and the ends of decays below -60 dBFS."""
    return audible(pieces(search_and_cut(clips, sample_rate), sample_rate), sample_rate)


def match_lengths(clips: list[Clip], among: list[Clip], seed: int) -> list[Clip]:
    """For each of `clips` the one of `among` whose length is nearest, its end cut off where it is longer.

    None is taken twice while there are others. Of equally long ones `seed` decides.
    """
    order = np.random.default_rng(seed).permutation(len(among))
    lengths, uses = np.log([len(among[i]) for i in order]), np.zeros(len(among))
    chosen = []
    for clip in clips:
        nearest = int((np.abs(lengths - np.log(len(clip))) + 100 * uses).argmin())  # no lengths differ by a factor e^100
        uses[nearest] += 1
        found = among[order[nearest]]
        chosen.append(replace(found, stop=min(found.stop, found.start + len(clip))))
    return chosen


def subsample(clips: list[Clip], sample_rate: int, seed: int, minutes: float = 20.0) -> list[Clip]:
    """All of the clips; of more than `minutes` as much, in pieces of a minute drawn with `seed`. Silence is left out."""
    if sum(map(len, clips)) <= minutes * 60 * sample_rate:
        return search_and_cut(clips, sample_rate)
    cut = pieces(clips, sample_rate, 60.0)
    order = np.random.default_rng(seed).permutation(len(cut))
    count = int(np.searchsorted(np.cumsum([len(cut[i]) for i in order]), minutes * 60 * sample_rate, "right"))
    return search_and_cut([cut[i] for i in sorted(order[: max(1, count)])], sample_rate)


class CountFrom(Sampler[int]):
    """The whole numbers from `start` on, without end: of every `every`, those of one of `shares` equal shares."""

    def __init__(self, start: int, *, every: int = 1, share: int = 0, shares: int = 1):
        self.start, self.every = start, every
        self.mine = range(share * every // shares, (share + 1) * every // shares)

    def __iter__(self) -> Iterator[int]:
        return (self.start + cycle * self.every + i for cycle in count() for i in self.mine)
