"""Does a stereo model keep the image, and what does it cost? Drums at places of their own, in a room of two sides.

    taskset -c 1 python -m tests.bench.stereo train OUT [steps=2000] [transfer.from=null ...]
    taskset -c 1 python -m tests.bench.stereo blocks [count=300]

`train` pans the built-in drums, each file to a place of its own within 10 dB to either side, adds the tails of a room, each
channel's of its own noise, trains a small model and prints of each held-out file the level difference (left against right,
dB) and the correlation of the channels, of the recording and of what the model makes of it. OUT keeps finished work.
`blocks` times blocks of stereo and mono files of the same sizes in turns, with random weights.
"""

import json
import statistics
import sys
import zlib
from pathlib import Path

import numpy as np
import soundfile
import torch

from rave_lite.data.augmentation import Room
from rave_lite.data.scan import find
from rave_lite.export.host_file import script
from rave_lite.export.plays import durations
from rave_lite.export.torchscript import Live
from tests.bench.recipes import rave_lite
from tests.conftest import build

MOST_DB, ROOM_DB = 10.0, -14.0
SIZES = {"v2, capacity 16": ["model=v2", "model.capacity=16"], "v2": ["model=v2"], "low_latency": ["model=low_latency"]}


def prepare(out: Path) -> Path:
    """The drums in stereo."""
    if not (out / "stereo").exists():
        rave_lite("drums", f"out={out / 'drums'}", log=out / "drums.log")
        for path in find(out / "drums/drums")[0]:
            samples, rate = soundfile.read(path, dtype="float32")
            rng = np.random.default_rng(zlib.crc32(path.name.encode()))
            angle = np.arctan(10 ** (rng.uniform(-MOST_DB, MOST_DB) / 20))
            room = Room(1.0, rt60=(0.3, 0.4), level_db=(ROOM_DB, ROOM_DB))
            padded = np.pad(samples, (0, rate // 4))
            tails = [room(padded, rate, np.random.default_rng(side)) - padded for side in (0, 1)]  # one room for all
            target = out / "stereo" / path.relative_to(out / "drums/drums")
            target.parent.mkdir(parents=True, exist_ok=True)
            sides = np.sin(angle) * padded + tails[0], np.cos(angle) * padded + tails[1]
            soundfile.write(target, np.stack(sides, 1), rate)
    return out / "stereo"


def train(out: Path, options: dict[str, str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    root, steps = prepare(out), int(options.pop("steps", "2000"))
    folder = out / "-".join(["run", str(steps), *options.values()])
    rave_lite("train", "recipe=minute_cpu", "model.channels=2", f"data.root={root}", f"out={folder}", "threads=1",
              "resume=auto", f"phase1.steps={steps - 150}", *map("=".join, options.items()), log=out / "train.log")
    rave_lite("evaluate", f"ckpt={folder}", f"out={folder / 'evaluation'}", log=out / "evaluate.log")
    report = json.loads((folder / "evaluation/figures.json").read_text())
    for name, row in [*report["files"].items(), ("mean", report["mean"])]:
        print(f"{name:36} level difference {row['pan_in']:6.2f} -> {row['pan_out']:6.2f} dB, correlation "
              f"{row['corr_in']:5.2f} -> {row['corr_out']:5.2f}; mel_db {row['mel_db']:.2f}")
    mean, files = report["mean"], report["files"].values()
    slope = statistics.linear_regression([row["pan_in"] for row in files], [row["pan_out"] for row in files]).slope
    print(f"mean errors: {mean['pan_db']:.2f} dB, {mean['corr']:.3f}; slope of the level difference {slope:.2f}")


def blocks(count: int) -> None:
    torch.set_num_threads(1)
    for name, overrides in SIZES.items():
        files = {channels: script(Live(build(*overrides, f"model.channels={channels}").eval(), batch_size=1).eval())
                 for channels in (1, 2)}
        times, block = {channels: list[float]() for channels in files}, files[1].hop
        for _ in range(count // 24):
            for channels, file in files.items():
                times[channels] += durations(file, block, torch.device("cpu"))[6:]
        mono, stereo = (1000 * statistics.median(times[channels]) for channels in files)
        print(f"{name:18} blocks of {block}: mono {mono:.2f} ms, stereo {stereo:.2f} ms: {stereo / mono:.2f}")


def main() -> None:
    task, *arguments = sys.argv[1:]
    options = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if task == "train":
        train(Path(arguments[0]), options)
    else:
        blocks(int(options.get("count", "300")))


if __name__ == "__main__":
    main()
