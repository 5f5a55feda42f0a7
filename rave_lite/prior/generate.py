"""Sound that a prior and its model make by themselves, offline."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rave_lite.layers import seed_noise, stream
from rave_lite.model import RAVE
from rave_lite.prior.codes import nearest_codes
from rave_lite.prior.network import Prior
from rave_lite.prior.player import FREE, PriorPlayer
from rave_lite.prior.sequences import Sequence


@dataclass(frozen=True)
class Performance:
    """How a prior is played. `seconds`: of what it adds; `density`: a factor on the odds of strokes; `seed`: of all noise.

    `opening`: a recording that it goes on from; `groove`: one whose strokes come again and again, in place of its own;
    `tempo`: how fast strokes follow each other, 1 as learned, or as in the groove.
    """

    seconds: float
    temperature: float = 0.8
    density: float = 1.0
    seed: int = 1
    opening: Sequence | None = None
    groove: Sequence | None = None
    tempo: float = 1.0


@torch.no_grad()
def generate(model: RAVE, prior: Prior, performance: Performance) -> np.ndarray:
    """The sound, `(T,)` or `(2, T)`: what an exported file's method `generate` plays with the same seed, after the opening.
    """
    frames = max(1, round(performance.seconds * model.sample_rate / model.hop))
    latents = draw(prior, performance, frames, nearest_codes(model))
    if performance.opening:
        latents = torch.cat([performance.opening.latents[: performance.opening.counted].T, latents], 1)
    live = stream(model)
    seed_noise(live, performance.seed)
    blocks = [live.decode(model.principal.inverse(block)) for block in latents[None].split(256, -1)]
    sound = torch.cat(blocks, -1)[0].cpu().numpy()
    return sound if len(sound) == 2 else sound[0]


def draw(prior: Prior, performance: Performance, frames: int, nearest: nn.Module | None = None) -> Tensor:
    """Principal directions `(size, frames)`; `nearest`: as of `PriorPlayer`."""
    player = PriorPlayer(prior, 1, nearest)
    player.set_seed(performance.seed)
    player.turn(1, performance.density)
    if performance.opening:
        player.continue_from(performance.opening.latents[: performance.opening.counted],
                    performance.opening.levels[: performance.opening.counted])
    strokes = torch.full((1, frames), FREE)
    if performance.groove:
        loop = at_tempo(by_rank(prior, performance.groove), performance.tempo)
        strokes = loop.repeat(-(-frames // len(loop)))[None, :frames]
    player.turn(0, performance.temperature)
    player.turn(2, performance.tempo)
    return player(torch.zeros(1, 1, frames), strokes)[0]


def by_rank(prior: Prior, groove: Sequence) -> Tensor:
    """The stroke variable of each frame of a groove: its loudest strokes are in the loudest class."""
    levels = groove.levels[: groove.counted]
    known = levels[~levels.isnan()]
    edges = known.quantile(torch.arange(1, prior.classes - 1) / (prior.classes - 1)) if len(known) else prior.edges
    return torch.where(levels.isnan(), 0, 1 + torch.bucketize(levels.nan_to_num(), edges))


def at_tempo(strokes: Tensor, tempo: float) -> Tensor:
    """The stroke variable `(T,)` in `T / tempo` frames; of strokes that come together the loudest stays."""
    frames = max(1, round(len(strokes) / tempo))
    moved = (torch.arange(len(strokes)) / tempo).long().clamp_max(frames - 1)
    return strokes.new_zeros(frames).scatter_reduce(0, moved, strokes, "amax")
