"""How a model came to sound as it does: the same hits, made anew by it after so many steps."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rave_lite.data import Clip
from rave_lite.evaluation.hits import hits
from rave_lite.evaluation.memorisation import LONGER
from rave_lite.evaluation.metrics import figures

PEAK = 0.9  # of the loudest sound of a history when it is played


@dataclass(frozen=True)
class Moment:
    """What was made of each hit, `(T,)` each, after `step` steps; `names`: of the checkpoints of that step."""

    step: int
    names: list[str]
    made: list[np.ndarray]
    figures: list[dict[str, float]]

    @property
    def distance(self) -> float:
        """The spectral distance from the hits, their mean; lower is better."""
        return float(np.mean([each["spectral"] for each in self.figures]))


@dataclass(frozen=True)
class History:
    """Moments by step, of the hits `(T,)` of these names. `boundary`: the step at which phase 2 begins, if it does."""

    sample_rate: int
    names: list[str]
    hits: list[np.ndarray]
    moments: list[Moment]
    boundary: int | None

    @property
    def best(self) -> Moment:
        """The one of least distance, the earliest of several."""
        return min(self.moments, key=lambda moment: moment.distance)

    @cached_property
    def gain(self) -> float:
        """The factor at which all is heard: one for all, since the level is part of what is learned."""
        sounds = [*self.hits, *(made for moment in self.moments for made in moment.made)]
        return PEAK / max(1e-3, *(float(np.abs(sound).max(initial=0)) for sound in sounds))


def moment(step: int, names: list[str], originals: list[np.ndarray], made: list[np.ndarray], sample_rate: int) -> Moment:
    """Judged by `figures`."""
    return Moment(step, names, made, [figures(x, y, sample_rate) for x, y in zip(originals, made, strict=True)])


def some_hits(clips: list[Clip], sample_rate: int, most: int) -> list[Clip]:
    """The hits of clips, `most` at most, from all over them."""
    return evenly([hit for clip in clips for hit in hits(clip, sample_rate, LONGER)], most)


def evenly(items: list, most: int) -> list:
    """`most` of them at most, the first and last among them, in their order."""
    return [items[i] for i in sorted({round(i) for i in np.linspace(0, len(items) - 1, min(most, len(items)))})]
