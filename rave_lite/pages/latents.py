"""The page section about a model's latent: walks over time, and a grid of a hit moved along each direction."""

from collections.abc import Iterator

import numpy as np

from rave_lite.data import audio
from rave_lite.evaluation import latents, pictures
from rave_lite.evaluation.evaluate import at_rate
from rave_lite.evaluation.latents import MOVES, percent
from rave_lite.evaluation.side_by_side import SideBySide
from rave_lite.model import RAVE
from rave_lite.pages import page

WALK_SECONDS = 3.0  # shown of a sound at most
CELL_SECONDS = 1.5  # played in a cell of the grid at most
WIDTH = 120  # pixels of a cell's picture


def section(model: RAVE, name: str, sounds: dict[str, np.ndarray], chosen: tuple[str, np.ndarray]) -> Iterator[str]:
    """`<section class="latents">` about a model called `name`: the walks of `sounds`, and the grid of the hit `chosen`.

    Sounds, `(T,)` or `(2, T)`, are at the rate of the model. A walk shows 3 s, a cell plays 1.5 s. The page needs
    the part "latents" of `page.write`.
    """
    principal, count, rate = model.principal, min(latents.carrying(model), latents.FIRST), model.sample_rate
    walks = ((title, pictures.webp(pictures.latent_walk(model, sound[..., : round(WALK_SECONDS * rate)])))
             for title, sound in sounds.items())
    hit, sound = chosen
    outputs = latents.moved(model, sound[..., : round(CELL_SECONDS * rate)])
    top = max((pictures.brightest(audio.mix(output), rate) for row in outputs for output in row), default=0.0)
    peak = max([1.0, *(audio.peak(output) for row in outputs for output in row)])  # one gain for all
    rows = ((percent(share), [page.playable(output, rate, WIDTH, top=top, gain=1 / peak) for output in row])
            for share, row in zip(principal.shares().tolist(), outputs, strict=False))
    return page.render("latents.html", name=name, hit=hit, count=count, walks=walks, rows=rows,
                       rest=percent(1 - principal.carried(count)) if count < model.latent_size else "",
                       stereo=model.image_size > 0,
                       moves=[f"{m:+g} σ".replace("-", "−") if m else "0" for m in MOVES], measured=principal.measured)


def sections(models: list[RAVE], names: list[str], shown: list[SideBySide], hit: str, walks: int,
             sample_rate: int) -> Iterator[str]:
    """A `section` for each model: walks of the first `walks` recordings, and `hit` moved; none without walks.

    `sample_rate`: of the recordings, Hz.
    """
    for model, name in zip(models, names, strict=True) if walks else ():
        originals = {row.name: row.original for number, row in enumerate(shown) if number < walks or row.name == hit}
        sounds = {title: at_rate(sound if model.channels == 2 else audio.mix(sound), sample_rate, model.sample_rate)
                  for title, sound in originals.items()}
        yield from section(model, name, dict(list(sounds.items())[:walks]), (hit, sounds[hit]))
