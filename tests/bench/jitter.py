"""Latency from the onset of the input to that of the output, and its jitter with the input's position in a block.

    python tests/bench/jitter.py HITS CKPT [CKPT ...]

HITS: a folder of single hits. After Caspe et al. (arXiv 2503.11562, section on latency and jitter): each hit is played after
silence at 64 offsets spread over a hop, streamed in blocks of a hop, and the time from the input's onset to the output's is
taken. An onset is the first time that the level in 32 samples comes within 20 dB of the sound's own peak in its first 50 ms.
Prints latency (median) and jitter: the spread over the offsets, as standard deviation and as largest minus smallest, of the
median hit. A block must be full before it is computed, so a host adds one: it is not counted here.
"""

import statistics
import sys
from pathlib import Path

import numpy as np
import torch

from rave_lite.data import audio
from rave_lite.data.scan import find
from rave_lite.layers import reset, set_noise, stream
from rave_lite.model import RAVE

OFFSETS = 64
SPAN = 32  # samples
ONSET_LEVEL = 10 ** (-20 / 20)


def onset(signal: np.ndarray) -> int:
    level = np.sqrt(np.convolve(np.square(signal, dtype=np.float64), np.ones(SPAN) / SPAN, "full")[: len(signal)])
    start = int(np.argmax(level > 0.02 * level.max()))
    return int(np.argmax(level > ONSET_LEVEL * level[start : start + 2205].max()))


@torch.no_grad()
def delays(model: RAVE, hit: np.ndarray) -> list[float]:
    """Delay from onset to onset, in ms, at each offset."""
    live, lead_in = stream(model, OFFSETS), 4096 + model.receptive_field // model.hop * model.hop
    length = (lead_in + model.hop + model.latency + 8820) // model.hop * model.hop
    x = np.zeros((OFFSETS, length), np.float32)
    for row, offset in enumerate(np.linspace(0, model.hop, OFFSETS, endpoint=False).astype(int)):
        part = hit[: length - lead_in - offset]
        x[row, lead_in + offset : lead_in + offset + len(part)] = part
    reset(live)
    y = torch.cat([live(block) for block in torch.from_numpy(x)[:, None].split(model.hop, 2)], 2)[:, 0].numpy()
    return [1000 * (onset(output) - onset(played)) / model.sample_rate for played, output in zip(x, y, strict=True)]


def main() -> None:
    folder, *checkpoints = sys.argv[1:]
    torch.set_num_threads(1)
    for checkpoint in checkpoints:
        model, figures = RAVE.from_checkpoint(checkpoint), []
        set_noise(model, 0)
        for path in find(Path(folder))[0]:
            hit_delays = delays(model, audio.load(path, model.sample_rate).mean(0))
            figures.append((statistics.median(hit_delays), statistics.stdev(hit_delays), max(hit_delays) - min(hit_delays)))
            latency_ms, deviation, spread = figures[-1]
            print(f"  {path.stem:16} latency {latency_ms:6.2f} ms, deviation {deviation:5.2f}, range {spread:5.2f}")
        latency, deviation, spread = (statistics.median(f[i] for f in figures) for i in range(3))
        print(f"{checkpoint}: hop {model.hop}, latency {model.latency} samples; measured latency {latency:.2f} ms, "
              f"jitter {deviation:.2f} ms deviation, {spread:.2f} ms range")


if __name__ == "__main__":
    main()
