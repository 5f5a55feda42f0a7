"""What a run remembers of its split: which files it was trained on and judged by, by content."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rave_lite.data.clip import Clip
from rave_lite.data.network import is_url
from rave_lite.data.split import GUARD, named, part
from rave_lite.errors import InputError
from rave_lite.notes import note_once, some

TRAIN, HELD_OUT, CUT = "train", "held out", "cut"  # CUT: a lone file, held out in part
BEFORE, UNUSED = "before", "unused"  # trained on only before the run was resumed with another share; never trained on
TRAINED = (TRAIN, BEFORE, CUT)


@dataclass
class File:
    """A file as the run last saw it. `regions`: of a CUT file, by side: start and end, s. `source`: its name now, if any."""

    name: str
    content: str
    side: str
    regions: dict[str, list[float]] = field(default_factory=dict)
    source: str | None = None


@dataclass
class Sides:
    """The files of a run, in the order of its clips.

    `new`: present files that the run does not know; `copies`: surplus ones of files that it knows, also near copies, with
    the side of these; `edited`: files known by their name, with other content.
    """

    files: list[File]
    new: list[str] = field(default_factory=list)
    copies: dict[str, str] = field(default_factory=dict)
    edited: list[str] = field(default_factory=list)

    @classmethod
    def recall(cls, memory: dict[str, Any], clips: list[Clip], root: str) -> "Sides":
        """Finds the files of a `memory` among the `clips` at `root`: by content, renamed or not.

        An edited file is found by its name, unless this may be another folder. So are files at a URL, whose content is not
        read.
        """
        sides, present = cls([File(*row) for row in memory["files"]]), contents(clips)
        remembered = {file.content: file.side for file in sides.files}
        free = dict(present)

        def claim(choose: Callable[[File], str | None]) -> None:
            for file in sides.files:
                if file.source is None and (source := choose(file)) is not None:
                    file.source = source
                    del free[source]

        claim(lambda file: file.name if free.get(file.name) == file.content else None)
        renamed: dict[str, list[str]] = {}
        for source, content in free.items():
            renamed.setdefault(content, []).append(source)
        claim(lambda file: renamed[file.content].pop(0) if renamed.get(file.content) else None)
        if sides.known or root == memory["root"] or is_url(root) or is_url(memory["root"]):
            claim(lambda file: file.name if free.get(file.name, file.content) not in remembered else None)
        if not (is_url(root) or is_url(memory["root"])):
            sides.edited = [file.name for file in sides.files if file.source and present[file.source] != file.content]
        sides.new = [source for source, content in free.items() if content not in remembered]
        sides.copies = {source: remembered[content] for source, content in free.items() if content in remembered}
        return sides

    @property
    def known(self) -> bool:
        """Whether any of the files is there."""
        return any(file.source is not None for file in self.files)

    def missing(self, *of: str) -> list[str]:
        return [file.name for file in self.files if file.source is None and file.side in of]

    def clips(self, clips: list[Clip], sample_rate: int, *of: str) -> list[Clip]:
        """The clips of the files of these sides, in the order of the run; of a CUT file TRAIN or HELD_OUT is its region."""
        by_source: dict[str, list[Clip]] = {}
        for clip in clips:
            by_source.setdefault(clip.source, []).append(clip)
        chosen = []
        for file in self.files:
            parts = by_source.get(file.source or "", [])
            if file.side == CUT:
                start, stop = (round(edge * sample_rate) for edge in file.regions[TRAIN if TRAIN in of else HELD_OUT])
                chosen += part(parts, start, stop, sample_rate) if {TRAIN, HELD_OUT} & set(of) else []
            elif file.side in of:
                chosen += parts
        return chosen

    def joining(self, clips: list[Clip]) -> list[Clip]:
        """The clips of new files, and of copies of files that the run was trained on."""
        names = {*self.new, *(source for source, side in self.copies.items() if side in (TRAIN, BEFORE))}
        return [clip for clip in clips if clip.source in names]

    def hold_out(self, patterns: Sequence[str]) -> None:
        """Holds out files that are named, too. Raises InputError for one that was trained on, or that is not there."""
        files = {file.name: file for file in self.files} | {file.source: file for file in self.files if file.source}
        for name in sorted(named(patterns, [*files, *self.new, *self.copies], "data.held_out: no usable file")):
            side = files[name].side if name in files else self.copies.get(name, UNUSED)
            if side in TRAINED:
                raise InputError(f"this run was trained on {name}, so it cannot be held out any more; start a new run",
                                 where="data.held_out")
            if name in files and side == UNUSED:
                files[name].side = HELD_OUT
            elif name in self.new:
                self.new.remove(name)
                self.files.append(File(name, "", HELD_OUT, source=name))

    def require_both(self, root: str) -> None:
        """Raises InputError if no file is there of what was trained on, or of what was held out."""
        for of, which in (((HELD_OUT, CUT), "held out from this run"), (TRAINED, "that this run was trained on")):
            if not any(file.source for file in self.files if file.side in of):
                raise InputError(f"none of the recordings {which} is there: {some(self.missing(*of))}", where=root)

    def tell(self, root: str, joins: bool) -> None:
        """Says once which files are missing, and which are new. `joins`: the latter are trained on from now on."""
        for of, what in (((HELD_OUT, CUT), "held out"), ((TRAIN, BEFORE), "trained on")):
            if missing := self.missing(*of):
                note_once(f"{root}: {recordings(len(missing))} missing, {what} so far: {some(missing)}")
        if self.edited:
            note_once(f"{root}: {recordings(len(self.edited))} edited since, on the same side as before: "
                      f"{some(self.edited)}")
        if self.new:
            note_once(f"{root}: {recordings(len(self.new))} new, "
                      f"{'trained on from now on' if joins else 'neither trained on nor held out'}: {some(self.new)}")
        if left_out := [source for source, side in self.copies.items() if not joins or side not in (TRAIN, BEFORE)]:
            note_once(f"{root}: {recordings(len(left_out))} left out, being copies or near copies: {some(left_out)}")


def remember(root: str, train: list[Clip], held_out: list[Clip], unused: list[Clip], sample_rate: int,
             before: Sides | None = None) -> dict[str, Any]:
    """The memory of a split, as plain values. `before`: of the run that is resumed, whose missing files stay known."""
    regions: dict[str, dict[str, list[float]]] = {}
    for side, clips in ((TRAIN, train), (HELD_OUT, held_out)):
        for clip in clips:
            first, _ = regions.setdefault(clip.source, {}).setdefault(side, [clip.start / sample_rate, 0.0])
            regions[clip.source][side] = [first, clip.stop / sample_rate]
    present = contents([*train, *held_out, *unused])
    rows: dict[str, File] = {}
    for file in before.files if before else []:
        name = file.source or file.name
        rows[file.source or f"missing {len(rows)}: {name}"] = File(name, file.content, file.side, file.regions)
    for source, content in present.items():
        file = rows.setdefault(source, File(source, content, UNUSED))
        cut = regions.get(source, {}) if len(regions.get(source, {})) == 2 else {}
        side = CUT if cut else next(iter(regions.get(source, {})), BEFORE if file.side in (TRAIN, BEFORE) else UNUSED)
        rows[source] = File(source, content, side, cut)
    return {"root": root, "files": [[file.name, file.content, file.side, file.regions] for file in rows.values()]}


def widened(memory: dict[str, Any]) -> dict[str, Any]:
    """The memory, with all that may be trained on of a CUT file, so that a share can be selected anew."""
    files = [[name, content, side, {**regions, TRAIN: [0.0, regions[HELD_OUT][0] - GUARD]} if side == CUT else regions]
             for name, content, side, regions in memory["files"]]
    return {**memory, "files": files}


def contents(clips: list[Clip]) -> dict[str, str]:
    """What identifies the content of each file, by its name."""
    return {clip.source: clip.samples.content for clip in clips}


def recordings(count: int) -> str:
    return "1 recording is" if count == 1 else f"{count} recordings are"
