"""Audio through a model with the model's latency taken out."""

from pathlib import Path

import numpy as np
import torch

from rave_lite.data import audio
from rave_lite.errors import InputError
from rave_lite.layers import seed_noise, stream
from rave_lite.model import RAVE

LONG = 1 << 19  # samples in one pass: memory does not grow with the recording


@torch.no_grad()
def reconstruct(model: RAVE, signal: np.ndarray, block: int | None = None, *, seed: int = 0) -> np.ndarray:
    """`(channels, samples)` to the same shape, each channel by itself.

    Streamed in blocks of `block` samples, a multiple of hop (InputError otherwise); by default in one, up to 2^19. The
    samples are the same for every block size; `seed`: of the noise that the decoder draws.
    """
    if block is not None and (block <= 0 or block % model.hop):
        raise InputError(f"block: {block} is no multiple of this model's hop, {model.hop}")
    channels, length = signal.shape
    live = stream(model, channels)
    seed_noise(live, seed)
    blocks = padded(model, signal).split(block or LONG // model.hop * model.hop, -1)
    made = [live(x.to(model.pqmf.analysis.device)).squeeze(1).cpu().numpy() for x in blocks]
    return np.concatenate(made, axis=1)[:, model.latency : model.latency + length]


def padded(model: RAVE, signal: np.ndarray) -> torch.Tensor:
    """`(channels, T) -> (channels, 1, whole hops)`: with silence for the latency behind it."""
    length = signal.shape[1]
    whole = -(-(length + model.latency) // model.hop) * model.hop
    return torch.from_numpy(np.pad(signal.astype(np.float32), ((0, 0), (0, whole - length)))).unsqueeze(1)


def reconstruct_file(model: RAVE, path: Path, out: Path, block: int | None = None, *, seed: int = 0) -> float:
    """Read `path`, write its reconstruction to `out` (wav, the model's rate, the file's channels); seconds of audio."""
    signal = audio.load(path, model.sample_rate)
    audio.save(out, reconstruct(model, signal, block, seed=seed), model.sample_rate)
    return signal.shape[1] / model.sample_rate
