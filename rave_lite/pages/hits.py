"""The page on which people see, play and choose hits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rave_lite.data import Clip
from rave_lite.data.manifest import COLUMNS, Hit
from rave_lite.evaluation.curation import by_group
from rave_lite.pages import page

WIDTH = 240  # pixels of the longest picture


def write(path: Path, hits_with_clips: list[tuple[Hit, Clip]], sample_rate: int, *, root: str, seconds: float) -> None:
    """Writes the page: a playable picture and a tick per hit, by group, the most unusual first; a button saves the manifest.

    It holds the first `seconds` of each hit, as MP3. `root`: where the files are, without credentials.
    """
    rows = {id(hit): (number, clip) for number, (hit, clip) in enumerate(hits_with_clips)}

    def playable(hits: list[Hit]) -> Iterator[tuple[Hit, int, dict[str, Any]]]:
        for hit in hits:
            row, clip = rows[id(hit)]
            sound = clip.read(0, round(seconds * sample_rate))
            width = max(16, round(WIDTH * min(1.0, (len(sound) / sample_rate / seconds) ** 0.5)))
            yield hit, row, page.playable(sound, sample_rate, width)

    shown = [(title, hits, playable(hits)) for title, hits in sections([hit for hit, _ in hits_with_clips])]
    body = page.render("hits.html", root=root, columns=COLUMNS, seconds=seconds, sections=shown)
    page.write(path, "Hits to train on", body, "hits")


def sections(all_hits: list[Hit]) -> list[tuple[str, list[Hit]]]:
    """Titles and hits: first all hits that are alone in their group, then the groups, the most unusual first."""
    groups = by_group(all_hits)
    alone = [hit for hits in groups.values() if len(hits) == 1 for hit in hits]
    several = [(f"Group {number}", hits) for number, hits in groups.items() if len(hits) > 1]
    return [("On their own", alone), *several] if alone else several
