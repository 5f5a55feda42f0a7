"""Does curation detect bells among drums? Both are mixed under neutral names, curated, and looked up again.

    python tests/bench/curation.py DRUMS BELLS

DRUMS, BELLS: folders of recordings, mixed in a temporary folder as 00.wav ... in an order drawn at random. Prints, per file
of BELLS, the rank of its highest outlier score among all hits and whether each of its groups is free of DRUMS; then the
highest-ranked hits, and the time it took.
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rave_lite.data import manifest
from rave_lite.data.scan import find


def main() -> None:
    drums, bells = ([path.resolve() for path in find(Path(folder))[0]] for folder in sys.argv[1:])
    files = drums + bells
    random.Random(0).shuffle(files)
    with tempfile.TemporaryDirectory() as folder:
        (place := Path(folder) / "mix").mkdir()
        origin = {}
        for number, path in enumerate(files):
            origin[f"{number:03}{path.suffix}"] = path
            shutil.copy(path, place / f"{number:03}{path.suffix}")
        start = time.monotonic()
        subprocess.run([sys.executable, "-m", "rave_lite", "curate", f"data.root={place}", f"out={folder}/out",
                        f"data.cache={folder}/cache"], check=True, stdout=subprocess.DEVNULL)
        wall, size = time.monotonic() - start, (Path(folder) / "out/hits.html").stat().st_size
        hits = manifest.read(Path(folder) / "out" / "manifest.csv")
    shared = {hit.group for hit in hits if origin[hit.file] in drums}
    ranks = {id(hit): rank for rank, hit in enumerate(hits, 1)}
    top, apart = 0, 0
    for bell in bells:
        mine = [hit for hit in hits if origin[hit.file] == bell]
        best, free = min(ranks[id(hit)] for hit in mine), not any(hit.group in shared for hit in mine)
        top, apart = top + (best <= len(bells) + 2), apart + free
        print(f"{bell.name:24} rank {best:3}, score {max(hit.outlier for hit in mine):5.2f}, "
              f"group {'without drums' if free else 'shared with drums'}")
    print("the highest:", ", ".join(f"{origin[hit.file].stem} {hit.outlier:.2f}" for hit in hits[: len(bells) + 4]))
    minutes = sum(hit.end - hit.start for hit in hits) / 60
    print(f"{top} of {len(bells)} bells among the {len(bells) + 2} highest of {len(hits)} hits; {apart} of {len(bells)} in "
          f"groups without drums, of {len({hit.group for hit in hits})} groups\n"
          f"{minutes:.2f} min of audio in {wall:.1f} s, start included; page of {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
