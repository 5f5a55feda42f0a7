"""The gallery page: plays a run's reconstructions as it learns; a row per hit, a column per step."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from string import Template

import numpy as np

from rave_lite.evaluation import pictures
from rave_lite.evaluation.history import History, Moment
from rave_lite.pages import page
from rave_lite.pages.page import escaped

WIDTH, HEIGHT = 160, 72  # pixels of a picture


def write(path: Path, history: History, *, run: str, note: str = "") -> None:
    """Writes the page: recordings, their reconstruction at each step as playable pictures, figures, and the distance curve.

    All sounds play at one gain; the pictures of a row share one scale. `run`: the run's name; `note`: a further paragraph.
    """
    page.write(path, f"How {run} learned", body(history, run, note), "gallery")


def body(history: History, run: str, note: str) -> Iterator[str]:
    best, last = history.best, history.moments[-1]
    remark = "the last one here: it may still be learning" if best is last else f"before the last one, {last.step:,}"
    verdict = f"Nearest to the recordings: step {best.step:,}, {remark}."
    yield Template(page.text("gallery.html")).substitute(run=escaped(run), verdict=escaped(verdict), note=escaped(note))
    yield '<div id="grid" tabindex="-1"><table>\n<thead><tr><th scope="col">Recording</th>'
    for number, (moment, course) in enumerate(zip(history.moments, courses(history.moments), strict=True), 1):
        yield heading(moment, course, number, history)
    yield "</tr></thead>\n<tbody>\n"
    for number, (name, hit) in enumerate(zip(history.names, history.hits, strict=True)):
        yield from row(history, number, name, hit)
    yield "</tbody></table></div>"


def heading(moment: Moment, course: tuple[float, float, float], number: int, history: History) -> str:
    """A column's head: the step, its checkpoints, and its piece of the curve, which joins those of its neighbours."""
    left, here, right = course
    names = "".join(f'<span class="chip">{escaped(name)}</span>' for name in moment.names)
    best = '<span class="chip least">nearest</span>' if moment is history.best else ""
    return (f'<th scope="col" class="{classes(moment, history)}"><div class="curve"><svg viewBox="0 0 100 100" '
            f'preserveAspectRatio="none" aria-hidden="true"><path d="M0 {left:.1f}L50 {here:.1f}L100 {right:.1f}"/></svg>'
            f'<i style="top: {here:.1f}%"></i></div><b title="mean distance of this column">{moment.distance:.2f}</b>'
            f'<button type="button" class="all" data-column="{number}" aria-label="Play the column of step {moment.step}">'
            f'{moment.step:,}</button><span class="chips">{names}{best}</span></th>')


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


def row(history: History, number: int, name: str, hit: np.ndarray) -> Iterator[str]:
    """A row of the table: the recording, then a cell per step."""
    top = float(pictures.log_mel(np.pad(hit, (0, max(0, 1024 - len(hit)))), history.sample_rate).max())
    shown = escaped(name)

    def cell(sound: np.ndarray, label: str) -> str:
        picture = page.base64(pictures.thumbnail(sound, history.sample_rate, WIDTH, height=HEIGHT, top=top))
        played = page.base64(page.mp3(sound * history.gain, history.sample_rate))
        return (f'<button type="button" class="play" tabindex="-1" aria-label="Play {shown}, {label}" data-sound="{played}">'
                f'<img alt="" loading="lazy" width="{WIDTH}" height="{HEIGHT}" src="data:image/webp;base64,{picture}">'
                f'</button>')

    yield (f'<tr><th scope="row">{cell(hit, "the recording")}<button type="button" class="all" data-row="{number}" '
           f'aria-label="Play {shown} from the first step to the last"><span class="name">{shown}</span></button>'
           f'<small>{len(hit) / history.sample_rate:.2f} s</small></th>')
    for moment in history.moments:
        figures = moment.figures[number]
        yield (f'<td class="{classes(moment, history)}">{cell(moment.reconstructions[number], f"step {moment.step}")}'
               f'<small><span title="spectral distance">{figures["spectral"]:.1f}</span> '
               f'<span title="mel distance, dB">{figures["mel_db"]:.1f} dB</span></small></td>')
    yield "</tr>\n"
