"""Several instances of one file on a JACK dummy card, in the C++ host: late blocks, block times, memory, loading.

    python -m tests.bench.stage RAVE_HOST FOLDER [SECONDS=10] [MODELS=v2,v2_small,low_latency] [INSTANCES=1,2,4,8]
        [PERIOD=128]

RAVE_HOST: the program built of tests/host. Writes the files, random weights, to FOLDER, and prints a row for each model and
number of instances. Late: blocks that were not ready when the next one was full, of all that were collected.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from tests.bench.live import BLOCKS, ours
from tests.jack import dummy_card

RATE = 44100


def prepare(**settings: str) -> tuple[Path, Path, list[str], dict[str, str]]:
    """The arguments of a bench of the C++ host: the program, the folder with the files, their models, and settings."""
    host, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"MODELS": ",".join(BLOCKS)} | settings | dict(a.split("=", 1) for a in sys.argv[3:])
    names = settings["MODELS"].split(",")
    ours(folder, names, ["float32"])
    return host, folder, names, settings


def main() -> None:
    host, folder, names, settings = prepare(SECONDS="10", INSTANCES="1,2,4,8", PERIOD="128")
    seconds = int(settings["SECONDS"])
    noise = 0.3 * np.random.default_rng(0).standard_normal(seconds * RATE)
    soundfile.write(folder / "in.wav", noise, RATE, subtype="FLOAT")
    print("| | instances | late | p50, p99 of a block, which lasts | MiB: the first, each further, file | s to load |\n"
          "|---|---|---|---|---|---|")
    for name in names:
        file = folder / f"{name}_float32.ts"
        for instances in settings["INSTANCES"].split(","):
            with dummy_card(RATE, int(settings["PERIOD"]), seconds=600) as jack:
                subprocess.run([host, file, folder / "in.wav", folder / "out.wav", "--jack", instances, "--block",
                                str(BLOCKS[name]), "--json", folder / "stage.json"], env=jack.env, check=True,
                               stdout=subprocess.DEVNULL)
            row = json.loads((folder / "stage.json").read_text())
            first, *further = np.diff(row["resident_mib"])
            memory = first, np.mean(further or [0]), file.stat().st_size / 2**20
            times = row["median_ms"], row["p99_ms"], row["block_length_ms"]
            print(f"| {name} | {instances} | {sum(row['late'])} of {row['blocks'] * int(instances):,} | "
                  f"{', '.join(f'{t:.2f}' for t in times)} | {', '.join(f'{m:.0f}' for m in memory)} | "
                  f"{np.median(row['load_s']):.1f} |", flush=True)


if __name__ == "__main__":
    main()
