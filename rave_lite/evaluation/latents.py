"""A latent along its principal directions: how it walks over time, and what each direction does to a sound."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from rave_lite.data import Windows
from rave_lite.evaluation.reconstruct import padded
from rave_lite.layers import reset, seed_noise, stream
from rave_lite.model import RAVE

FIRST = 8  # directions
MOVES = (-2, -1, 0, 1, 2)  # standard deviations
INAUDIBLE_VARIANCE_SHARE = 1e-4  # of the variance: what a direction carries that is not heard


def measure(model: RAVE, windows: Windows, seconds: float = 30.0) -> None:
    """Fit the model's principal directions to so much of the training windows, as recorded."""
    count = math.ceil(seconds * model.sample_rate / windows.length)
    heard = torch.stack([windows.recorded(i) for i in range(count)])
    model.fit_principal(heard.to(model.principal.mean.device))


def carrying(model: RAVE) -> int:
    """How many principal directions carry a ten-thousandth of the variance at least; the others are not heard."""
    return int((model.principal.shares() >= INAUDIBLE_VARIANCE_SHARE).sum())


@torch.no_grad()
def walk(model: RAVE, sound: np.ndarray) -> np.ndarray:
    """`(T,) -> (carrying, ceil(T / hop))`: the latent along the principal directions, the strongest first, over time.

    In standard deviations of the training set about its mean. The encoder's delay is taken out: frame k is that of the
    samples from k * hop on.
    """
    frames, late, count = -(-len(sound) // model.hop), max(0, model.encoder.delay), carrying(model)
    x = torch.from_numpy(np.pad(sound.astype(np.float32), (0, (frames + late) * model.hop - len(sound))))
    p = model.principal(model.encode(x.to(model.principal.mean.device)[None, None]))[0, :count, late:]
    return (p / model.principal.variance[:count, None].sqrt()).cpu().numpy()


@torch.no_grad()
def moved(model: RAVE, sound: np.ndarray, moves: Sequence[float] = MOVES, *, directions: int = FIRST,
          seed: int = 0) -> list[list[np.ndarray]]:
    """Reconstructions of a sound `(T,)`, all its frames moved along one direction: a row each direction, a column each move.

    `moves`: standard deviations; 0 is the plain reconstruction. What an exported file plays with `bias_N` set to as many.
    `directions`: at most; of those that carry something, the strongest. `seed`: of the decoder's noise, the same in all.
    """
    principal, live = model.principal, stream(model)
    z = live.encode(padded(model, sound[None]).to(principal.mean.device))
    count = min(directions, carrying(model))
    steps = principal.directions[:count] * principal.variance[:count, None].sqrt()

    def played(shift: torch.Tensor) -> np.ndarray:
        reset(live)
        seed_noise(live, seed)
        made = live.decode(z + shift[:, None])[0, 0, model.latency :][: len(sound)]
        return made.cpu().numpy()

    plain = played(torch.zeros_like(principal.mean))
    return [[played(move * step) if move else plain for move in moves] for step in steps]


def percent(share: float) -> str:
    return f"{100 * share:.{0 if share >= 0.0995 else 1}f} %" if share >= 0.0005 else "<0.1 %"
