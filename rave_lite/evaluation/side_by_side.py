"""Recordings beside what several models make of them, to be heard and compared."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from rave_lite.data import Catalogue, Clip
from rave_lite.evaluation.evaluate import mean, names_of, played_through
from rave_lite.evaluation.metrics import figures
from rave_lite.evaluation.reconstruct import Reconstruction
from rave_lite.evaluation.transfer import transfer
from rave_lite.model import RAVE

HELD_OUT, TRAINED_ON, ELSEWHERE, UNKNOWN = "held out", "trained on", "not of its set", "not known"  # to a model


@dataclass(frozen=True)
class ModelOutput:
    """What one model made, `(T,)`, its figures, and its `mark`: was the recording held out or trained on?"""

    sound: np.ndarray
    figures: dict[str, float]
    mark: str = ""


@dataclass(frozen=True)
class SideBySide:
    """A recording, `(T,)`, and what each model made of it. `start`: s, where in its file it begins; `whole`: s, uncut."""

    name: str
    original: np.ndarray
    made: list[ModelOutput]
    start: float = 0.0
    whole: float = 0.0


def recordings(models: list[RAVE], clips: list[tuple[str, Clip]], known: list[Catalogue | None], sample_rate: int,
               seed: int = 0, seconds: float = np.inf) -> Iterator[SideBySide]:
    """The first `seconds` of clips at `sample_rate` Hz, each with the `location` of its file, through every model.

    `known`: the recordings of each model's run, None where it knows none. A model of another rate gets the clip resampled;
    all figures are taken at `sample_rate`, so that models compare.
    """
    players = [Reconstruction(model) for model in models]
    for name, (place, whole) in zip(names_of([clip for _, clip in clips]), clips, strict=True):
        made, clip = [], shortened(whole, seconds, sample_rate)
        for play, found in zip(players, known, strict=True):
            x, y = played_through(play, clip, seed, sample_rate)
            made.append(ModelOutput(y, figures(x, y, sample_rate), mark(place, clip, found)))
        yield SideBySide(name, x, made, clip.start / sample_rate, len(whole) / sample_rate)


def foreign(models: list[RAVE], inputs: list[Clip], known: list[Catalogue | None], sample_rate: int,
            seed: int = 0, seconds: float = np.inf) -> tuple[list[SideBySide], list[dict[str, float]]]:
    """The first `seconds` of inputs through every model, with the figures of `transfer`, and per model those of them all.

    "target" is the training set of each model's run; without one there are the gesture's figures alone.
    """
    sounds: list[dict[str, np.ndarray]] = [{} for _ in models]
    cut = [shortened(clip, seconds, sample_rate) for clip in inputs]
    reports = [transfer(model, cut, {"target": found.train} if found else {}, found.held_out if found else [],
                        kept.__setitem__, seed=seed, sample_rate=sample_rate)
               for model, found, kept in zip(models, known, sounds, strict=True)]
    made = [SideBySide(name, clip.read(), [ModelOutput(kept[name], report["files"][name])
                                           for kept, report in zip(sounds, reports, strict=True)],
                       whole=len(whole) / sample_rate)
            for name, clip, whole in zip(names_of(inputs), cut, inputs, strict=True)]
    return made, [report["together"].get("target", {}) for report in reports]


def shortened(clip: Clip, seconds: float, sample_rate: int) -> Clip:
    return replace(clip, stop=clip.start + round(min(len(clip) / sample_rate, seconds) * sample_rate))


def location(root: str, source: str) -> str:
    """Where a file is, the same from any folder that it is in."""
    return root if root.endswith(f"/{source}") else f"{root.rstrip('/')}/{source}"


def mark(place: str, clip: Clip, found: Catalogue | None) -> str:
    """What a model, of whose run `found` are the recordings, had to do with the clip of the file at `place`."""
    if found is None:
        return UNKNOWN
    same = lambda c: location(found.root, c.source) == place or c.samples == clip.samples  # a copy has the same samples
    if any(c.start < clip.stop and clip.start < c.stop for c in found.train if same(c)):
        return TRAINED_ON
    inside = any(location(found.root, name) == place for name in found.entries)
    return HELD_OUT if inside or any(map(same, found.train + found.held_out)) else ELSEWHERE


def means(shown: list[SideBySide], model: int) -> dict[str, tuple[list[int], dict[str, float]]]:
    """Which recordings have each mark, and the mean figures of what the model of that number made of them."""
    made = [one.made[model] for one in shown]
    marks = sorted({one.mark for one in made}, key=(HELD_OUT, TRAINED_ON, ELSEWHERE, UNKNOWN, "").index)
    groups = {name: [i for i, one in enumerate(made) if one.mark == name] for name in marks}
    return {name: (group, mean([made[i].figures for i in group])) for name, group in groups.items()}
