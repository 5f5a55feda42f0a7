"""How long the listening page takes to build and to load: 30 recordings and 3 models, built on one core.

    OMP_NUM_THREADS=1 python tests/bench/listen.py [seconds=1 files=30 models=3 recipe=minute_cpu repeat=5]

Writes hits of so many seconds (decaying noise and tones) to a temporary folder, and as many untrained models of the
recipe's size (recipe=v2: the full v2), whose figures mean nothing but take the same time. Two thirds of the recordings are
the runs' own, one third foreign inputs. Prints the time of the command by the clock and of the processor, its start
included, the page's size, and for headless Chromium, a new one each time, until the document is complete, and until its
first player has been clicked and sounds.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from hydra import compose, initialize_config_dir

from rave_lite.cli.build import build
from rave_lite.cli.job import CONF
from rave_lite.model import Checkpoint
from tests.pages.browser import opened, until

OPTIONS: dict[str, str] = {"seconds": "1", "files": "30", "models": "3", "recipe": "minute_cpu", "repeat": "5"}
OPTIONS |= dict(argument.split("=") for argument in sys.argv[1:])
RATE = 44100


def write_hits(folder: Path, count: int, seconds: float) -> None:
    folder.mkdir(parents=True)
    t = np.arange(round(seconds * RATE)) / RATE
    for n in range(count):
        rng = np.random.default_rng([n, len(folder.name)])
        tone = np.sin(2 * np.pi * rng.uniform(80, 2000) * t) + 0.5 * rng.standard_normal(len(t))
        soundfile.write(folder / f"{n:02}.wav", 0.3 * tone * np.exp(-3 * t / seconds), RATE)


def write_model(path: Path, drums: Path, held_out: int) -> None:
    """A checkpoint like one of a run, of random weights."""
    recipe = [] if OPTIONS["recipe"] == "v2" else [f"recipe={OPTIONS['recipe']}"]
    names = ",".join(f"'{n:02}'" for n in range(held_out))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        module = build(compose("train", [*recipe, f"name={path.stem}", f"data.root={drums}", f"data.held_out=[{names}]",
                                         f"data.cache={path.parent / 'cache'}"]))
    Checkpoint(path, module.model.config, module.state_dict(), step=0, settings=module.config).save(path)


def main() -> None:
    files, models, seconds = int(OPTIONS["files"]), int(OPTIONS["models"]), float(OPTIONS["seconds"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        foreign = files // 3
        held_out = files - foreign - 6
        write_hits(folder / "drums", files, seconds)
        write_hits(folder / "birds", foreign, seconds)
        checkpoints = [folder / f"model_{n}.ckpt" for n in range(models)]
        for path in checkpoints:
            write_model(path, folder / "drums", held_out)
        start, spent = time.perf_counter(), cpu()
        subprocess.run(["taskset", "-c", "0", sys.executable, "-m", "rave_lite", "listen", *map(str, checkpoints),
                        f"inputs={folder / 'birds'}", f"out={folder / 'page'}"], check=True)
        page = folder / "page" / "index.html"
        print(f"built in {time.perf_counter() - start:.1f} s, {cpu() - spent:.1f} s of CPU time: {files} recordings of "
              f"{seconds:g} s, {models} models of {OPTIONS['recipe']}, {page.stat().st_size / 1e6:.1f} MB")
        complete, sounding = zip(*(loaded(page) for _ in range(int(OPTIONS["repeat"]))), strict=True)
        for name, times in (("loaded in", complete), ("plays after", sounding)):
            print(f"{name} {statistics.median(times):.2f} s, {min(times):.2f} to {max(times):.2f}, of {len(times)} loads")


def cpu() -> float:
    """Seconds that commands took of the processor so far, user and system."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def loaded(page: Path) -> tuple[float, float]:
    """Seconds from the start of the navigation until the document is complete, and until a player sounds."""
    with opened(page) as (tab, _, _):
        complete = tab.evaluate("performance.getEntriesByType('navigation')[0].domComplete") / 1000
        tab.locator("main .toggle").first.click()
        until(tab, "current?.run && current.position > 0")
        return complete, tab.evaluate("performance.now()") / 1000


if __name__ == "__main__":
    main()
