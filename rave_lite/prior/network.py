"""The prior: a recurrent network that says how likely each next frame of latents is, and draws it."""

import math
from typing import Any, Final

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

FLOOR = 0.1  # standard deviations: no density knows a direction better, nor does the Gaussian that it is compared with
RANGE = 7.0  # log factors of a deviation, at most
OLD = 1000.0  # frames: no stroke counts as longer ago
PSEUDO = 2.0  # frames of average strokes that each age counts beside its own
AGES = sorted({round(1.15**power) for power in range(50)})  # frames: where the bins of a stroke's age begin


class Prior(nn.Module):
    """A GRU over the first principal directions, standardised and turned, and over strokes.

    Each frame has a stroke variable: 0, or the class of loudness, from 1 to `loudness`, of a stroke that begins in it. The
    network knows all earlier frames and how long ago the last stroke was. First it says how likely each stroke is; then,
    given the stroke, the frame's density: a mixture of `components` Gaussians. A component's mean and deviations are those
    of a Gaussian AR(1) process, the best one of the training set, moved and scaled by the network. The axes are those in
    which the errors of that process are uncorrelated, so a Gaussian with all its covariances is where training starts; for
    strokes it is a renewal process.

    `size`: latents of the model; `directions`: those that are drawn, the strongest. The others follow by regression.
    """

    range: Final[float] = RANGE
    mean: Tensor
    deviation: Tensor
    axes: Tensor
    start: Tensor
    step: Tensor
    drift: Tensor
    error: Tensor
    lowest: Tensor
    highest: Tensor
    others: Tensor
    others_mean: Tensor
    edges: Tensor
    ages: Tensor

    def __init__(self, *, size: int, directions: int, hidden: int = 256, layers: int = 2, components: int = 8,
                 loudness: int = 4, dropout: float = 0.3):
        super().__init__()
        self.config: dict[str, Any] = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        n = directions
        self.size, self.directions, self.hidden, self.layers = size, n, hidden, layers
        self.components, self.classes = components, loudness + 1
        self.gru = nn.GRU(n + self.classes + len(AGES), hidden, layers, batch_first=True,
                          dropout=dropout if layers > 1 else 0.0)
        self.dropout = nn.Dropout(dropout)
        self.stroke = nn.Linear(hidden + len(AGES), self.classes)
        self.inner = nn.Linear(hidden + self.classes, hidden)
        self.outer = nn.Linear(hidden, components * (1 + 2 * n))
        nn.init.normal_(self.outer.weight, std=0.01)
        nn.init.normal_(self.outer.bias, std=0.1)
        shapes = {"mean": (n,), "deviation": (n,), "axes": (n, n), "start": (n,), "step": (n, n), "drift": (n,),
                  "error": (n,), "lowest": (n,), "highest": (n,), "others": (n, size - n), "others_mean": (size - n,),
                  "edges": (loudness - 1,)}
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))
        self.register_buffer("ages", torch.tensor(AGES, dtype=torch.float32) + 0.5, persistent=False)

    @torch.jit.unused
    def standardise(self, latents: Tensor) -> Tensor:
        """Principal directions `(..., size)` on the prior's axes, `(..., directions)`."""
        return (latents[..., : self.directions] - self.mean) / self.deviation @ self.axes

    def restore(self, frames: Tensor) -> Tensor:
        """Frames on the prior's axes as principal directions, the others at their conditional mean."""
        first = self.mean + self.deviation * (frames @ self.axes.T)
        return torch.cat([first, self.others_mean + frames @ self.others], -1)

    @torch.jit.unused
    def classify(self, levels: Tensor) -> Tensor:
        """The stroke variable of strokes with these levels, dBFS; 0 for NaN."""
        return torch.where(levels.isnan(), 0, 1 + torch.bucketize(levels.nan_to_num(), self.edges))

    def inputs(self, before: Tensor, stroke_before: Tensor, age: Tensor) -> Tensor:
        """The GRU's input: the frame before, its stroke variable, and frames since the last stroke began."""
        return torch.cat([before, one_hot(stroke_before, self.classes), self.binned(age)], -1)

    def binned(self, age: Tensor) -> Tensor:
        """One-hot ages, by frames for short ones: when a stroke is due can be read from them at once."""
        return one_hot((age.unsqueeze(-1) > self.ages).sum(-1), len(self.ages))

    def strokes(self, h: Tensor, age: Tensor) -> Tensor:
        """Logits of the stroke variable, of the network's state and frames since the last stroke."""
        return self.stroke(torch.cat([h, self.binned(age)], -1))

    def mixture(self, h: Tensor, stroke: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of the frame: log weights `(..., C)`, means and deviations without the floor `(..., C, directions)`."""
        inner = torch.tanh(self.inner(torch.cat([h, one_hot(stroke, self.classes)], -1)))
        out = self.outer(self.dropout(inner)).unflatten(-1, [self.components, 1 + 2 * self.directions])
        scale = self.error * torch.exp(self.range * torch.tanh(out[..., 1 + self.directions :] / self.range))
        mean = (before @ self.step + self.drift).unsqueeze(-2) + self.error * 4 * out[..., 1 : 1 + self.directions]
        return torch.log_softmax(out[..., 0], -1), mean, scale

    @torch.jit.unused
    def forward(self, frames: Tensor, strokes: Tensor, previous: Tensor) -> Tensor:
        """Log likelihood, nats, of each frame `(B, T, directions)` with its stroke variable `(B, T)`: `(B, T)`.

        `previous`: the frames before, with noise in training.
        """
        age = ages(strokes)
        hidden, _ = self.gru(self.inputs(previous, F.pad(strokes[:, :-1], (1, 0)), age))
        hidden = self.dropout(hidden)
        of_stroke = torch.log_softmax(self.strokes(hidden, age), -1).gather(-1, strokes.unsqueeze(-1)).squeeze(-1)
        weight, mean, scale = self.mixture(hidden, strokes, previous)
        return of_stroke + torch.logsumexp(weight + gaussian(frames.unsqueeze(-2), mean, floored(scale)), -1)

    @torch.jit.unused
    @torch.no_grad()
    def log_likelihood(self, latents: Tensor, levels: Tensor) -> Tensor:
        """Nats of each frame of a sequence `(T, size)`, in its standardised directions, `(T,)`."""
        frames, strokes = self.standardise(latents)[None], self.classify(levels)[None]
        return self(frames, strokes, self.delayed(frames))[0]

    @torch.jit.unused
    @torch.no_grad()
    def ar1(self, latents: Tensor) -> Tensor:
        """As `log_likelihood`, of the Gaussian AR(1) process."""
        frames = self.standardise(latents)
        return gaussian(frames, self.delayed(frames[None])[0] @ self.step + self.drift, floored(self.error))

    @torch.jit.unused
    def delayed(self, frames: Tensor) -> Tensor:
        """The frames before `(B, T, directions)`: silence before the first."""
        return torch.cat([self.start.expand(len(frames), 1, -1), frames[:, :-1]], 1)

    @torch.jit.unused
    @torch.no_grad()
    def measure(self, latents: Tensor, before: Tensor, levels: Tensor, silence: Tensor, like: Tensor | None = None) -> None:
        """Set what is not learned: `(N, size)` frames of the training set, those before them, levels of all strokes `(S,)`,
        the latent of silence `(size,)`. `like`: axes that its own are ordered and turned round after."""
        n = self.directions
        latents, before = latents.double(), before.double()
        self.mean.copy_(latents[:, :n].mean(0))
        self.deviation.copy_(latents[:, :n].std(0).clamp_min(1e-6))
        x, x_before = ((part[:, :n] - self.mean) / self.deviation for part in (latents, before))
        step, drift, error = regression(x_before, x)
        axes = torch.linalg.eigh(error.T @ error / len(error))[1]
        axes = axes if like is None else matched(axes, like)
        self.axes.copy_(axes)
        self.step.copy_(axes.T @ step @ axes)
        self.drift.copy_(drift @ axes)
        self.error.copy_((error @ axes).square().mean(0).sqrt())
        u = x @ axes
        self.start.copy_(self.standardise(silence))
        margin = 0.1 * (u.amax(0) - u.amin(0))
        self.lowest.copy_(u.amin(0) - margin)
        self.highest.copy_(u.amax(0) + margin)
        others, others_mean, _ = regression(u, latents[:, n:])
        self.others.copy_(others)
        self.others_mean.copy_(others_mean)
        if len(levels):
            self.edges.copy_(levels.quantile(torch.arange(1, len(self.edges) + 1) / (len(self.edges) + 1)))

    @torch.jit.unused
    @torch.no_grad()
    def measure_strokes(self, sequences: list[Tensor]) -> None:
        """Start as the renewal process of the training set: each stroke as likely as there at its age. `(T,)` each."""
        counts = torch.stack([one_hot(row, self.classes).T @ self.binned(ages(row[None])[0]) for row in sequences]).sum(0)
        share = one_hot(torch.cat(sequences), self.classes).mean(0).clamp_min(1e-4)
        rate = (counts + PSEUDO * share[:, None]) / (counts.sum(0) + PSEUDO)
        self.stroke.bias.copy_(share.log())
        self.stroke.weight.copy_(F.pad(rate.log() - share.log()[:, None], (self.hidden, 0)))

    @torch.jit.unused
    @torch.no_grad()
    def take_over(self, other: "Prior") -> None:
        """Go on with all that another prior of the same shape has learned but its table of strokes."""
        table = self.stroke.weight[:, self.hidden :].clone(), self.stroke.bias.clone()
        self.load_state_dict(dict(other.named_parameters()), strict=False)
        self.stroke.weight[:, self.hidden :], self.stroke.bias[:] = table


def one_hot(numbers: Tensor, count: int) -> Tensor:
    return (numbers.unsqueeze(-1) == torch.arange(count, device=numbers.device)).float()


def floored(scale: Tensor) -> Tensor:
    return torch.sqrt(scale.square() + FLOOR**2)


def gaussian(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Log density of uncorrelated Gaussians, summed over the last dimension."""
    return -(0.5 * ((x - mean) / deviation).square() + deviation.log() + 0.5 * math.log(2 * math.pi)).sum(-1)


def ages(strokes: Tensor) -> Tensor:
    """Frames from the last stroke before each frame, `(B, T)`."""
    time = torch.arange(strokes.shape[1]).expand_as(strokes)
    last = torch.where(strokes > 0, time, -int(OLD)).cummax(1).values
    return (time - F.pad(last[:, :-1], (1, 0), value=-int(OLD))).clamp_max(int(OLD)).float()


def matched(axes: Tensor, like: Tensor) -> Tensor:
    """Axes `(n, n)`, the columns, in the order and with the signs that bring them nearest to others."""
    cosines = like.to(axes).T @ axes
    rows, columns = linear_sum_assignment(-cosines.abs().numpy())
    return axes[:, columns] * torch.where(cosines[rows, columns] < 0, -1.0, 1.0).to(axes)


def regression(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Least squares `y = x @ weight + offset`, with a ridge of a thousandth of x's variances; also the errors."""
    centred, target = x - x.mean(0), y - y.mean(0)
    gram = centred.T @ centred
    ridge = 1e-3 * gram.diagonal().mean().clamp_min(1e-9) * torch.eye(x.shape[1], dtype=x.dtype)
    weight = torch.linalg.solve(gram + ridge, centred.T @ target)
    offset = y.mean(0) - x.mean(0) @ weight
    return weight, offset, y - x @ weight - offset
