"""Evaluation of a model on held-out clips: reconstructions and the figures measured on them."""

from collections import Counter
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import soxr
from rich.table import Table
from rich.text import Text

from rave_lite.data import Clip, audio, outputs
from rave_lite.evaluation import pictures, vital_signs
from rave_lite.evaluation.figures import figures
from rave_lite.evaluation.memorisation import ReconstructedHits, known, memorisation, played
from rave_lite.evaluation.metrics import level_db
from rave_lite.evaluation.reconstruct import Reconstruction
from rave_lite.model import RAVE
from rave_lite.tables import make_table

PICTURED = 6
IN_FILES_ONLY = ("slope_db", "body_db", "decay_db_s", "high_in", "sharp_in", "sharp_out", "pan_in", "pan_out",
                 "corr_in", "corr_out")  # a terminal has 80 columns
GESTURE = ("onset_f1", "loudness", "order")  # figures of foreign inputs, by folder


def evaluate(model: RAVE, clips: list[Clip], out: Path, *, compared: list[Clip] | None = None,
             training: list[Clip] | None = None, seed: int = 0) -> dict[str, Any]:
    """Reconstruct every clip into `out`/wav, draw `out`/spectrograms.png, and return the report.

    `{"files": {name: figures}, "mean": figures, "silence_dbfs": output level for silent input}`; for a dead model also
    "warnings", a list of sentences. `compared`: clips that the model was trained on; with them the report also has
    "training": their mean figures, "gap": mean minus training, "clips": the number of held-out and of training clips, and
    "memorisation": how the reconstructions compare with the hits of all `training` clips (by default `compared`).
    """
    rate, play = model.sample_rate, Reconstruction(model)
    warnings = vital_signs.warnings(model)
    files: dict[str, dict[str, float]] = {}
    pairs: list[tuple[str, np.ndarray, np.ndarray]] = []
    held_out_hits: list[ReconstructedHits] = []
    names = names_of(clips)
    for name, wav, clip in zip(names, audio.as_wav(names), clips, strict=True):
        x, y = played_through(play, clip, seed)
        files[name] = figures(x, y, rate)
        outputs.save(out / "wav" / wav, y, rate)
        if len(pairs) < PICTURED:
            pairs.append((str(Path(name).with_suffix("")), audio.mix(x), audio.mix(y)))
        if compared:
            held_out_hits.append(played(clip, audio.mix(y), rate))
    report: dict[str, Any] = {
        "files": files, "mean": mean(list(files.values())),
        "silence_dbfs": level_db(play(np.zeros((1, 4 * rate), np.float32)))}
    report |= {"warnings": warnings} if warnings else {}
    rows = {"original": [x for _, x, _ in pairs], "model": [y for _, _, y in pairs]}
    pictures.save(pictures.spectrograms(rows, [name for name, _, _ in pairs], rate), out / "spectrograms.png")
    if compared:
        report |= compare_with_training(play, report["mean"], held_out_hits, compared, training or compared, seed)
    return report


def compare_with_training(play: Reconstruction, held_out_mean: dict[str, float], held_out_hits: list[ReconstructedHits],
                          compared: list[Clip], training: list[Clip], seed: int) -> dict[str, Any]:
    """The part of the report about training clips.

    `held_out_mean`: mean figures of the held-out clips. `compared`: the training clips to reconstruct. `training`: the clips
    whose hits reconstructions are compared with.
    """
    rows, training_hits = [], []
    for clip in compared:
        x, y = played_through(play, clip, seed)
        rows.append(figures(x, y, play.sample_rate))
        training_hits.append(played(clip, audio.mix(y), play.sample_rate))
    training_mean = mean(rows)
    return {"training": training_mean, "gap": {k: held_out_mean[k] - training_mean[k] for k in training_mean},
            "clips": {"held_out": len(held_out_hits), "training": len(compared)},
            "memorisation": memorisation(held_out_hits, training_hits, known(training, play.sample_rate))}


