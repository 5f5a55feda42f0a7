"""CPU time of a training window, ms on one thread: as recorded, with each set of augmentation, with each transform alone.

    python tests/bench/augmentation.py [DATA] [window ...]

DATA: a folder of recordings; default: synthetic hits.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import statistics
import sys
import tempfile
import time
from pathlib import Path

from omegaconf import OmegaConf

from rave_lite.data import Windows, catalogue
from rave_lite.data.augmentation.lookup import build_augmentation
from rave_lite.data.drums import write
from tests.conftest import configured

RATE, COUNT = 44100, 40


def window_times(windows: Windows) -> tuple[float, float]:
    """Median and mean ms of a window, without the first five, which read the files."""
    times = []
    for i in range(COUNT + 5):
        start = time.process_time()
        windows[i]
        times.append(1000 * (time.process_time() - start))
    return statistics.median(times[5:]), statistics.mean(times[5:])


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()] or [32768, 131072]
    root = next((a for a in sys.argv[1:] if not a.isdigit()), None)
    if root is None:
        write(folder)
        root = str(folder / "drums")
    clips = catalogue(root, RATE, cache=folder / "cache").train
    transforms = configured("train", "data.root=x").augmentation
    sets = {name: [f"augmentation={name}"] for name in ("none", "light", "strong")}
    alone = {name: ["augmentation=strong", *(f"augmentation.{n}.p={int(n == name)}" for n in transforms)]
             for name in transforms}
    print("| ms | " + " | ".join(map(str, numbers)) + " |\n|---|" + "---|" * len(numbers))
    for name, overrides in {**sets, **alone}.items():
        settings = OmegaConf.to_container(configured("train", "data.root=x", *overrides).augmentation, resolve=True)
        change = build_augmentation(settings, RATE)
        times = [window_times(Windows(clips, length=n, sample_rate=RATE, augmentation=change)) for n in numbers]
        print(f"| {name} | " + " | ".join(f"{m:.2f} (mean {mean:.2f})" for m, mean in times) + " |", flush=True)


if __name__ == "__main__":
    main()
