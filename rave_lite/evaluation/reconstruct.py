"""Reconstruction of audio by a model, with the model's latency compensated."""

from pathlib import Path

import numpy as np
import torch

from rave_lite.data import level, outputs
from rave_lite.errors import InputError
from rave_lite.layers import reset, seed_noise, stream
from rave_lite.model import RAVE

LONG = 1 << 19  # samples per pass, so that memory does not grow with the recording


class Reconstruction:
    """`reconstruct` for many signals with `channels` channels: the model is prepared once, with its present weights."""

    def __init__(self, model: RAVE, channels: int = 1):
        self.model, self.live = model, stream(model, channels)
        self.sample_rate = model.sample_rate

    @torch.no_grad()
    def __call__(self, signal: np.ndarray, block: int | None = None, *, seed: int = 0) -> np.ndarray:
        hop, latency, length = self.model.hop, self.model.latency, signal.shape[1]
        if block is not None and (block <= 0 or block % hop):
            raise InputError(f"{block} is no multiple of this model's hop, {hop}", where="block")
        reset(self.live)
        seed_noise(self.live, seed)
        device = next(self.live.buffers()).device
        blocks = [self.live(x.to(device)).squeeze(1).cpu().numpy()
                  for x in padded(self.model, signal).split(block or LONG // hop * hop, -1)]
        return np.concatenate(blocks, axis=1)[:, latency : latency + length]


def reconstruct(model: RAVE, signal: np.ndarray, block: int | None = None, *, seed: int = 0) -> np.ndarray:
    """Reconstruction of `signal` `(channels, samples)`, same shape, each channel by itself.

    Streamed in blocks of `block` samples, a multiple of hop (InputError otherwise); by default of up to 2^19. The result is
    the same for every block size. `seed`: of the decoder's noise.
    """
    return Reconstruction(model, len(signal))(signal, block, seed=seed)


def padded(model: RAVE, signal: np.ndarray) -> torch.Tensor:
    """Signal followed by silence for the latency, up to whole hops: `(channels, T) -> (channels, 1, T')`."""
    length = signal.shape[1]
    whole = -(-(length + model.latency) // model.hop) * model.hop
    return torch.from_numpy(np.pad(signal.astype(np.float32), ((0, 0), (0, whole - length)))).unsqueeze(1)


def reconstruct_file(model: RAVE, path: Path, out: Path, block: int | None = None, *,
                     seed: int = 0) -> tuple[float, list[str]]:
    """Writes the reconstruction of `path` to `out` (wav, the model's rate, the file's channels): its seconds, and notes."""
    signal, notes = level.load(path, model.sample_rate)
    outputs.save(out, reconstruct(model, signal, block, seed=seed), model.sample_rate)
    return signal.shape[1] / model.sample_rate, notes
