"""The manifest: a CSV list of hits that people edit; hits marked `keep` are trained on."""

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

from rave_lite.errors import InputError
from rave_lite.files import write_csv

YES, NO = frozenset(["yes", "y", "true", "1"]), frozenset(["no", "n", "false", "0"])
OPTIONAL = ("group", "outlier")
Kept = dict[str, list[list[float]]]  # per file: start and end of each kept region, s, ascending and not touching


@dataclass(frozen=True)
class Hit:
    """A hit, `start` to `end` s of `file` (relative to data.root); `outlier`: a score, 1 is typical of the collection."""

    file: str
    start: float
    end: float
    group: int = 1
    outlier: float = 1.0
    keep: bool = True

    def row(self) -> list[str]:
        return [self.file, f"{self.start:.3f}", f"{self.end:.3f}", str(self.group), f"{self.outlier:.2f}",
                "yes" if self.keep else "no"]


COLUMNS = tuple(field.name for field in fields(Hit))


def write(path: Path, hits: list[Hit]) -> None:
    """Writes CSV in UTF-8, with a byte-order mark for spreadsheets; times to the millisecond."""
    write_csv(path, COLUMNS, (hit.row() for hit in hits), "utf-8-sig")


def read(path: Path) -> list[Hit]:
    """Reads hits as written here or by a spreadsheet (semicolons or tabs, decimal commas); group and outlier are optional.

    Raises InputError naming file and line: for wrong columns, an invalid value or overlapping regions.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # a name may contain line ends, which must not be translated
    except OSError as error:
        raise InputError(error.strerror or str(error), where=path) from error
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text; a spreadsheet saves it as 'CSV UTF-8'", where=path) from error
    rows = _rows(path, text)
    line, header = next(rows, (1, []))
    columns = [name.strip().lower() for name in header]
    faults = [f"column {name!r} is unknown" for name in columns if name not in COLUMNS]
    faults += [f"column {name!r} is there twice" for name in columns if columns.count(name) > 1]
    faults += [f"there is no column {name!r}" for name in COLUMNS if name not in {*columns, *OPTIONAL}]
    if faults:
        raise InputError(f"{path}, line {line}: {faults[0]}; the columns are {', '.join(COLUMNS)}")
    numbered_hits: list[tuple[int, Hit]] = []
    for line, row in rows:
        if len(row) != len(columns):
            raise InputError(f"{path}, line {line}: {len(row)} values for {len(columns)} columns")
        try:
            numbered_hits.append((line, _hit(dict(zip(columns, row, strict=True)))))
        except ValueError as error:
            raise InputError(f"{path}, line {line}: {error}") from error
    _refuse_overlaps(path, numbered_hits)
    return [hit for _, hit in numbered_hits]


def kept(hits: list[Hit]) -> Kept:
    """The kept regions of each file; touching ones are merged, so that a manifest that keeps everything acts like none."""
    regions: Kept = {}
    for hit in sorted((hit for hit in hits if hit.keep), key=lambda hit: (hit.file, hit.start)):
        file_regions = regions.setdefault(hit.file, [])
        if file_regions and hit.start - file_regions[-1][1] < 1e-6:
            file_regions[-1][1] = hit.end
        else:
            file_regions.append([hit.start, hit.end])
    return regions


def load(path: Path) -> Kept:
    """The regions that the manifest at `path` keeps. Raises InputError also when it keeps nothing."""
    hits = read(path)
    if not any(hit.keep for hit in hits):
        raise InputError(f"nothing is kept: none of its {len(hits)} rows says yes under keep", where=path)
    return kept(hits)


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if any(map(str.strip, row)):
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not CSV ({error})") from error


def _hit(values: dict[str, str]) -> Hit:
    """A row as a hit. Raises ValueError naming the invalid value."""
    start, end, outlier = (_number(name, values.get(name, "1")) for name in ("start", "end", "outlier"))
    word = values["keep"].strip().lower()
    if word not in YES | NO:
        raise ValueError(f"keep: {values['keep']!r} is neither yes nor no")
    if not values["file"]:
        raise ValueError("file: no name")
    if not 0 <= start < end:
        raise ValueError(f"start {start:g} s must be at least 0 and less than end {end:g} s")
    return Hit(values["file"], start, end, round(_number("group", values.get("group", "1"))), outlier, word in YES)


def _number(name: str, text: str) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name}: {text!r} is no number")
    return value


def _refuse_overlaps(path: Path, numbered_hits: list[tuple[int, Hit]]) -> None:
    ordered = sorted(numbered_hits, key=lambda pair: (pair[1].file, pair[1].start))
    for (first_line, first), (second_line, second) in pairwise(ordered):
        if first.file == second.file and second.start < first.end - 1e-6:
            earlier, later = sorted([first_line, second_line])
            raise InputError(f"{path}, lines {earlier} and {later}: they overlap in {first.file!r} "
                             f"from {second.start:g} to {min(first.end, second.end):g} s")
