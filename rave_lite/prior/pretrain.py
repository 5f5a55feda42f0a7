"""What a prior learns before the user's recordings: rhythms of the built-in drums, in the latents of the same model."""

import torch

from rave_lite.data.drums import rhythms
from rave_lite.evaluation.reconstruct import to_model_channels
from rave_lite.layers import reset, stream
from rave_lite.model import RAVE
from rave_lite.prior.sequences import Sequence, sequence

MAX_STROKES = 160  # of the user's recordings; with more it brings nothing (docs/benchmarks.md, "A prior")
TRAIN, HELD_OUT = range(100, 108), range(108, 110)  # seeds: nobody's own built-in set has them


@torch.no_grad()
def built_in_rhythms(model: RAVE) -> tuple[list[Sequence], list[Sequence]]:
    """To train on, and held out: 8 and 2 rhythms of each drum, 14 s or so each."""
    live, sides = stream(model), dict[range, list[Sequence]]()
    for seeds in (TRAIN, HELD_OUT):
        rows = sides.setdefault(seeds, [])
        for seed in seeds:
            for name, sound in rhythms(seed, model.sample_rate).items():
                reset(live)
                rows.append(sequence(model, live, to_model_channels(model, sound[None]), f"{name}_{seed}"))
    return sides[TRAIN], sides[HELD_OUT]
