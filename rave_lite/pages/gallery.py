"""The gallery page: plays a run's reconstructions as it learns; a row per hit, a column per step."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from rave_lite.data import audio
from rave_lite.evaluation import pictures
from rave_lite.evaluation.history import History, Moment
from rave_lite.pages import page

WIDTH = 160  # pixels of a picture


def write(path: Path, history: History, *, run: str, note: str = "") -> None:
    """Writes the page: recordings, their reconstruction at each step as playable pictures, figures, and the distance curve.

    All sounds play at one gain; the pictures of a row share one scale. `run`: the run's name; `note`: a further paragraph.
    """
    columns = [(moment, classes(moment, history), heights)
               for moment, heights in zip(history.moments, courses(history.moments), strict=True)]
    body = page.render("gallery.html", run=run, note=note, columns=columns, rows=rows(history), best=history.best,
                       last=history.moments[-1])
    page.write(path, f"How {run} learned", body, "gallery")


def courses(moments: list[Moment]) -> list[tuple[float, float, float]]:
    """Heights of the curve at the left edge, middle and right edge of each column: percent from the top, where the
    largest distance is."""
    distances = [moment.distance for moment in moments]
    low, high = min(distances), max(distances)
    heights = [90 - 80 * (distance - low) / max(high - low, 1e-9) for distance in distances]
    edges = [heights[0], *((a + b) / 2 for a, b in pairwise(heights)), heights[-1]]
    return list(zip(edges, heights, edges[1:], strict=False))


def classes(moment: Moment, history: History) -> str:
    """CSS classes of a column: `least` for the nearest, `phase2` for the first that was trained in phase 2."""
    phase2 = [m for m in history.moments if history.boundary is not None and m.step > history.boundary]
    return " ".join(["least"] * (moment is history.best) + ["phase2"] * (bool(phase2) and moment is phase2[0]))


def rows(history: History) -> Iterator[dict[str, Any]]:
    """The rows of the table: a recording, and a cell per step."""
    for number, (name, hit) in enumerate(zip(history.names, history.hits, strict=True)):
        top = pictures.brightest(audio.mix(hit), history.sample_rate)
        recording, *cells = (page.playable(sound, history.sample_rate, WIDTH, top=top, gain=history.gain)
                             for sound in (hit, *(moment.reconstructions[number] for moment in history.moments)))
        yield {"name": name, "seconds": hit.shape[-1] / history.sample_rate, "recording": recording, "cells": cells}