def played_through(play: Reconstruction, clip: Clip, seed: int,
                   sample_rate: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A clip and its reconstruction, `(T,)` each, or `(2, T)`. `sample_rate`: of the clip, Hz; by default the model's.

    A model of one channel plays the mix of two, and in both.
    """
    x = clip.sound()
    sound = x if play.model.channels == 2 else audio.mix(x)
    if sample_rate is None or sample_rate == play.sample_rate:
        output = play(np.atleast_2d(sound), seed=seed)
    else:
        output = play(np.atleast_2d(at_rate(sound, sample_rate, play.sample_rate)), seed=seed)
        output = at_rate(output, play.sample_rate, sample_rate)[:, : x.shape[-1]]
        output = np.pad(output, ((0, 0), (0, x.shape[-1] - output.shape[1])))
    return x, output[0] if x.ndim == 1 else np.broadcast_to(output, x.shape)


def at_rate(x: np.ndarray, rate: int, to: int) -> np.ndarray:
    """A sound `(T,)` or `(channels, T)` at another rate."""
    return x if rate == to else soxr.resample(x.T, rate, to).T


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {k: float(np.mean([row[k] for row in rows])) for k in rows[0]}


def names_of(clips: list[Clip]) -> list[str]:
    """A name per clip: its file's name, numbered where a file has several clips: `roll.2.wav`."""
    seen: Counter[str] = Counter()
    clips_of = Counter(clip.source for clip in clips)
    names = []
    for clip in clips:
        seen[clip.source] += 1
        path = PurePath(clip.source)
        several = clips_of[clip.source] > 1
        names.append(str(path.with_name(f"{path.stem}.{seen[clip.source]}{path.suffix}")) if several else clip.source)
    return names


def table(report: dict[str, Any], title: str) -> Table:
    """The main figures as a table: a row per file, the mean, and where there are any the training mean and the gap."""
    shown = [key for key in report["mean"] if key not in IN_FILES_ONLY]
    last = [(name, report[name]) for name in ("mean", "training", "gap") if name in report]
    rows = [[Text(cell, "bold" if row is report["mean"] else "") for cell in (name, *(f"{row[key]:.2f}" for key in shown))]
            for name, row in [*report["files"].items(), *last]]
    return make_table(("file", *shown), rows, left=("file",), title=title)


def summary(report: dict[str, Any]) -> str:
    """The parts of the report that `table` does not show, as lines of text."""
    lines = [f"warning: {warning}" for warning in report.get("warnings", [])]
    lines += [f"silence gives {report['silence_dbfs']:.0f} dBFS"]
    if comparison := report.get("memorisation"):
        hits, training_hits = comparison["held_out_hits"], comparison["training_hits"]
        lines += [f"training: mean of {report['clips']['training']} clips of like length; gap: held-out minus training"]
        if "memorised" in comparison:
            lines += [f"memorised {comparison['memorised']:.2f}: the reconstructions of "
                      f"{comparison['held_out_share']:.0%} of {hits} held-out hits are nearer to one of {training_hits} "
                      f"training hits than to their own reference, and those of "
                      f"{comparison['training_share']:.0%} of training hits (by file)"]
        else:
            lines += [f"memorised: training hits are too few to tell ({training_hits})"]
    if foreign := report.get("transfer"):
        lines += [f"{name}: inputs together {distances['inputs']:.2f}, outputs {distances['outputs']:.2f}; held-out "
                  f"recordings {distances['held_out']:.2f}" for name, distances in foreign["together"].items()]
        lines += [f"{folder}: " + ", ".join(f"{name} {group['mean'][name]:.2f}" for name in GESTURE) + "; " + ", ".join(
            f"{name}: inputs {distances['inputs']:.2f}, outputs {distances['outputs']:.2f}"
            for name, distances in group["together"].items()) for folder, group in foreign.get("groups", {}).items()]
    return "\n".join(lines)
