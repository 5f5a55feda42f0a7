"""Train on a folder of strokes, reconstruct the held-out ones, score them with a neutral scorer, and time it.

    python tests/bench/tabla.py DATA SCORER NAME [training overrides ...]

DATA: the folder of recordings; SCORER: a program called with reference and reconstruction folders. Held out are six of the
tabla; of other recordings every eighth, as recipes/base_sources.py holds out the bobobo drums. Prints the scorer's table,
CPU seconds (user + system, all threads) and wall time; the run is kept in runs/NAME.
"""

import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

HELD_OUT = ["tabla_ghe4", "tabla_ke2", "tabla_na_s", "tabla_tas2", "tabla_te2", "tabla_tun2"]


def rave_lite(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "rave_lite", *arguments], check=True)


def main() -> None:
    data, scorer, name, *overrides = sys.argv[1:]
    run = Path("runs") / name
    recordings = {path.stem: path for path in sorted(Path(data).glob("*.*"))}
    held_out = HELD_OUT if recordings.keys() >= set(HELD_OUT) else list(recordings)[7::8]
    start = time.monotonic()
    rave_lite("train", f"data.root={data}", f"name={name}", "recipe=minute_cpu", f"data.held_out=[{','.join(held_out)}]",
              "threads=1", "transfer.from=null", *overrides)
    wall, usage = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    references = run / "references"
    references.mkdir(exist_ok=True)
    for stem in held_out:
        shutil.copy(recordings[stem], references)
    for checkpoint in ("last", "best"):
        rave_lite("evaluate", f"ckpt={run}/checkpoints/{checkpoint}.ckpt", f"out={run}/{checkpoint}")
        print(f"{name}, {checkpoint}.ckpt:", flush=True)
        subprocess.run([sys.executable, scorer, references, run / checkpoint / "wav"], check=True)
    print(f"{name}: {wall:.0f} s wall, {usage.ru_utime + usage.ru_stime:.0f} s CPU")


if __name__ == "__main__":
    main()
