"""Audio through a model, whole or block by block, with the model's latency taken out."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from rave_lite.data import audio
from rave_lite.errors import InputError
from rave_lite.layers import stream
from rave_lite.model import RAVE


@torch.no_grad()
def reconstruct(model: RAVE, signal: np.ndarray) -> np.ndarray:
    """`(channels, samples)` to the same shape, in one pass; each channel by itself."""
    x = torch.from_numpy(np.ascontiguousarray(signal, np.float32)).unsqueeze(1)
    return model.reconstruct(x.to(model.pqmf.analysis.device)).squeeze(1).cpu().numpy()


@torch.no_grad()
def reconstruct_blocks(model: RAVE, signal: np.ndarray, block: int) -> Iterator[np.ndarray]:
    """The same samples as `reconstruct`, streamed in blocks of `block` samples, a multiple of hop."""
    if block <= 0 or block % model.hop:
        raise InputError(f"block: {block} is no multiple of this model's hop, {model.hop}")
    channels, length = signal.shape
    live = stream(model, channels)
    for start in range(0, length + model.latency, block):
        x = np.zeros((channels, block), np.float32)
        piece = signal[:, start : start + block]
        x[:, : piece.shape[1]] = piece
        y = live(torch.from_numpy(x).unsqueeze(1)).squeeze(1).numpy()
        yield y[:, max(0, model.latency - start) : length + model.latency - start]


def reconstruct_file(model: RAVE, path: Path, out: Path, block: int | None = None) -> float:
    """Read `path`, write its reconstruction to `out` (wav, the model's rate, the file's channels); seconds of audio."""
    signal = audio.load(path, model.sample_rate)
    if block is None:
        made = reconstruct(model, signal)
    else:
        made = np.concatenate(list(reconstruct_blocks(model, signal, block)), axis=1)
    audio.save(out, made, model.sample_rate)
    return signal.shape[1] / model.sample_rate
