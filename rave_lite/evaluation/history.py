"""History of a training run: reconstructions of the same hits after increasing numbers of steps."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
from rich.progress import track

from rave_lite.data import Clip, audio
from rave_lite.errors import InputError
from rave_lite.evaluation import vital_signs
from rave_lite.evaluation.evaluate import names_of
from rave_lite.evaluation.figures import figures
from rave_lite.evaluation.hits import hits
from rave_lite.evaluation.reconstruct import Reconstruction
from rave_lite.evaluation.recordings import to_judge
from rave_lite.model import RAVE, read_checkpoint

PEAK = 0.9  # peak level of the loudest sound of a history when it is played
STEP_PREFIX = "step-"  # of the names of checkpoints that are kept on the way
HINT = "train with callbacks.checkpoints.keep=1000 to keep one of every so many steps"


@dataclass(frozen=True)
class Moment:
    """The model after `step` steps: `reconstructions` `(T,)` or `(2, T)`, one of each hit; `names`: its checkpoints."""

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
    """Moments in the order of steps, for the `hits` `(T,)` or `(2, T)` called `names`.

    `boundary`: first step of phase 2, if any. `note`: a sentence on how to get a better history, if there is one.
    """

    sample_rate: int
    names: list[str]
    hits: list[np.ndarray]
    moments: list[Moment]
    boundary: int | None
    note: str = ""

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


def read_history(folder: Path, root: str | None = None, cache: str | None = None, *, files: int = 8, seconds: float = 2.0,
                 columns: int = 16, seed: int = 0) -> History:
    """The history of the run in `folder`, from its checkpoints; from its logged sounds if these show more steps and no
    checkpoint of a single step was kept.

    At most `files` hits, the first `seconds` of each, after at most `columns` steps. `root`: where the recordings are
    now, if they have moved. Raises InputError if there is no run, or its recordings are not known.
    """
    if not (folder / "checkpoints").is_dir():
        raise InputError(f"{folder}: no folder of a run, which would have checkpoints/ in it; say run=runs/NAME",
                         where="run")
    saved, sounds = _checkpoints(folder / "checkpoints"), _sound_folders(folder / "logs/csv")
    if not saved and not sounds:
        raise InputError(f"{folder}: no checkpoints in it, nor sounds that were logged; {HINT}", where="run")
    boundary = saved.get(folder / "checkpoints/phase1.ckpt")
    kept = any(path.stem.startswith(STEP_PREFIX) for path in saved)
    if not kept and len(sounds) > len(set(saved.values())):
        note = f"Sounds that were logged in training. For more hits and your own choice of them, {HINT}."
        return _from_sounds(sounds, files, seconds, columns, boundary, note)
    paths = {step: [p for p, at in saved.items() if at == step] for step in sorted(saved.values())}
    always_shown = {step for path, step in saved.items() if not path.stem.startswith(STEP_PREFIX)}
    steps = sorted({*evenly(list(paths), columns), *always_shown})
    newest = read_checkpoint(paths[steps[-1]][0])
    rate = newest.sample_rate
    clips = some_hits(to_judge(newest.settings, rate, root, cache, newest.architecture["channels"])[1], rate, files)
    originals = [clip.sound(0, round(seconds * rate)) for clip in clips]
    moments = [_reconstructed(step, paths[step], originals, rate, seed)
               for step in track(steps, "listening", transient=True)]
    note = "" if kept else f"This run kept no checkpoints on the way: {HINT}. Here are those that every run has."
    return History(rate, names_of(clips), originals, moments, boundary, note)


def _checkpoints(folder: Path) -> dict[Path, int]:
    """The checkpoints in a folder with their steps. Raises InputError if one cannot be read."""
    steps: dict[Path, int] = {}
    for path in sorted(p for p in folder.glob("*.ckpt") if not p.name.startswith(".")):
        number = path.stem.removeprefix(STEP_PREFIX)
        steps[path] = int(number) if number.isdecimal() else read_checkpoint(path).step
    return steps


def _reconstructed(step: int, paths: list[Path], originals: list[np.ndarray], sample_rate: int, seed: int) -> Moment:
    """The moment of `paths`, the checkpoints of one step. Prints a warning if the model is dead."""
    model = RAVE.from_checkpoint(paths[0])
    if model.sample_rate != sample_rate:
        raise InputError(f"a model for {model.sample_rate} Hz, the last one is for {sample_rate}: two runs?", where=paths[0])
    for warning in vital_signs.warnings(model, paths[0].name):
        print(f"warning: {warning}")
    reconstruct = Reconstruction(model)
    outputs = [reconstruct(np.atleast_2d(x), seed=seed).reshape(x.shape) for x in originals]
    return moment(step, [p.stem for p in paths if not p.stem.startswith(STEP_PREFIX)], originals, outputs, sample_rate)


def _sound_folders(folder: Path) -> dict[int, Path]:
    """The folders of sounds that `training.loggers.Tables` saved, by step; those of the latest start win."""
    starts = sorted(folder.glob("version_*/listening"), key=lambda path: int(path.parent.name.partition("_")[2]))
    return {int(path.name.partition("_")[2]): path for start in starts for path in sorted(start.glob("step_*"))
            if any(path.glob("held_out/*.wav"))}


def _from_sounds(sounds: dict[int, Path], files: int, seconds: float, columns: int, boundary: int | None,
                 note: str) -> History:
    """The history from logged sounds: of the hits that the last start of the run logged."""
    earliest = min(sounds[max(sounds)].parent.iterdir())  # holds the originals
    paths = sorted((earliest / "original").glob("*.wav"), key=lambda path: int(path.name.partition("_")[0]))[:files]
    rate = soundfile.info(paths[0]).samplerate
    read = lambda path: np.squeeze(audio.load(path, rate)[:, : round(seconds * rate)])
    originals = [read(path) for path in paths]
    steps = [step for step, path in sorted(sounds.items()) if all((path / "held_out" / p.name).exists() for p in paths)]
    moments = [moment(step, [], originals, [read(sounds[step] / "held_out" / p.name) for p in paths], rate)
               for step in track(evenly(steps, columns), "listening", transient=True)]
    return History(rate, [path.stem.partition("_")[2] for path in paths], originals, moments, boundary, note)
