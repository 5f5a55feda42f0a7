"""The listening page: recordings beside their reconstructions by several models."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from string import Template

import numpy as np

from rave_lite.evaluation import levels, pictures
from rave_lite.evaluation.side_by_side import HELD_OUT, TRAINED_ON, SideBySide, means
from rave_lite.pages import page
from rave_lite.pages.page import escaped

WIDTH, HEIGHT = 640, 96  # pixels of the longest spectrogram
COLUMNS = 320  # of the outline of a waveform
LOWER = ("spectral", "mel_db", "loud_db", "out_to_target")  # figures where lower is better
HIGHER = ("onset_f1", "loudness")
CLASSES = {HELD_OUT: "held", TRAINED_ON: "trained"}
INTRODUCTION = {
    "own": "<h2>Recordings</h2>\n<p>spectral, mel_db, loud_db: distance from the original, lower is better; onset_f1: hits "
           "at the right moment, 1 is all of them.</p>",
    "foreign": "<h2>Foreign sounds</h2>\n<p>onset_f1 and loudness: how much of the gesture is kept, 1 is all of it. "
               "out_to_target below in_to_target: the timbre of the training set is taken; held_out is what its own "
               "recordings reach. high: the share above 4 kHz.</p>"}
ARTICLE = """<article class="file" data-name="$name" data-seconds="$exact">
<h3><span class="name">$name</span> $chip <small>$seconds&nbsp;s$where</small></h3>
<div class="transport"><button type="button" class="toggle" aria-label="Play $name"></button>
<input type="range" class="at" min="0" max="$exact" step="any" value="0" aria-label="Position in $name, seconds">
<output class="time" aria-hidden="true">0.00 / $seconds s</output></div>
<div class="rows" role="radiogroup" aria-label="Version of $name">
$rows</div></article>
"""


def write(path: Path, models: list[str], recordings: list[SideBySide], foreign: list[SideBySide],
          together: list[dict[str, float]], sample_rate: int, more: Iterable[str] = ()) -> None:
    """Writes the page: per recording, the original and each model's output in sync, with pictures and figures; a blind test.

    `models`: their names, each different. `together`: per model, the figures of all `foreign` sounds together. `more`:
    sections about the models' latents.
    """
    page.write(path, f"Listen: {', '.join(models)}", body(models, recordings, foreign, together, sample_rate, more),
               "listen", "blind", "latents")


def body(models: list[str], recordings: list[SideBySide], foreign: list[SideBySide], together: list[dict[str, float]],
         sample_rate: int, more: Iterable[str]) -> Iterator[str]:
    """The head, a section for the recordings and one for foreign sounds, and `more`."""
    groups = {"own": recordings, "foreign": foreign}
    sections = {group: [article(f"{group}{number}", row, models, sample_rate) for number, row in enumerate(shown)]
                for group, shown in groups.items() if shown}
    name = hashlib.sha256("".join(text for articles in sections.values() for text in articles).encode()).hexdigest()[:12]
    yield Template(page.text("listen.html")).substitute(id=name, rate=sample_rate, blind=page.text("blind.html"),
                                                        models=", ".join(map(escaped, models)))
    yield "<main>\n"
    for group, articles in sections.items():
        yield f'<section id="{group}">{INTRODUCTION[group]}\n{mean_table(models, groups[group])}\n'
        yield timbre_table(models, together) if group == "foreign" else ""
        yield '<div class="files">\n'
        yield from articles
        yield "</div></section>\n"
    yield from more
    yield "</main>"


def mean_table(models: list[str], shown: list[SideBySide]) -> str:
    """Mean figures per mark and model; the best of a mark is bold if all models have the same recordings."""
    means_by_model = [means(shown, number) for number in range(len(models))]
    groups = []
    for mark in dict.fromkeys(mark for one in means_by_model for mark in one):
        rows = [(model, *one[mark]) for model, one in zip(models, means_by_model, strict=True) if mark in one]
        same = all(sounds == rows[0][1] for _, sounds, _ in rows)
        count = str(len(rows[0][1])) if same else f"different ones: {', '.join(str(len(sounds)) for _, sounds, _ in rows)}"
        groups.append((f"{chip(mark)} <small>{count} {'sound' if count == '1' else 'sounds'}</small>", [
            (escaped(model),
             [f"<b>{value:.2f}</b>" if same and best(name, values, [other for _, _, other in rows]) else f"{value:.2f}"
              for name, value in values.items()]) for model, _, values in rows]))
    return table("Mean", list(shown[0].outputs[0].figures), groups)


def timbre_table(models: list[str], together: list[dict[str, float]]) -> str:
    """Distance of all foreign sounds to the timbre of each model's training set; empty if none is known."""
    rows = [(escaped(model), [f"{value:.2f}" for value in distances.values()])
            for model, distances in zip(models, together, strict=False) if distances]
    return table("Distance to the timbre", list(next(filter(None, together))), [("", rows)]) if rows else ""


