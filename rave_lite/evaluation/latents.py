"""Principal directions of a latent: its course over time, and the effect of each direction on a sound."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from rave_lite.data import Windows
from rave_lite.evaluation.reconstruct import padded, to_model_channels
from rave_lite.layers import reset, seed_noise, stream
from rave_lite.model import RAVE

FIRST = 8  # directions
MOVES = (-2, -1, 0, 1, 2)  # standard deviations
INAUDIBLE_VARIANCE_SHARE = 1e-4  # a direction with a smaller share of the variance is inaudible


def measure(model: RAVE, windows: Windows, seconds: float = 30.0) -> None:
    """Fit the model's principal directions to at least `seconds` of the training windows, without augmentation."""
    count = math.ceil(seconds * model.sample_rate / windows.length)
    batch = torch.stack([windows.recorded(i) for i in range(count)])
    model.fit_principal(batch.to(model.principal.mean.device))


def carrying(model: RAVE) -> int:
    """Number of audible directions: a stereo model's image, and those with at least a ten-thousandth of the variance."""
    return model.image_size + int((model.principal.shares()[model.image_size :] >= INAUDIBLE_VARIANCE_SHARE).sum())


@torch.no_grad()
def walk(model: RAVE, sound: np.ndarray) -> np.ndarray:
    """The latent over time along the audible principal directions, the strongest first: `(carrying, ceil(T / hop))`.

    `sound`: `(T,)`, or `(2, T)`.

    In standard deviations of the training set, relative to its mean. The encoder's delay is compensated: frame k belongs to
    the samples from k * hop on.
    """
    rows = to_model_channels(model, np.atleast_2d(sound)).astype(np.float32)
    frames, delay, count = -(-rows.shape[1] // model.hop), max(0, model.encoder.delay), carrying(model)
    x = torch.from_numpy(np.pad(rows, ((0, 0), (0, (frames + delay) * model.hop - rows.shape[1]))))
    p = model.principal(model.encode(x.to(model.principal.mean.device)[None]))[0, :count, delay:]
    return (p / model.principal.variance[:count, None].sqrt()).cpu().numpy()


@torch.no_grad()
def moved(model: RAVE, sound: np.ndarray, moves: Sequence[float] = MOVES, *, directions: int = FIRST,
          seed: int = 0) -> list[list[np.ndarray]]:
    """Reconstructions of a sound `(T,)`, or `(2, T)`, with the whole latent shifted: a row per direction, a column per move.

    `moves`: shifts in standard deviations; 0 is the plain reconstruction. An exported file plays the same with `bias_N` set
    to the shift. `directions`: how many at most, the strongest first; inaudible ones are left out. `seed`: of the decoder's
    noise, which is the same in all reconstructions.
    """
    principal, live = model.principal, stream(model)
    z = live.encode(padded(model, np.atleast_2d(sound)).to(principal.mean.device))
    count = min(directions, carrying(model))
    steps = principal.directions[:count] * principal.variance[:count, None].sqrt()

    def decode(shift: torch.Tensor) -> np.ndarray:
        reset(live)
        seed_noise(live, seed)
        y = live.decode(z + shift[:, None])[0, :, model.latency :][:, : sound.shape[-1]].cpu().numpy()
        return y[0] if len(y) == 1 else y

    plain = decode(torch.zeros_like(principal.mean))
    return [[decode(move * step) if move else plain for move in moves] for step in steps]


def percent(share: float) -> str:
    return f"{100 * share:.{0 if share >= 0.0995 else 1}f} %" if share >= 0.0005 else "<0.1 %"
