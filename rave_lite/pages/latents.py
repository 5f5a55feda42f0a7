"""The page section about a model's latent: walks over time, and a grid of a hit moved along each direction."""

from collections.abc import Iterator
from string import Template

import numpy as np

from rave_lite.evaluation import latents, pictures
from rave_lite.evaluation.latents import MOVES
from rave_lite.model import RAVE
from rave_lite.pages import page
from rave_lite.pages.page import escaped

WALK_SECONDS = 3.0  # shown of a sound at most
CELL_SECONDS = 1.5  # played in a cell of the grid at most
WIDTH = 120  # pixels of a cell's picture
UNMEASURED = """ These directions were never measured on recordings: they are as imported, and σ is a guess.
<code>rave-lite import … data.root=DIR</code> measures them."""


def section(model: RAVE, name: str, sounds: dict[str, np.ndarray], chosen: tuple[str, np.ndarray]) -> Iterator[str]:
    """`<section class="latents">` about a model called `name`: the walks of `sounds`, and the grid of the hit `chosen`.

    Sounds, `(T,)`, are at the rate of the model. A walk shows 3 s, a cell plays 1.5 s. The page needs
    the part "latents" of `page.write`.
    """
    principal, count = model.principal, min(latents.carrying(model), latents.FIRST)
    remainder = latents.percent(1 - principal.carried(count))
    remainder = f"; all but the first {count} carry {remainder}" if count < model.latent_size else ""
    values = {"name": escaped(name), "hit": escaped(chosen[0]), "count": str(count), "rest": escaped(remainder),
              "unmeasured": "" if principal.measured else UNMEASURED}
    yield Template(page.text("latents.html")).substitute(values)
    yield '<div class="walks">\n'
    for title, sound in sounds.items():
        yield picture(model, title, sound[: round(WALK_SECONDS * model.sample_rate)])
    yield "</div>\n"
    yield from grid(model, name, chosen[0], chosen[1][: round(CELL_SECONDS * model.sample_rate)])
    yield "</section>\n"


def picture(model: RAVE, hit: str, sound: np.ndarray) -> str:
    """A figure with the latent walk of one hit."""
    webp, name = pictures.webp(pictures.latent_walk(model, sound)), escaped(hit)
    return (f'<figure><figcaption class="name">{name}</figcaption><img alt="Spectrogram of {name}, its latent over time" '
            f'src="data:image/webp;base64,{page.base64(webp)}"></figure>\n')


def grid(model: RAVE, name: str, hit: str, sound: np.ndarray) -> Iterator[str]:
    """A table of buttons that play; arrow keys move between them."""
    rate, shares = model.sample_rate, model.principal.shares().tolist()
    rows = latents.moved(model, sound)
    top = max((float(pictures.log_mel(output, rate).max()) for row in rows for output in row), default=0.0)
    peak = max([1.0, *(float(np.abs(output).max(initial=0)) for row in rows for output in row)])  # one gain for all
    heads = "".join(f'<th scope="col">{move(m)}</th>' for m in MOVES)
    yield (f'<table role="grid" aria-label="{escaped(hit)} by {escaped(name)}, moved along each direction">\n'
           f'<thead><tr><th scope="col">direction</th>{heads}</tr></thead>\n<tbody>\n')
    for number, row in enumerate(rows, 1):
        yield f'<tr><th scope="row">{number}<small>{escaped(latents.percent(shares[number - 1]))}</small></th>'
        for m, output in zip(MOVES, row, strict=True):
            focus = "0" if number == 1 and m == 0 else "-1"  # the tab key stops at one cell; arrow keys reach the others
            webp, mp3 = map(page.base64, (pictures.thumbnail(output, rate, WIDTH, top=top), page.mp3(output / peak, rate)))
            yield (f'<td role="gridcell"><button type="button" class="play" tabindex="{focus}" '
                   f'aria-label="Direction {number}, {move(m)}" data-sound="{mp3}">'
                   f'<img alt="" width="{WIDTH}" height="72" src="data:image/webp;base64,{webp}"></button></td>')
        yield "</tr>\n"
    yield "</tbody></table>\n"


def move(sigmas: float) -> str:
    return f"{sigmas:+g} σ".replace("-", "−") if sigmas else "0"
