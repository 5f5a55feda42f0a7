"""The page on which people see, play and choose hits."""

from collections.abc import Iterator
from pathlib import Path
from string import Template

import numpy as np

from rave_lite.data import Clip
from rave_lite.data.manifest import COLUMNS, Hit
from rave_lite.evaluation import pictures
from rave_lite.evaluation.curation import by_group
from rave_lite.pages import page
from rave_lite.pages.page import escaped

WIDTH = 240  # pixels of the longest picture


def write(path: Path, hits_with_clips: list[tuple[Hit, Clip]], sample_rate: int, *, root: str, seconds: float) -> None:
    """Writes the page: a playable picture and a tick per hit, by group, the most unusual first; a button saves the manifest.

    It holds the first `seconds` of each hit, as MP3. `root`: where the files are, without credentials.
    """
    page.write(path, "Hits to train on", body(hits_with_clips, sample_rate, root, seconds), "hits")


def body(hits_with_clips: list[tuple[Hit, Clip]], sample_rate: int, root: str, seconds: float) -> Iterator[str]:
    rows = {id(hit): (number, clip) for number, (hit, clip) in enumerate(hits_with_clips)}
    yield Template(page.text("hits.html")).substitute(root=escaped(root), columns=",".join(COLUMNS), seconds=f"{seconds:g}")
    yield "<main>\n"
    for title, hits in sections([hit for hit, _ in hits_with_clips]):
        yield (f'<section><h2><label><input type="checkbox" class="all"> {title}</label> '
               f'<small>{len(hits)} {"hit" if len(hits) == 1 else "hits"}, '
               f'{sum(hit.end - hit.start for hit in hits):.1f} s</small></h2>\n<ul>\n')
        for hit in hits:
            row, clip = rows[id(hit)]
            yield item(hit, row, clip.read(0, round(seconds * sample_rate)), sample_rate, seconds)
        yield "</ul></section>\n"
    yield "</main>"


def sections(all_hits: list[Hit]) -> list[tuple[str, list[Hit]]]:
    """Titles and hits: first all hits that are alone in their group, then the groups, the most unusual first."""
    groups = by_group(all_hits)
    alone = [hit for hits in groups.values() if len(hits) == 1 for hit in hits]
    several = [(f"Group {number}", hits) for number, hits in groups.items() if len(hits) > 1]
    return [("On their own", alone), *several] if alone else several


def item(hit: Hit, row: int, sound: np.ndarray, sample_rate: int, seconds: float) -> str:
    """A list item for one hit; data-row holds its row of the manifest, data-COLUMN each value."""
    width = max(16, round(WIDTH * min(1.0, (len(sound) / sample_rate / seconds) ** 0.5)))
    picture, played = page.base64(pictures.thumbnail(sound, sample_rate, width)), page.base64(page.mp3(sound, sample_rate))
    name, where = escaped(hit.file), f"{hit.start:.3f} to {hit.end:.3f} s"
    values = "".join(f' data-{column}="{escaped(value)}"' for column, value in zip(COLUMNS, hit.row(), strict=True))
    return (f'<li data-row="{row}"{values}>'
            f'<button type="button" class="play" aria-label="Play {name}, {where}" data-sound="{played}">'
            f'<img alt="" loading="lazy" width="{width}" height="72" src="data:image/webp;base64,{picture}"></button>'
            f'<label><input type="checkbox"{" checked" if hit.keep else ""}><span class="name">{name}</span></label>'
            f'<small>{where} <b title="outlier score">{hit.outlier:.2f}</b></small></li>\n')