def table(title: str, columns: list[str], groups: list[tuple[str, list[tuple[str, list[str]]]]]) -> str:
    """An HTML table of groups of rows: (group head, [(row head, cells)]), all as HTML."""
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in columns)
    bodies = []
    for name, rows in groups:
        lines = [f'<tr><th scope="row">{row_head}</th>{"".join(f"<td>{value}</td>" for value in values)}</tr>'
                 for row_head, values in rows]
        group_head = f'<tr><th scope="rowgroup" colspan="{1 + len(columns)}">{name}</th></tr>' if name else ""
        bodies.append(f'<tbody>{group_head}{"".join(lines)}</tbody>')
    return (f'<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table><thead><tr><th scope="col">{title}'
            f'</th>{head}</tr></thead>{"".join(bodies)}</table></div>')


def best(name: str, figures: dict[str, float], rivals: list[dict[str, float]]) -> bool:
    """Whether a figure is the best of `rivals`. False if all are equal, no direction is better, or their targets differ."""
    values = [rival[name] for rival in rivals]
    if name not in LOWER + HIGHER or min(values) == max(values):
        return False
    if name == "out_to_target" and len({rival.get("in_to_target") for rival in rivals}) > 1:
        return False
    return figures[name] == (min if name in LOWER else max)(values)


def chip(mark: str) -> str:
    return f'<span class="chip {CLASSES.get(mark, "")}">{mark}</span>' if mark else ""


def article(group: str, recording: SideBySide, models: list[str], sample_rate: int) -> str:
    """One recording: a player and a row per version. The mark is in the heading if all models share it, else in each row."""
    sounds = [recording.original, *(output.sound for output in recording.outputs)]
    equal_gains, original_gains = levels.matched(sounds, sample_rate), levels.unclipped(sounds, [1.0] * len(sounds))
    loud = [gain * sound for gain, sound in zip(equal_gains, sounds, strict=True)]
    scale = max(1e-6, *(float(np.abs(sound).max()) for sound in loud))
    top = float(pictures.log_mel(np.pad(loud[0], (0, 1024)), sample_rate).max())
    marks = {output.mark for output in recording.outputs}
    rows = []
    for number, (name, output) in enumerate(zip(("original", *models), (None, *recording.outputs), strict=True)):
        stored = max(1.0, float(np.abs(sounds[number]).max()))  # what page.flac divides by
        label = (f'<label><input type="radio" name="{group}"{"" if number else " checked"} '
                 f'data-equal="{stored * equal_gains[number]:.6g}" data-made="{stored * original_gains[number]:.6g}" '
                 f'data-sound="{page.base64(page.flac(sounds[number], sample_rate))}">'
                 f'<kbd>{number + 1}</kbd> <span class="name">{escaped(name)}</span></label>')
        caption = (chip(output.mark) if len(marks) > 1 else "") + figures(output.figures) if output else ""
        rows.append(f'<div class="row"><div class="of">{label}{caption}</div>'
                    f'{picture(loud[number], scale, top, sample_rate)}</div>\n')
    seconds = len(recording.original) / sample_rate
    excerpt = f" from {recording.start:.2f} s on" if recording.start else ""
    excerpt += f" of {recording.whole:.2f} s" if recording.whole > seconds else ""
    return Template(ARTICLE).substitute(name=escaped(recording.name), exact=f"{seconds:.6f}", seconds=f"{seconds:.2f}",
                                        where=excerpt, chip=chip(marks.pop()) if len(marks) == 1 else "", rows="".join(rows))


def figures(values: dict[str, float]) -> str:
    pairs = (f"<div><dt>{escaped(name)}</dt> <dd>{value:.2f}</dd></div>" for name, value in values.items())
    return f"<dl>{''.join(pairs)}</dl>"


def picture(sound: np.ndarray, scale: float, top: float, sample_rate: int) -> str:
    """Waveform over spectrogram, over the whole sound. `scale`: amplitude at full height; `top`: dB at full brightness."""
    low, high = (np.round(100 - 100 * edge / scale).astype(int) for edge in pictures.outline(sound, COLUMNS))
    count = len(low)
    points = [f"{x},{y}" for x, y in enumerate(high)] + [f"{x},{low[x]}" for x in reversed(range(count))]
    width = min(WIDTH, 1 + len(sound) // 128)  # no wider than the spectrogram has frames; the browser widens it smoothly
    image = page.base64(pictures.thumbnail(sound, sample_rate, width, height=HEIGHT, top=top))
    return (f'<div class="pic"><svg viewBox="0 0 {count - 1 or 1} 200" preserveAspectRatio="none" aria-hidden="true">'
            f'<path d="M{" ".join(points)}z"/></svg>'
            f'<img alt="" loading="lazy" decoding="async" src="data:image/webp;base64,{image}"></div>')
