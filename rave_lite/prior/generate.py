"""Sound that a prior and its model make by themselves, offline."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rave_lite.layers import seed_noise, stream
from rave_lite.model import RAVE
from rave_lite.prior.network import Prior
from rave_lite.prior.player import FREE, PriorPlayer
from rave_lite.prior.sequences import Sequence


@dataclass(frozen=True)
class Performance:
    """How a prior is played. `seconds`: of what it adds; `density`: a factor on the odds of strokes; `seed`: of all noise.

    `opening`: a recording that it goes on from; `groove`: one whose strokes come again and again, in place of its own.
    """

    seconds: float
    temperature: float = 0.8
    density: float = 1.0
    seed: int = 1
    opening: Sequence | None = None
    groove: Sequence | None = None


@torch.no_grad()
def generate(model: RAVE, prior: Prior, performance: Performance) -> np.ndarray:
    """The sound, `(T,)` or `(2, T)`: what an exported file's method `generate` plays with the same seed, after the opening.
    """
    frames = max(1, round(performance.seconds * model.sample_rate / model.hop))
    latents = draw(prior, performance, frames)
    if performance.opening:
        latents = torch.cat([performance.opening.latents[: performance.opening.counted].T, latents], 1)
    live = stream(model)
    seed_noise(live, performance.seed)
    blocks = [live.decode(model.principal.inverse(block)) for block in latents[None].split(256, -1)]
    sound = torch.cat(blocks, -1)[0].cpu().numpy()
    return sound if len(sound) == 2 else sound[0]


def draw(prior: Prior, performance: Performance, frames: int) -> Tensor:
    """Principal directions `(size, frames)`."""
    player = PriorPlayer(prior, 1)
    player.set_seed(performance.seed)
    player.turn(1, performance.density)
    if performance.opening:
        player.continue_from(performance.opening.latents[: performance.opening.counted],
                    performance.opening.levels[: performance.opening.counted])
    strokes = torch.full((1, frames), FREE)
    if performance.groove:
        loop = by_rank(prior, performance.groove)
        strokes = loop.repeat(-(-frames // len(loop)))[None, :frames]
    player.turn(0, performance.temperature)
    return player(torch.zeros(1, 1, frames), strokes)[0]


def by_rank(prior: Prior, groove: Sequence) -> Tensor:
    """The stroke variable of each frame of a groove: its loudest strokes are in the loudest class."""
    levels = groove.levels[: groove.counted]
    known = levels[~levels.isnan()]
    edges = known.quantile(torch.arange(1, prior.classes - 1) / (prior.classes - 1)) if len(known) else prior.edges
    return torch.where(levels.isnan(), 0, 1 + torch.bucketize(levels.nan_to_num(), edges))
