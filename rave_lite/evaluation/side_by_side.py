"""Recordings side by side with the outputs of several models, for comparison by ear."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rave_lite.data import Catalogue, Clip
from rave_lite.evaluation.evaluate import mean, names_of, played_through
from rave_lite.evaluation.figures import figures
from rave_lite.evaluation.reconstruct import Reconstruction
from rave_lite.evaluation.transfer import transfer
from rave_lite.model import RAVE, Checkpoint

HELD_OUT, TRAINED_ON, ELSEWHERE, UNKNOWN = "held out", "trained on", "not of its set", "not known"  # to a model


@dataclass(frozen=True)
class ModelOutput:
    """A model's output `(T,)`, or `(2, T)`, its figures, and the `mark` of the recording: held out, trained on, ...?"""

    sound: np.ndarray
    figures: dict[str, float]
    mark: str = ""


@dataclass(frozen=True)
class SideBySide:
    """A recording `(T,)`, or `(2, T)`, and the models' `outputs`. `start`: in its file, s; `whole`: its whole length, s."""

    name: str
    original: np.ndarray
    outputs: list[ModelOutput]
    start: float = 0.0
    whole: float = 0.0


def recordings(models: list[RAVE], clips: list[tuple[str, Clip]], known: list[Catalogue | None], sample_rate: int,
               seed: int = 0, seconds: float = np.inf) -> Iterator[SideBySide]:
    """Reconstructions of the first `seconds` of each clip by every model; `clips`: pairs of a file's `location` and a clip.

    `known`: the catalogue of each model's run, None if it is not known. Clips are resampled for models of another rate; all
    figures are measured at `sample_rate` (Hz, of the clips), so that models are comparable.
    """
    players = [Reconstruction(model) for model in models]
    for name, (place, whole) in zip(names_of([clip for _, clip in clips]), clips, strict=True):
        outputs, clip = [], shortened(whole, seconds, sample_rate)
        for play, catalogue in zip(players, known, strict=True):
            x, y = played_through(play, clip, seed, sample_rate)
            outputs.append(ModelOutput(y, figures(x, y, sample_rate), mark(place, clip, catalogue)))
        yield SideBySide(name, x, outputs, clip.start / sample_rate, len(whole) / sample_rate)


def foreign(models: list[RAVE], inputs: list[Clip], known: list[Catalogue | None], sample_rate: int,
            seed: int = 0, seconds: float = np.inf,
            calibrate: float = 0.0, envelope: float = 0.0) -> tuple[list[SideBySide], list[dict[str, float]]]:
    """Outputs of every model for the first `seconds` of foreign inputs, and each model's figures for all inputs together.

    The figures are those of `transfer`, as are `calibrate` and `envelope`. The set "target" is the training set of the
    model's run; if that is not known, no timbre is measured.
    """
    sounds: list[dict[str, np.ndarray]] = [{} for _ in models]
    clips = [shortened(clip, seconds, sample_rate) for clip in inputs]
    reports = [transfer(model, clips, {"target": catalogue.train} if catalogue else {},
                        catalogue.held_out if catalogue else [], outputs.__setitem__, seed=seed, sample_rate=sample_rate,
                        calibrate=calibrate, envelope=envelope)
               for model, catalogue, outputs in zip(models, known, sounds, strict=True)]
    shown = [SideBySide(name, clip.sound(), [ModelOutput(outputs[name], report["files"][name])
                                            for outputs, report in zip(sounds, reports, strict=True)],
                        whole=len(whole) / sample_rate)
             for name, clip, whole in zip(names_of(inputs), clips, inputs, strict=True)]
    return shown, [report["together"].get("target", {}) for report in reports]


def shortened(clip: Clip, seconds: float, sample_rate: int) -> Clip:
    """The first `seconds` of a clip, or all of a shorter one."""
    return replace(clip, stop=clip.start + round(min(len(clip) / sample_rate, seconds) * sample_rate))


def location(root: str, source: str) -> str:
    """Path of the file `source` below `root`, or `root` itself if it is that file; the same for every root above it."""
    return root if root.endswith(f"/{source}") else f"{root.rstrip('/')}/{source}"


def mark(place: str, clip: Clip, catalogue: Catalogue | None) -> str:
    """Was this clip of the file at `place` held out, trained on, outside the set or unknown? `catalogue`: of the run."""
    if catalogue is None:
        return UNKNOWN
    same_file = lambda c: location(catalogue.root, c.source) == place or c.samples == clip.samples  # or a copy of it
    if any(c.start < clip.stop and clip.start < c.stop for c in catalogue.train if same_file(c)):
        return TRAINED_ON
    inside = any(location(catalogue.root, name) == place for name in catalogue.entries)
    return HELD_OUT if inside or any(map(same_file, catalogue.train + catalogue.held_out)) else ELSEWHERE


def means(shown: list[SideBySide], model: int) -> dict[str, tuple[list[int], dict[str, float]]]:
    """By mark: the numbers of the recordings that have it, and the mean figures of the outputs of model number `model`."""
    outputs = [recording.outputs[model] for recording in shown]
    marks = sorted({output.mark for output in outputs}, key=(HELD_OUT, TRAINED_ON, ELSEWHERE, UNKNOWN, "").index)
    groups = {name: [i for i, output in enumerate(outputs) if output.mark == name] for name in marks}
    return {name: (group, mean([outputs[i].figures for i in group])) for name, group in groups.items()}


def labels(paths: list[Path], checkpoints: list[Checkpoint]) -> list[str]:
    """Different labels for the models: run names; if some are equal, names with steps, folders with steps, or numbered."""
    runs = [str(saved.settings["name"]) for saved in checkpoints]
    folders = [path.resolve().parent.parent.name for path in paths]
    run_labels, folder_labels = ([f"{name} step {saved.step}" for name, saved in zip(names, checkpoints, strict=True)]
                                 for names in (runs, folders))
    numbers = [f"{name} ({number})" for number, name in enumerate(run_labels, 1)]
    return next(names for names in (runs, run_labels, folder_labels, numbers) if len(set(names)) == len(names))
