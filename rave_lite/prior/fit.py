"""Training of a prior, and how much better than simpler ones it foresees recordings that it was not trained on."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from rich.table import Table
from torch import Tensor

from rave_lite.errors import InputError
from rave_lite.model import RAVE
from rave_lite.model.calibration import latent_of_silence
from rave_lite.prior.network import Prior
from rave_lite.prior.sequences import Sequence
from rave_lite.tables import make_table

FEW_STROKES = 60  # below 40 each halving costs five nats: docs/benchmarks.md, "A prior"
LEAST_GAIN = 0.3  # nats per frame
FIRST = 8  # directions
LEAST_FRAMES = 64  # to train on
ROWS, LENGTH = 4, 128  # of a batch, frames of a row
EVERY, PATIENCE = 20, 8  # steps from one validation to the next; so many without gain end the training
RATE, DECAY, WARM_UP = 2e-3, 1e-2, 20  # of AdamW; steps
INPUT_NOISE = 0.1  # standard deviations: noise on the frames before, which the network reads in training


@dataclass(frozen=True)
class Figures:
    """Held-out nats per frame of a prior, of the AR(1) process, and of the prior on the same frames shuffled.

    Measured in standardised directions, with deviations of at least 0.1 in all. Frames of the recordings only, not of the
    silence after them.
    """

    prior: float
    ar1: float
    shuffled: float
    frames: int
    strokes: int
    held_out_frames: int
    held_out_strokes: int
    step: int

    @property
    def gain(self) -> float:
        """Nats per frame over the AR(1) process."""
        return self.prior - self.ar1

    def table(self) -> Table:
        """A row for the prior and for each of the others."""
        rows = {"this prior": self.prior, "Gaussian AR(1)": self.ar1, "this prior, frames shuffled": self.shuffled}
        cells = [(name, f"{value:.2f}") for name, value in rows.items()]
        return make_table(("held out", "nats per frame"), cells, left=("held out",))

    def warnings(self) -> list[str]:
        """What a user should know before relying on the prior, as sentences."""
        messages = []
        if self.strokes < FEW_STROKES:
            messages.append(f"{self.strokes} strokes to learn from; below {FEW_STROKES} the rhythm is chance: play a longer "
                            "one, or drive it with generate groove=FILE")
        if self.gain < LEAST_GAIN:
            messages.append(f"it foresees held-out recordings no better than a Gaussian ({self.gain:+.2f} nats per frame): "
                            "record more, or longer")
        return messages


def fit(model: RAVE, train: list[Sequence], held_out: list[Sequence], *, directions: int = FIRST, hidden: int = 256,
        layers: int = 2, components: int = 8, dropout: float = 0.3, steps: int = 1500, seed: int = 0,
        pretrained: Prior | None = None, advance: Callable[[], None] = lambda: None) -> tuple[Prior, Figures]:
    """A prior of `model`, trained on sequences of its latents until held-out ones get no likelier, and its figures.

    `pretrained`: a prior of the same shape and model, to start from what it learned of other recordings.
    Raises InputError for too few frames, or latents that are not finite.
    """
    if (count := sum(row.counted for row in train)) < LEAST_FRAMES or not held_out:
        raise InputError(f"{count} frames of latents to train on, {len(held_out)} recordings held out: a prior needs "
                         f"{LEAST_FRAMES} and one at least; record more")
    if not all(row.latents.isfinite().all() for row in train + held_out):
        raise InputError("its latents are not finite: this model is broken; train it anew")
    torch.manual_seed(seed)
    prior = Prior(size=model.latent_size, directions=min(directions + model.image_size, model.latent_size), hidden=hidden,
                  layers=layers, components=components, dropout=dropout)
    silence = latent_of_silence(model).squeeze(1)
    before = torch.cat([torch.cat([silence[None], row.latents[: row.counted - 1]]) for row in train])
    levels = torch.cat([row.levels for row in train])
    prior.measure(torch.cat([row.latents[: row.counted] for row in train]), before, levels[~levels.isnan()], silence,
                  pretrained.axes if pretrained else None)
    data = [(prior.standardise(row.latents), prior.classify(row.levels)) for row in train]
    prior.measure_strokes([strokes for _, strokes in data])
    if pretrained:
        prior.take_over(pretrained)
    optimizer = torch.optim.AdamW(prior.parameters(), lr=RATE, weight_decay=DECAY)
    generator = torch.Generator().manual_seed(seed)
    history: list[Tensor] = []  # nats of each held-out sequence
    best, weights, waited = -math.inf, prior.state_dict(), 0
    for step in range(steps + 1):
        if step % EVERY == 0:
            history.append(nats(prior, held_out))
            waited += 1
            if (mean := float(history[-1].sum())) > best:
                best, weights, waited = mean, copy.deepcopy(prior.state_dict()), 0
            if waited > PATIENCE:
                break
        update(prior, optimizer, data, min(1.0, (step + 1) / WARM_UP), generator)
        advance()
    prior.load_state_dict(weights)
    return prior.eval(), figures(prior, train, held_out, torch.stack(history), generator)


def update(prior: Prior, optimizer: torch.optim.Optimizer, data: list[tuple[Tensor, Tensor]], warmth: float,
           generator: torch.Generator) -> None:
    prior.train()
    frames, strokes, before = batch(data, prior.start, generator)
    previous = before + INPUT_NOISE * torch.randn(before.shape, generator=generator)
    loss = -prior(frames, strokes, previous).mean()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(prior.parameters(), 1.0)
    for group in optimizer.param_groups:
        group["lr"] = RATE * warmth
    optimizer.step()


def batch(data: list[tuple[Tensor, Tensor]], start: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of random recordings, one after the other, long ones from anywhere: frames, strokes, and the frames before."""
    rows = []
    for _ in range(ROWS):
        parts: list[tuple[Tensor, Tensor]] = []
        before = start
        while sum(len(part[1]) for part in parts) < LENGTH:
            frames, strokes = data[int(torch.randint(len(data), (), generator=generator))]
            at = 0
            if len(frames) > LENGTH:
                at = max(0, int(torch.randint(-LENGTH // 2, len(frames) - LENGTH // 2, (), generator=generator)))
            if not parts and at:
                before = frames[at - 1]
            parts.append((frames[at:], strokes[at:]))
        frames, strokes = (torch.cat(side)[:LENGTH] for side in zip(*parts, strict=True))
        rows.append((frames, strokes, torch.cat([before[None], frames[:-1]])))
    frames, strokes, before = (torch.stack(side) for side in zip(*rows, strict=True))
    return frames, strokes, before


def nats(prior: Prior, rows: list[Sequence]) -> Tensor:
    """Log likelihood of each sequence's counted frames, `(N,)`."""
    prior.eval()
    return torch.stack([prior.log_likelihood(row.latents, row.levels)[: row.counted].sum() for row in rows]).double()


def figures(prior: Prior, train: list[Sequence], held_out: list[Sequence], history: Tensor,
            generator: torch.Generator) -> Figures:
    """The figures. `history`: nats `(validations, sequences)`.

    Of several held-out sequences each half is judged after the step that was best for the other half: so the choice of the
    step makes no figure better.
    """
    halves = [torch.arange(len(held_out)) % 2 == side for side in (0, 1)] if len(held_out) > 1 else []
    total = sum(float(history[int(history[:, ~half].sum(1).argmax()), half].sum()) for half in halves) if halves else \
        float(history.max())
    frames = sum(row.counted for row in held_out)
    shuffled = 0.0
    for row in held_out:
        order = torch.randperm(row.counted, generator=generator)
        shuffled += float(prior.log_likelihood(row.latents[order], row.levels[order]).sum())
    return Figures(prior=total / frames,
                   ar1=float(sum(prior.ar1(row.latents)[: row.counted].sum() for row in held_out)) / frames,
                   shuffled=shuffled / frames, frames=sum(row.counted for row in train),
                   strokes=sum(row.strokes for row in train), held_out_frames=frames,
                   held_out_strokes=sum(row.strokes for row in held_out), step=EVERY * int(history.sum(1).argmax()))
