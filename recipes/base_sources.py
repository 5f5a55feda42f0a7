"""Gathers the recordings of recipes/base_sources.csv: those that a base is trained on, and those that judge it.

    python recipes/base_sources.py DATA OUT     copy them from DATA, and write the built-in set beside them
    python recipes/base_sources.py DATA         write the list anew, from the folders of DATA that SOURCES names

DATA: a folder with the files, in any folders and under any names: a file is known by its samples, as wav or flac.
OUT/train is the data.root of `rave-lite train recipe=base`; OUT/held_out has birds and strokes that are not trained on.
recipes/README.md says where the recordings come from.
"""

import csv
import hashlib
import shutil
import sys
from pathlib import Path

import soundfile

from rave_lite.data import drums
from rave_lite.data.scan import find
from rave_lite.errors import InputError
from rave_lite.files import write_csv

LIST = Path(__file__).with_suffix(".csv")
COLUMNS = ("file", "sha256", "use", "source", "licence")
SOURCES = {"birds": "Sonic Pi", "percussion": "Sonic Pi", "tabla": "Sonic Pi",
           "drums/bobobo": "Gogodze Phu I", "drums/cajon": "Gogodze Phu I", "drums/kit": "Gogodze Phu II"}


def sha256(path: Path) -> str:
    """The hash of the samples as interleaved 32-bit little-endian integers: the same for a wav and a flac of it."""
    return hashlib.sha256(soundfile.read(path, dtype="int32")[0].astype("<i4").tobytes()).hexdigest()


def write_list(data: Path) -> None:
    """Holds out every eighth file of bobobo, and all of tabla and of the birds."""
    rows = []
    for folder, source in SOURCES.items():
        for number, path in enumerate(find(data / folder)[0], 1):
            held_out = folder in ("tabla", "birds") or (folder == "drums/bobobo" and number % 8 == 0)
            use = "held_out" if held_out else "train"
            rows.append((path.relative_to(data).as_posix(), sha256(path), use, source, "CC0-1.0"))
    write_csv(LIST, COLUMNS, rows)


def gather(data: Path, out: Path) -> None:
    """Copies every file of the list. Raises InputError if one is not there, before anything is written."""
    rows = list(csv.DictReader(LIST.open(newline="")))
    there = {sha256(path): path for path in find(data)[0]}
    if missing := [row["file"] for row in rows if row["sha256"] not in there]:
        raise InputError(f"{len(missing)} of {len(rows)} recordings of the list are not there: {', '.join(missing[:5])}",
                         where=data)
    if out.exists():
        raise InputError("is there already; choose another OUT", where=out)
    for row in rows:
        path = there[row["sha256"]]
        target = (out / row["use"] / row["file"]).with_suffix(path.suffix)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    drums.write(out / "built_in", seed=0)  # not the default seed, or a base would know the strokes that judge the demo
    (out / "built_in/drums").rename(out / "train/built_in")
    (out / "built_in").rename(out / "held_out/built_in")
    for use in ("train", "held_out"):
        print(f"{out / use}: {len(find(out / use)[0])} recordings")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    try:
        gather(*map(Path, sys.argv[1:])) if len(sys.argv) == 3 else write_list(Path(sys.argv[1]))
    except InputError as error:
        sys.exit(str(error))
