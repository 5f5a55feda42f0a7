"""Reconstruction of audio by a model, with the model's latency compensated."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from rave_lite.data import audio, level, outputs
from rave_lite.errors import InputError
from rave_lite.layers import LevelFollower, reset, seed_noise, stream
from rave_lite.model import RAVE
from rave_lite.model.calibration import SourceMoments

Calibration = tuple[SourceMoments, torch.Tensor]  # and the settings of its `move`
LONG = 1 << 19  # samples per pass, so that memory does not grow with the recording


class Reconstruction:
    """`reconstruct` for many signals with `channels` channels: the model is prepared once, with its present weights.

    A stereo model plays each signal as one, in two channels: see `to_model_channels`.
    `calibration`: of the latents, as the function of that name returns it. `envelope`: how far the short-time level of the
    output follows the signal's, 0 to 1.
    """

    def __init__(self, model: RAVE, channels: int = 1, calibration: Calibration | None = None, envelope: float = 0.0):
        channels = channels if model.channels == 1 else 2
        self.model, self.live = model, stream(model, channels // model.channels)
        self.calibration, self.envelope = calibration, envelope
        self.follower = LevelFollower(model.pqmf.n_bands, model.sample_rate, channels)
        self.sample_rate = model.sample_rate

    @torch.no_grad()
    def __call__(self, signal: np.ndarray, block: int | None = None, *, seed: int = 0) -> np.ndarray:
        hop, latency, signal = self.model.hop, self.model.latency, to_model_channels(self.model, signal)
        length = signal.shape[1]
        if block is not None and (block <= 0 or block % hop):
            raise InputError(f"{block} is no multiple of this model's hop, {hop}", where="block")
        reset(self.live)
        seed_noise(self.live, seed)
        blocks = [self._play(x).flatten(0, 1).cpu().numpy() for x in split(self.model, signal, block)]
        output = np.concatenate(blocks, axis=1)
        if self.envelope:
            output = self._follow(output, np.pad(signal, ((0, 0), (latency, output.shape[1])))[:, : output.shape[1]])
        return output[:, latency : latency + length]

    def _follow(self, output: np.ndarray, signal: np.ndarray) -> np.ndarray:
        self.follower.reset()
        sound, guide = (torch.from_numpy(x.astype(np.float32)).unflatten(1, (-1, len(self.follower.ramp)))
                        for x in (output, signal))
        return self.follower(sound, guide, torch.full((sound.shape[1],), self.envelope)).flatten(1).numpy()

    def _play(self, x: torch.Tensor) -> torch.Tensor:
        z = self.live.encode(x)
        if self.calibration is not None:
            source, settings = self.calibration
            z = self.model.principal.inverse(source.move(self.model.principal(z), settings))
        return self.live.decode(z)


@torch.no_grad()
def calibration(model: RAVE, signals: Iterable[np.ndarray], amount: float) -> Calibration | None:
    """Moves the latents of all `signals` `(channels, samples)` by `amount`, 0 to 1, onto the model's training set.

    None for an amount of 0.
    """
    if not amount:
        return None
    source, live = SourceMoments(model), stream(model)
    sounds = (to_model_channels(model, signal) for signal in signals)
    for signal in (part for sound in sounds for part in np.split(sound, len(sound) // model.channels)):
        reset(live)
        for x in split(model, signal):
            source(model.principal(live.encode(x)))
    return source, source.settings(source.frames.new_full((1, 1), amount))


def reconstruct(model: RAVE, signal: np.ndarray, block: int | None = None, *, seed: int = 0,
                calibrate: float = 0.0, envelope: float = 0.0) -> np.ndarray:
    """Reconstruction of `signal` `(channels, samples)`, same shape, each channel by itself; a stereo model's has two.

    Streamed in blocks of `block` samples, a multiple of hop (InputError otherwise); by default of up to 2^19. The result is
    the same for every block size. `seed`: of the decoder's noise. `calibrate`: how far the signal's latents are moved onto
    those of the training set, 0 to 1. `envelope`: how far the output's short-time level follows the signal's, 0 to 1.
    """
    return Reconstruction(model, len(signal), calibration(model, [signal], calibrate), envelope)(signal, block, seed=seed)


def padded(model: RAVE, signal: np.ndarray) -> torch.Tensor:
    """Signal followed by silence for the latency, up to whole hops: `(channels, T) -> (streams, model's channels, T')`."""
    signal, length = to_model_channels(model, signal), signal.shape[1]
    whole = -(-(length + model.latency) // model.hop) * model.hop
    rows = torch.from_numpy(np.pad(signal.astype(np.float32), ((0, 0), (0, whole - length))))
    return rows.unflatten(0, (-1, model.channels))


def to_model_channels(model: RAVE, signal: np.ndarray) -> np.ndarray:
    """A signal `(channels, T)` as a model takes it: for a stereo model in two channels, by `audio.folded`."""
    return signal if model.channels == 1 else audio.folded(signal.T, 2).T


def split(model: RAVE, signal: np.ndarray, block: int | None = None) -> Iterator[torch.Tensor]:
    """The `padded` signal in blocks, on the model's device."""
    parts = padded(model, signal).split(block or LONG // model.hop * model.hop, -1)
    return (part.to(model.principal.mean.device) for part in parts)


def reconstruct_file(model: RAVE, path: Path, out: Path, block: int | None = None, *, seed: int = 0,
                     calibration: Calibration | None = None, envelope: float = 0.0) -> tuple[float, list[str]]:
    """Writes the reconstruction of `path` to `out` (wav, the model's rate, the file's channels, or two of a stereo model).

    Returns its seconds, and notes.
    """
    signal, notes = level.load(path, model.sample_rate)
    output = Reconstruction(model, len(signal), calibration, envelope)(signal, block, seed=seed)
    outputs.save(out, output, model.sample_rate)
    return signal.shape[1] / model.sample_rate, notes
