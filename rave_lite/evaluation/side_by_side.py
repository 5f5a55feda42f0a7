"""Recordings beside what several models make of them, to be heard and compared."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rave_lite.data import Catalogue, Clip
from rave_lite.evaluation.evaluate import mean, names_of, played_through
from rave_lite.evaluation.metrics import figures
from rave_lite.evaluation.reconstruct import Reconstruction
from rave_lite.evaluation.transfer import transfer
from rave_lite.model import RAVE

HELD_OUT, TRAINED_ON, ELSEWHERE, UNKNOWN = "held out", "trained on", "not of its set", "not known"  # to a model


@dataclass(frozen=True)
class Made:
    """What one model made, `(T,)`, its figures, and its `mark`: was the recording held out or trained on?"""

    sound: np.ndarray
    figures: dict[str, float]
    mark: str = ""


@dataclass(frozen=True)
class SideBySide:
    """A recording, `(T,)`, and what each model made of it. `start`: s, where in its file it begins."""

    name: str
    original: np.ndarray
    made: list[Made]
    start: float = 0.0


def recordings(models: list[RAVE], clips: list[tuple[str, Clip]], known: list[Catalogue | None], sample_rate: int,
               seed: int = 0) -> Iterator[SideBySide]:
    """Clips, each with the `location` of its file, at `sample_rate` Hz, one after the other through every model.

    `known`: the recordings of each model's run, None where it knows none. A model of another rate gets the clip resampled;
    all figures are taken at `sample_rate`, so that models compare.
    """
    players = [Reconstruction(model) for model in models]
    for name, (place, clip) in zip(names_of([clip for _, clip in clips]), clips, strict=True):
        made = []
        for play, found in zip(players, known, strict=True):
            x, y = played_through(play, clip, seed, sample_rate)
            made.append(Made(y, figures(x, y, sample_rate), mark(place, clip, found)))
        yield SideBySide(name, x, made, clip.start / sample_rate)


def foreign(models: list[RAVE], inputs: list[Clip], known: list[Catalogue | None], sample_rate: int,
            seed: int = 0) -> tuple[list[SideBySide], list[dict[str, float]]]:
    """Inputs through every model, with the figures of `transfer`, and per model those of all inputs together.

    "target" is the training set of each model's run; without one there are the gesture's figures alone.
    """
    sounds: list[dict[str, np.ndarray]] = [{} for _ in models]
    reports = [transfer(model, inputs, {"target": found.train} if found else {}, found.held_out if found else [],
                        kept.__setitem__, seed=seed, sample_rate=sample_rate)
               for model, found, kept in zip(models, known, sounds, strict=True)]
    made = [SideBySide(name, clip.read(), [Made(kept[name], report["files"][name])
                                           for kept, report in zip(sounds, reports, strict=True)])
            for name, clip in zip(names_of(inputs), inputs, strict=True)]
    return made, [report["together"].get("target", {}) for report in reports]


def location(root: str, source: str) -> str:
    """Where a file is, the same from any folder that it is in."""
    return root if root.endswith(f"/{source}") else f"{root.rstrip('/')}/{source}"


def mark(place: str, clip: Clip, found: Catalogue | None) -> str:
    """What a model, of whose run `found` are the recordings, had to do with the clip of the file at `place`."""
    if found is None:
        return UNKNOWN
    heard = (c for c in found.train if location(found.root, c.source) == place)
    if any(c.start < clip.stop and clip.start < c.stop for c in heard):
        return TRAINED_ON
    return HELD_OUT if any(location(found.root, name) == place for name in found.entries) else ELSEWHERE


def means(shown: list[SideBySide], model: int) -> dict[str, tuple[int, dict[str, float]]]:
    """How many recordings there are of each mark, and the mean figures of what the model of that number made of them."""
    made = [one.made[model] for one in shown]
    marks = sorted({one.mark for one in made}, key=(HELD_OUT, TRAINED_ON, ELSEWHERE, UNKNOWN, "").index)
    groups = {name: [one.figures for one in made if one.mark == name] for name in marks}
    return {name: (len(group), mean(group)) for name, group in groups.items()}
