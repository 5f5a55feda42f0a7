"""The held-out figures of a model, with the reconstructions they were measured on."""

import json
from collections import Counter
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from rave_lite.data import Clip, audio
from rave_lite.evaluation import pictures
from rave_lite.evaluation.metrics import figures, level_db
from rave_lite.evaluation.reconstruct import reconstruct
from rave_lite.model import RAVE

PICTURED = 6


def evaluate(model: RAVE, clips: list[Clip], out: Path, *, seed: int = 0) -> dict[str, Any]:
    """Reconstruct every clip into `out`/wav, and write figures.json and spectrograms.png beside; returns the figures.

    `{"files": {name: figures}, "mean": figures, "silence_dbfs": level of what silence gives}`.
    """
    rate = model.sample_rate
    report: dict[str, Any] = {"files": {}}
    pairs = []
    for name, clip in zip(names_of(clips), clips, strict=True):
        x = clip.read()[None]
        y = reconstruct(model, x, seed=seed)
        report["files"][name] = figures(x[0], y[0], rate)
        audio.save((out / "wav" / name).with_suffix(".wav"), y, rate)
        pairs.append((str(Path(name).with_suffix("")), x[0], y[0]))
    kinds = next(iter(report["files"].values())).keys()
    report["mean"] = {k: float(np.mean([f[k] for f in report["files"].values()])) for k in kinds}
    report["silence_dbfs"] = level_db(reconstruct(model, np.zeros((1, 4 * rate), np.float32)))
    (out / "figures.json").write_text(json.dumps(report, indent=2) + "\n")
    shown = pairs[:PICTURED]
    rows = {"original": [x for _, x, _ in shown], "model": [y for _, _, y in shown]}
    pictures.save(pictures.spectrograms(rows, [name for name, _, _ in shown], rate), out / "spectrograms.png")
    return report


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


def table(report: dict[str, Any]) -> Table:
    """The report as a table: a row per file, the mean last."""
    made = Table(title=f"held-out figures; silence gives {report['silence_dbfs']:.0f} dBFS", title_justify="left")
    made.add_column("file", overflow="fold")
    for name in report["mean"]:
        made.add_column(name, justify="right")
    for name, row in [*report["files"].items(), ("mean", report["mean"])]:
        style = "bold" if row is report["mean"] else ""
        made.add_row(escape(name), *(f"{value:.2f}" for value in row.values()), style=style)
    return made
