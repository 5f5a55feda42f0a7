"""Audio through a model with the model's latency taken out."""

from pathlib import Path

import numpy as np
import torch

from rave_lite.data import audio
from rave_lite.errors import InputError
from rave_lite.layers import reset, seed_noise, stream
from rave_lite.model import RAVE

LONG = 1 << 19  # samples in one pass: memory does not grow with the recording


class Reconstruction:
    """`reconstruct` for many signals of so many channels: the model is made ready once, as it is now."""

    def __init__(self, model: RAVE, channels: int = 1):
        self.model, self.live = model, stream(model, channels)
        self.sample_rate = model.sample_rate

    @torch.no_grad()
    def __call__(self, signal: np.ndarray, block: int | None = None, *, seed: int = 0) -> np.ndarray:
        hop, latency, length = self.model.hop, self.model.latency, signal.shape[1]
        if block is not None and (block <= 0 or block % hop):
            raise InputError(f"block: {block} is no multiple of this model's hop, {hop}")
        reset(self.live)
        seed_noise(self.live, seed)
        device = next(self.live.buffers()).device
        made = [self.live(x.to(device)).squeeze(1).cpu().numpy()
                for x in padded(self.model, signal).split(block or LONG // hop * hop, -1)]
        return np.concatenate(made, axis=1)[:, latency : latency + length]


def reconstruct(model: RAVE, signal: np.ndarray, block: int | None = None, *, seed: int = 0) -> np.ndarray:
    """`(channels, samples)` to the same shape, each channel by itself.

    Streamed in blocks of `block` samples, a multiple of hop (InputError otherwise); by default in one, up to 2^19. The
    samples are the same for every block size; `seed`: of the noise that the decoder draws.
    """
    return Reconstruction(model, len(signal))(signal, block, seed=seed)


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
