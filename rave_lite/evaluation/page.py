"""The page on which hits are seen, heard and chosen: one file that needs no network."""

import html
import io
from base64 import b64encode
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
import soundfile

from rave_lite.data import Clip
from rave_lite.data.manifest import COLUMNS, Hit
from rave_lite.evaluation import pictures
from rave_lite.evaluation.curation import by_group
from rave_lite.files import replacing

WIDTH = 240  # pixels of the longest picture
FADE = 0.005  # s at the end of what was cut for the page


def write(path: Path, found: list[tuple[Hit, Clip]], sample_rate: int, *, root: str, seconds: float) -> None:
    """A picture and a player per hit, by group, the most unusual first; ticks, and a button that saves the manifest.

    Of each hit the first `seconds` are in it, as MP3. `root`: where the files are, as it may be shown.
    """
    template = files("rave_lite.evaluation")
    rows = {id(hit): (number, clip) for number, (hit, clip) in enumerate(found)}
    frame = Template(template.joinpath("page.html").read_text(encoding="utf-8"))
    head, _, tail = frame.substitute(
        root=escaped(root), columns=",".join(COLUMNS), seconds=f"{seconds:g}", groups="\0",
        style=template.joinpath("page.css").read_text(), script=template.joinpath("page.js").read_text()).partition("\0")
    with replacing(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.write(head)
        for title, hits in sections([hit for hit, _ in found]):
            file.write(f'<section><h2><label><input type="checkbox" class="all"> {title}</label> '
                       f'<small>{len(hits)} {"hit" if len(hits) == 1 else "hits"}, '
                       f'{sum(hit.end - hit.start for hit in hits):.1f} s</small></h2>\n<ul>\n')
            for hit in hits:
                row, clip = rows[id(hit)]
                file.write(item(hit, row, clip.read(0, round(seconds * sample_rate)), sample_rate, seconds))
            file.write("</ul></section>\n")
        file.write(tail)


def sections(found: list[Hit]) -> list[tuple[str, list[Hit]]]:
    """The groups, the most unusual first; before them the hits that are groups of one, together."""
    groups = by_group(found)
    alone = [hit for hits in groups.values() if len(hits) == 1 for hit in hits]
    several = [(f"Group {number}", hits) for number, hits in groups.items() if len(hits) > 1]
    return [("On their own", alone), *several] if alone else several


def item(hit: Hit, row: int, sound: np.ndarray, sample_rate: int, seconds: float) -> str:
    """One hit; its place in the manifest and its values are in data-row and data-values."""
    width = max(16, round(WIDTH * min(1.0, (len(sound) / sample_rate / seconds) ** 0.5)))
    picture = b64encode(pictures.thumbnail(sound, sample_rate, width)).decode()
    played = b64encode(mp3(sound, sample_rate)).decode()
    name, where = escaped(hit.file), f"{hit.start:.3f} to {hit.end:.3f} s"
    values = "".join(f' data-{column}="{escaped(value)}"' for column, value in zip(COLUMNS, hit.row(), strict=True))
    return (f'<li data-row="{row}"{values}>'
            f'<button type="button" class="play" aria-label="Play {name}, {where}" data-sound="{played}">'
            f'<img alt="" loading="lazy" width="{width}" height="72" src="data:image/webp;base64,{picture}"></button>'
            f'<label><input type="checkbox"{" checked" if hit.keep else ""}><span class="name">{name}</span></label>'
            f'<small>{where} <b title="outlier score">{hit.outlier:.2f}</b></small></li>\n')


def mp3(sound: np.ndarray, sample_rate: int) -> bytes:
    """Mono, about 10 kB a second, its end faded, its peak at full scale at most."""
    faded = sound.copy()
    count = min(len(sound), round(FADE * sample_rate))
    faded[len(sound) - count :] *= np.linspace(1, 0, count, dtype=np.float32)
    out = io.BytesIO()
    soundfile.write(out, faded / max(1.0, float(np.abs(faded).max(initial=0))), sample_rate, format="MP3")
    return out.getvalue()


def escaped(text: str) -> str:
    """For HTML text and attributes, line ends included."""
    return html.escape(text).replace("\r", "&#13;").replace("\n", "&#10;")
