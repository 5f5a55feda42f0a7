"""The listening page: recordings beside their reconstructions by several models."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from rave_lite.data import audio
from rave_lite.evaluation import levels, pictures
from rave_lite.evaluation.side_by_side import SideBySide, means
from rave_lite.pages import page

WIDTH, HEIGHT = 640, 96  # pixels of the longest spectrogram
COLUMNS = 320  # of the outline of a waveform
# figures where lower is better
LOWER = ("spectral", "mel_db", "loud_db", "attack_db", "slope_db", "body_db", "decay_db_s", "out_to_target", "pan_db",
         "corr")
HIGHER = ("onset_f1", "loudness", "order")


def write(path: Path, models: list[str], recordings: list[SideBySide], foreign: list[SideBySide],
          together: list[dict[str, float]], sample_rate: int, more: Iterable[str] = ()) -> None:
    """Writes the page: per recording, the original and each model's output in sync, with pictures and figures; a blind test.

    `models`: their names, each different. `together`: per model, the figures of all `foreign` sounds together. `more`:
    sections about the models' latents, HTML.
    """
    own, others = ([article(f"{group}{number}", row, models, sample_rate) for number, row in enumerate(shown)]
                   for group, shown in (("own", recordings), ("foreign", foreign)))
    name = hashlib.sha256("".join(own + others).encode()).hexdigest()[:12]
    body = page.render("listen.html", id=name, rate=sample_rate, models=models, more=more, recordings=own, foreign=others,
                       recordings_mean=mean_table(models, recordings), foreign_mean=mean_table(models, foreign),
                       timbre=timbre_table(models, together))
    page.write(path, f"Listen: {', '.join(models)}", body, "listen", "blind", "latents")


def mean_table(models: list[str], shown: list[SideBySide]) -> str:
    """Mean figures per mark and model; the best of a mark is bold if all models have the same recordings."""
    means_by_model = [means(shown, number) for number in range(len(models))]
    groups = []
    for mark in dict.fromkeys(mark for one in means_by_model for mark in one):
        rows = [(model, *one[mark]) for model, one in zip(models, means_by_model, strict=True) if mark in one]
        same = all(sounds == rows[0][1] for _, sounds, _ in rows)
        count = str(len(rows[0][1])) if same else f"different ones: {', '.join(str(len(sounds)) for _, sounds, _ in rows)}"
        cells = [(model, [(value, same and best(name, values, [other for _, _, other in rows]))
                          for name, value in values.items()]) for model, _, values in rows]
        groups.append((mark, count, cells))
    return table("Mean", list(shown[0].outputs[0].figures) if shown else [], groups)


def timbre_table(models: list[str], together: list[dict[str, float]]) -> str:
    """Distance of all foreign sounds to the timbre of each model's training set; empty if none is known."""
    rows = [(model, [(value, False) for value in distances.values()])
            for model, distances in zip(models, together, strict=False) if distances]
    return table("Distance to the timbre", list(next(filter(None, together))), [("", "", rows)]) if rows else ""


def table(title: str, columns: list[str], groups: list[tuple[str, str, list]]) -> str:
    """An HTML table of groups of rows: (mark, number of sounds or "", [(model, [(value, is the best)])])."""
    return Markup("".join(page.render("table.html", title=title, columns=columns, groups=groups)))


def best(name: str, figures: dict[str, float], rivals: list[dict[str, float]]) -> bool:
    """Whether a figure is the best of `rivals`. False if all are equal, no direction is better, or their targets differ."""
    values = [rival[name] for rival in rivals]
    if name not in LOWER + HIGHER or min(values) == max(values):
        return False
    if name == "out_to_target" and len({rival.get("in_to_target") for rival in rivals}) > 1:
        return False
    return figures[name] == (min if name in LOWER else max)(values)


def article(group: str, recording: SideBySide, models: list[str], sample_rate: int) -> str:
    """One recording: a player and a row per version. The mark is in the heading if all models share it, else in each row."""
    sounds = [recording.original, *(output.sound for output in recording.outputs)]
    equal_gains, original_gains = levels.matched(sounds, sample_rate), levels.unclipped(sounds, [1.0] * len(sounds))
    loud = [gain * audio.mix(sound) for gain, sound in zip(equal_gains, sounds, strict=True)]
    scale = max(1e-6, *map(audio.peak, loud))
    top = pictures.brightest(loud[0], sample_rate)
    marks = {output.mark for output in recording.outputs}
    rows = []
    for number, (name, output) in enumerate(zip(("original", *models), (None, *recording.outputs), strict=True)):
        stored = max(1.0, audio.peak(sounds[number]))  # what page.flac divides by
        rows.append({"name": name, "equal": stored * equal_gains[number], "original": stored * original_gains[number],
                     "flac": page.flac(sounds[number], sample_rate), "mark": output.mark if output else "",
                     "figures": output.figures if output else None, **picture(loud[number], scale, top, sample_rate)})
    return Markup("".join(page.render("article.html", group=group, name=recording.name, start=recording.start, rows=rows,
                                      seconds=recording.original.shape[-1] / sample_rate, whole=recording.whole,
                                      mark=marks.pop() if len(marks) == 1 else "")))


def picture(sound: np.ndarray, scale: float, top: float, sample_rate: int) -> dict[str, Any]:
    """Waveform over spectrogram, over the whole sound. `scale`: amplitude at full height; `top`: dB at full brightness."""
    low, high = (np.round(100 - 100 * edge / scale).astype(int) for edge in pictures.outline(sound, COLUMNS))
    count = len(low)
    points = [f"{x},{y}" for x, y in enumerate(high)] + [f"{x},{low[x]}" for x in reversed(range(count))]
    width = min(WIDTH, 1 + len(sound) // 128)  # no wider than the spectrogram has frames; the browser widens it smoothly
    return {"outline": " ".join(points), "columns": count - 1 or 1,
            "picture": pictures.thumbnail(sound, sample_rate, width, height=HEIGHT, top=top)}
