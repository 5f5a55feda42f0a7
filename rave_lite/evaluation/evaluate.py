"""The held-out figures of a model, with the reconstructions they were measured on."""

import json
from pathlib import Path
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
    for clip in clips:
        x = clip.read()[None]
        y = reconstruct(model, x, seed=seed)
        report["files"][clip.source] = figures(x[0], y[0], rate)
        audio.save((out / "wav" / clip.source).with_suffix(".wav"), y, rate)
        pairs.append((str(Path(clip.source).with_suffix("")), x[0], y[0]))
    names = next(iter(report["files"].values())).keys()
    report["mean"] = {k: float(np.mean([f[k] for f in report["files"].values()])) for k in names}
    report["silence_dbfs"] = level_db(reconstruct(model, np.zeros((1, 4 * rate), np.float32)))
    (out / "figures.json").write_text(json.dumps(report, indent=2) + "\n")
    shown = pairs[:PICTURED]
    rows = {"original": [x for _, x, _ in shown], "model": [y for _, _, y in shown]}
    pictures.save(pictures.spectrograms(rows, [name for name, _, _ in shown], rate), out / "spectrograms.png")
    return report


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
