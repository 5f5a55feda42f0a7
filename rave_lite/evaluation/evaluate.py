"""The held-out figures of a model, with the reconstructions they were measured on."""

import json
from collections import Counter
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import soxr
from rich.markup import escape
from rich.table import Table

from rave_lite.data import Clip, audio
from rave_lite.evaluation import pictures, vital_signs
from rave_lite.evaluation.memorisation import ReconstructedHits, known, memorisation, played
from rave_lite.evaluation.metrics import figures, level_db
from rave_lite.evaluation.reconstruct import Reconstruction
from rave_lite.files import replacing
from rave_lite.model import RAVE

PICTURED = 6


def evaluate(model: RAVE, clips: list[Clip], out: Path, *, heard: list[Clip] | None = None,
             training: list[Clip] | None = None, seed: int = 0) -> dict[str, Any]:
    """Reconstruct every clip into `out`/wav, and draw spectrograms.png beside; returns the figures.

    `{"files": {name: figures}, "mean": figures, "silence_dbfs": level of what silence gives}`. Of a dead model also
    "warnings": sentences. Where `heard` gives clips
    that the model was trained on, also their mean under "training", "gap": mean minus training, "clips": how many of
    either, and under "memorisation" how what is made compares with the hits of all `training` clips.
    """
    rate, play = model.sample_rate, Reconstruction(model)
    warnings = vital_signs.warnings(model)
    files: dict[str, dict[str, float]] = {}
    pairs: list[tuple[str, np.ndarray, np.ndarray]] = []
    answers: list[ReconstructedHits] = []
    names = names_of(clips)
    for name, wav, clip in zip(names, audio.as_wav(names), clips, strict=True):
        x, y = played_through(play, clip, seed)
        files[name] = figures(x, y, rate)
        audio.save(out / "wav" / wav, y, rate)
        if len(pairs) < PICTURED:
            pairs.append((str(Path(name).with_suffix("")), x, y))
        if heard:
            answers.append(played(clip, y, rate))
    report: dict[str, Any] = {
        "files": files, "mean": mean(list(files.values())),
        "silence_dbfs": level_db(play(np.zeros((1, 4 * rate), np.float32)))}
    report |= {"warnings": warnings} if warnings else {}
    rows = {"original": [x for _, x, _ in pairs], "model": [y for _, _, y in pairs]}
    pictures.save(pictures.spectrograms(rows, [name for name, _, _ in pairs], rate), out / "spectrograms.png")
    if heard:
        report |= compared(play, report["mean"], answers, heard, training or heard, seed)
    return report


def compared(play: Reconstruction, held_out: dict[str, float], answers: list[ReconstructedHits], heard: list[Clip],
             training: list[Clip], seed: int) -> dict[str, Any]:
    """The part of the report about training clips; `held_out`: mean figures, `answers`: to held-out clips."""
    each, familiar = [], []
    for clip in heard:
        x, y = played_through(play, clip, seed)
        each.append(figures(x, y, play.sample_rate))
        familiar.append(played(clip, y, play.sample_rate))
    usual = mean(each)
    return {"training": usual, "gap": {k: held_out[k] - usual[k] for k in usual},
            "clips": {"held_out": len(answers), "training": len(heard)},
            "memorisation": memorisation(answers, familiar, known(training, play.sample_rate))}


def played_through(play: Reconstruction, clip: Clip, seed: int,
                   sample_rate: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A clip and its reconstruction, `(T,)` each; `sample_rate`: the clip's, Hz, where it is not the model's."""
    x = clip.read()
    if sample_rate in (None, play.sample_rate):
        return x, play(x[None], seed=seed)[0]
    made = play(soxr.resample(x, sample_rate, play.sample_rate)[None], seed=seed)[0]
    y = soxr.resample(made, play.sample_rate, sample_rate)[: len(x)]
    return x, np.pad(y, (0, len(x) - len(y)))


def mean(each: list[dict[str, float]]) -> dict[str, float]:
    return {k: float(np.mean([one[k] for one in each])) for k in each[0]}


def save(report: dict[str, Any], out: Path) -> Path:
    """Write the figures to `out`/figures.json."""
    path = out / "figures.json"
    with replacing(path) as aside:
        aside.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    return path


def names_of(clips: list[Clip]) -> list[str]:
    """Their files' names; where one gives several clips they are numbered: `roll.2.wav`."""
    seen: Counter[str] = Counter()
    all_of = Counter(clip.source for clip in clips)
    names = []
    for clip in clips:
        seen[clip.source] += 1
        path = PurePath(clip.source)
        several = all_of[clip.source] > 1
        names.append(str(path.with_name(f"{path.stem}.{seen[clip.source]}{path.suffix}")) if several else clip.source)
    return names


def table(report: dict[str, Any], title: str) -> Table:
    """The report as a table: a row per file, the mean, and what there is to compare it with."""
    made = Table(title=title, title_justify="left")
    made.add_column("file", overflow="fold")
    for name in report["mean"]:
        made.add_column(name, justify="right", overflow="fold")
    last = [(name, report[name]) for name in ("mean", "training", "gap") if name in report]
    for name, row in [*report["files"].items(), *last]:
        style = "bold" if row is report["mean"] else ""
        made.add_row(escape(name), *(f"{value:.2f}" for value in row.values()), style=style)
    return made


def summary(report: dict[str, Any]) -> str:
    """What of the report a table does not hold."""
    said = [f"warning: {warning}" for warning in report.get("warnings", [])]
    said += [f"silence gives {report['silence_dbfs']:.0f} dBFS"]
    if found := report.get("memorisation"):
        hits, known = found["held_out_hits"], found["training_hits"]
        said += [f"training: mean of {report['clips']['training']} clips of like length; gap: held-out minus training"]
        said += [f"memorised {found['memorised']:.2f}: what is made of {found['held_out_share']:.0%} of {hits} held-out "
                 f"hits is nearer to one of {known} training hits than to its own reference, and of "
                 f"{found['training_share']:.0%} of training hits (by file)" if "memorised" in found else
                 f"memorised: training hits are too few to tell ({known})"]
    if found := report.get("transfer"):
        said += [f"{name}: inputs together {far['inputs']:.2f}, outputs {far['outputs']:.2f}; held-out recordings "
                 f"{far['held_out']:.2f}" for name, far in found["together"].items()]
    return "\n".join(said)
