"""Block times by the clock in the C++ host while four attributes at random are set before every block.

    python -m tests.bench.fuzz RAVE_HOST FOLDER [BLOCKS=500] [MODELS=v2,v2_small,low_latency] [SIZES=,8192] [RUNS=3]

RAVE_HOST: the program built of tests/host. Writes the files, random weights, to FOLDER. Prints, for each run, the median
and the longest of the second half of the blocks. SIZES: of a block, samples; the empty one is the model's own. For an
idle machine: what others compute counts, too.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import soundfile

from tests.bench.live import BLOCKS
from tests.bench.stage import prepare


def main() -> None:
    host, folder, names, settings = prepare(BLOCKS="500", SIZES=",8192", RUNS="3")
    count = int(settings["BLOCKS"])
    print("| | block | median, ms | longest / median |\n|---|---|---|---|")
    for name in names:
        for size in [int(s or BLOCKS[name]) for s in settings["SIZES"].split(",")]:
            noise = 0.3 * np.random.default_rng(0).standard_normal(count * size)
            soundfile.write(folder / "in.wav", noise, 44100, subtype="FLOAT")
            runs = [block_times(host, folder, name, size) for _ in range(int(settings["RUNS"]))]
            print(f"| {name} | {size} | {', '.join(f'{np.median(ms):.2f}' for ms in runs)} | "
                  f"{', '.join(f'{ms[count // 2 :].max() / np.median(ms):.2f}' for ms in runs)} |", flush=True)


def block_times(host: Path, folder: Path, name: str, size: int) -> np.ndarray:
    """Milliseconds by the clock."""
    report = folder / "fuzz.json"
    subprocess.run([host, folder / f"{name}_float32.ts", folder / "in.wav", folder / "out.wav", "--block", str(size),
                    "--fuzz", "4", "--json", report], check=True, stdout=subprocess.DEVNULL)
    return np.array(json.loads(report.read_text())["block_ms"])


if __name__ == "__main__":
    main()
