"""A day of audio through an exported file, faster than real time: does its memory grow, does its sound drift?

    python -m tests.bench.day MODEL [BLOCK=4096] [CAPACITY=4] [HOURS=24]

Hits of noise and pauses, in a loop. Prints the resident memory of every hour, and at the end how far the last seconds are
from those of a fresh file whose noise is put to the same position, and, with the noise off, from the checkpoint, offline.
Random weights, one thread. Memory and drift depend on how often something is called, not on its width, so it may be small.
"""

import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rave_lite.export.torchscript import Live, export, load
from rave_lite.export.verify import offline
from rave_lite.layers import set_noise
from rave_lite.machine import resident_memory
from tests.conftest import build

SECONDS = 10  # of the loop, and compared at the end


@torch.inference_mode()
def main() -> None:
    settings = {"BLOCK": 4096, "CAPACITY": 4, "HOURS": 24} | {k: int(v) for k, v in (a.split("=") for a in sys.argv[2:])}
    model = build(f"model={sys.argv[1]}", f"model.capacity={settings['CAPACITY']}").eval()
    model.decoder.waveform.weight = 20 * model.decoder.waveform.weight
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "day.ts"
        export(Live(model, batch_size=1), path, {})
        live, fresh = load(path), load(path)
    rate, block = model.sample_rate, settings["BLOCK"]
    count = -(-SECONDS * rate // block)
    time_in_hit = torch.arange(count * block) % (rate // 2) / rate
    sound = 0.5 * torch.randn(1, 1, count * block) * torch.exp(-20 * time_in_hit) * (time_in_hit < 0.3)
    blocks, total = cycle(sound.split(block, -1)), settings["HOURS"] * 3600 * rate // block // count * count
    live.get_methods()
    memory, start = {}, time.process_time()
    for k, x in enumerate(islice(blocks, total)):
        if k % (3600 * rate // block) == count:  # the first ten seconds fill caches
            memory[k] = resident_memory()
            print(f"hour {len(memory) - 1:2}: {memory[k]:.1f} MiB, {time.process_time() - start:.0f} s", flush=True)
        live(x)
    memory[total], seconds = resident_memory(), time.process_time() - start
    print(f"{total} blocks of {block}: {total * block / rate / 3600:.3f} h in {seconds:.0f} s of CPU time; "
          f"memory from {min(memory.values()):.2f} to {max(memory.values()):.2f} MiB, at the end {memory[total]:.2f}")

    def last_seconds(file: Any) -> Tensor:
        return torch.cat([file(x).clone() for x in sound.split(block, -1)], -1)[..., model.receptive_field :]

    position = dict(fresh.named_buffers())["live.core.decoder.noise.position"]
    fresh.get_methods()
    position.fill_(total * block // model.hop)
    report("a fresh file at this position", last_seconds(live), last_seconds(fresh))
    live.set_noise(0.0)
    set_noise(model, 0)
    report("the checkpoint, without noise", last_seconds(live), offline(model, live, sound)[0][..., model.receptive_field :])


def report(name: str, now: Tensor, expected: Tensor) -> None:
    print(f"largest difference from {name}: {(now - expected).abs().max():.1e}, peak {expected.abs().max():.2f}")


if __name__ == "__main__":
    main()
