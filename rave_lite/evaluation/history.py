"""History of a training run: reconstructions of the same hits after increasing numbers of steps."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rave_lite.data import Clip, audio
from rave_lite.evaluation.hits import hits
from rave_lite.evaluation.metrics import figures

PEAK = 0.9  # peak level of the loudest sound of a history when it is played


@dataclass(frozen=True)
class Moment:
    """The model after `step` steps: `reconstructions` `(T,)`, one of each hit; `names`: the checkpoints of that step."""

    step: int
    names: list[str]
    reconstructions: list[np.ndarray]
    figures: list[dict[str, float]]

    @property
    def distance(self) -> float:
        """Mean spectral distance from the hits; lower is better."""
        return float(np.mean([row["spectral"] for row in self.figures]))


@dataclass(frozen=True)
class History:
    """Moments in the order of steps, for the `hits` `(T,)` called `names`. `boundary`: first step of phase 2, if any."""

    sample_rate: int
    names: list[str]
    hits: list[np.ndarray]
    moments: list[Moment]
    boundary: int | None

    @property
    def best(self) -> Moment:
        """The moment with the least distance; the earliest one of equals."""
        return min(self.moments, key=lambda moment: moment.distance)

    @cached_property
    def gain(self) -> float:
        """Playback gain. The same for all sounds, because the model also learns the level."""
        sounds = [*self.hits, *(output for moment in self.moments for output in moment.reconstructions)]
        return PEAK / max(1e-3, *map(audio.peak, sounds))


def moment(step: int, names: list[str], originals: list[np.ndarray], outputs: list[np.ndarray], sample_rate: int) -> Moment:
    """A `Moment` with the `figures` of every output against its original."""
    return Moment(step, names, outputs, [figures(x, y, sample_rate) for x, y in zip(originals, outputs, strict=True)])


def some_hits(clips: list[Clip], sample_rate: int, limit: int) -> list[Clip]:
    """At most `limit` hits, evenly spaced among all hits of the clips."""
    return evenly([hit for clip in clips for hit in hits(clip, sample_rate)], limit)


def evenly(items: list, limit: int) -> list:
    """At most `limit` evenly spaced items, in order, including the first and the last."""
    return [items[i] for i in sorted({round(i) for i in np.linspace(0, len(items) - 1, min(limit, len(items)))})]
