"""The prior as it plays: one frame of latents after another, for each of several streams."""

import copy
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rave_lite.layers.noise import SeededNoise
from rave_lite.prior.network import OLD, Prior

SALT = 1 << 10  # of its noise: a model's own sources are numbered from 0 on
HOTTEST = 4.0  # temperature
SLOWEST, FASTEST = 0.5, 2.0  # tempo
KNOBS = {"temperature": 1.0, "density": 1.0, "tempo": 1.0, "hold": 0.0}
RATES = 1e-30, 80.0  # of strokes a frame: float32 holds their exponentials
FREE = -1  # in place of a stroke: the prior draws it


class Cell(nn.Module):
    """A layer of a GRU, frame by frame. `(B, in), (B, hidden) -> (B, hidden)`."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    def __init__(self, gru: nn.GRU, layer: int):
        super().__init__()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            setattr(self, name, getattr(gru, f"{name}_l{layer}"))

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return torch.gru_cell(x, h, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)


class PriorPlayer(nn.Module):
    """Draws latents frame by frame. Scriptable; its state is one buffer, a row for each of up to `streams` streams.

    The noise depends on seed, stream and frame only, so blocks of any length give the same latents. `temperature` scales
    the deviations of what is drawn, and sharpens the choice of the component; `density` multiplies the odds of strokes;
    `tempo` is how fast time runs for them, and for nothing else; while `hold` is 1, the last frame stays. `nearest`: what
    the latents of a frame become when they are played, `(B, size)`, as by `nearest_codes`.
    """

    hottest: Final[float] = HOTTEST
    old: Final[float] = OLD
    rarest: Final[float] = RATES[0]
    surest: Final[float] = RATES[1]
    knobs: Tensor
    silent: Tensor
    state: Tensor

    def __init__(self, prior: Prior, streams: int, nearest: nn.Module | None = None):
        super().__init__()
        self.nearest = nearest or nn.Identity()
        self.prior = copy.deepcopy(prior).eval().requires_grad_(False)
        self.cells = nn.ModuleList([Cell(self.prior.gru, layer) for layer in range(prior.layers)])
        self.prior.gru = nn.Identity()  # type: ignore[assignment]
        self.size, self.directions, self.hidden, self.memory = prior.size, prior.directions, prior.hidden, len(self.cells)
        self.noise = SeededNoise(prior.directions + 2, torch.ones(()))
        self.noise.salt = SALT
        self.register_buffer("knobs", torch.tensor(list(KNOBS.values())), persistent=False)
        self.register_buffer("silent", self.silence(prior), persistent=False)
        self.register_buffer("state", self.silence(prior).repeat(streams, 1), persistent=False)

    @torch.jit.unused
    def silence(self, prior: Prior) -> Tensor:
        """The state of a stream before its first frame: no memory; silence; no stroke; the age of the last, and that age at
        the tempo; its latents."""
        zeros = torch.zeros(prior.layers * prior.hidden)
        return torch.cat([zeros, prior.start, torch.tensor([0.0, OLD, OLD]), prior.restore(prior.start)])

    def forward(self, temperature: Tensor, strokes: Tensor) -> Tensor:
        """`(B, 1, T)`, strokes `(B, T)` or FREE -> principal directions `(B, size, T)`.

        A temperature of 0 or less, as of an inlet to which nothing is connected, means that of the knob.
        """
        temperature = torch.where(temperature > 0, temperature, self.knobs[0]).clamp(0.0, self.hottest)
        noise = self.noise(temperature)
        latents = noise.new_zeros([noise.shape[0], self.size, noise.shape[2]])
        for t in range(noise.shape[2]):
            latents[:, :, t] = self.nearest(self.step(temperature[:, :, t], noise[:, :, t], strokes[:, t]))
        return latents

    def step(self, temperature: Tensor, noise: Tensor, forced: Tensor) -> Tensor:
        """The next frame, `(B, 1), (B, directions + 2), (B,) -> (B, size)`; its last two draw stroke, component."""
        state, n = self.state[: noise.shape[0]], self.directions
        memory, before = self.remember(state)
        chance = 0.5 * torch.erfc(noise[:, n:] * (-(0.5**0.5)))
        logits, late = self.strokes(memory[-1], state[:, self.memory * self.hidden + n + 2])
        logits = torch.cat([logits[:, :1], logits[:, 1:] + self.knobs[1].log()], 1)
        stroke = torch.where(forced < 0, choose(logits, chance[:, :1]), forced)
        weight, mean, scale = self.prior.mixture(memory[-1], stroke, before)
        component = choose(weight / temperature.clamp_min(1e-3), chance[:, 1:]).view(-1, 1, 1).expand(-1, 1, n)
        mean, scale = mean.gather(1, component).squeeze(1), scale.gather(1, component).squeeze(1)
        frame = torch.addcmul(mean, temperature * noise[:, :n], scale).clamp(self.prior.lowest, self.prior.highest)
        return self.keep(state, memory, frame, stroke, late)

    def strokes(self, memory: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the stroke variable, `(B, classes)`, and how much older than learned the last stroke then is, `(B,)`.

        `age`: of the last stroke at the tempo. A frame steps over the ages from `age - tempo` to `age`, parts of up to three
        frames of training, and a stroke comes in it if it comes in one of them: their rates, minus the logarithms of the
        chances of none, are added by these parts. At tempo 1 it is one whole frame.
        """
        begin = (age - self.knobs[2]).clamp_min(0.0)
        first = begin.floor() + 1.0
        logits = self.prior.strokes(memory, first)
        ages = first.unsqueeze(1) + torch.arange(3, device=first.device)
        later = self.prior.strokes(memory.unsqueeze(1).expand(-1, 2, -1), ages[:, 1:])
        every = torch.cat([logits.unsqueeze(1), later], 1)
        rate = F.softplus(every[..., 1:].logsumexp(2) - every[..., 0]).clamp(self.rarest, self.surest)
        part = rate * (torch.minimum(age.unsqueeze(1), ages) - torch.maximum(begin.unsqueeze(1), ages - 1.0)).clamp_min(0.0)
        chance = torch.exp(part - part.cumsum(1)) * -torch.expm1(-part)  # that the stroke comes in this one
        late = ((age.unsqueeze(1) - ages) * chance).sum(1) / chance.sum(1).clamp_min(self.rarest)
        odds = torch.expm1(part.sum(1).clamp(self.rarest, self.surest)).log() - torch.expm1(rate[:, 0]).log()
        return torch.cat([logits[:, :1], logits[:, 1:] + odds.unsqueeze(1)], 1), late

    def remember(self, state: Tensor) -> tuple[list[Tensor], Tensor]:
        """The memory of each layer after the frames so far, and the last of these frames."""
        at, n = self.memory * self.hidden, self.directions
        before, age = state[:, at : at + n], state[:, at + n + 1]
        x = self.prior.inputs(before, state[:, at + n].long(), age)
        memory: list[Tensor] = []
        for layer, cell in enumerate(self.cells):
            x = cell(x, state[:, layer * self.hidden : (layer + 1) * self.hidden])
            memory.append(x)
        return memory, before

    def keep(self, state: Tensor, memory: list[Tensor], frame: Tensor, stroke: Tensor, late: Tensor) -> Tensor:
        """Write the state after a frame, unless it is held. Returns the frame's principal directions.

        `late`: age at the tempo that a stroke has when it comes, so that what a frame rounds is not lost.
        """
        at = self.memory * self.hidden + self.directions + 1
        began = torch.stack([torch.zeros_like(late), late], 1)
        passed = torch.stack([torch.ones_like(self.knobs[2]), self.knobs[2]])
        ages = torch.where(stroke.unsqueeze(1) > 0, began, state[:, at : at + 2]) + passed
        rest = [frame, stroke.unsqueeze(1).float(), ages.clamp_max(self.old), self.prior.restore(frame)]
        following = torch.cat(memory + rest, 1)
        state.copy_(torch.where(self.knobs[3] > 0, state, following))
        return state[:, -self.size :]

    @torch.jit.unused
    def continue_from(self, latents: Tensor, levels: Tensor) -> None:
        """Goes on, in the first stream, after a sequence `(T, size)` and the levels of its strokes `(T,)`."""
        for frame, stroke in zip(self.prior.standardise(latents), self.prior.classify(levels), strict=True):
            self.keep(self.state[:1], self.remember(self.state[:1])[0], frame[None], stroke[None],
                      torch.zeros_like(frame[:1]))

    def turn(self, knob: int, value: float) -> None:
        self.knobs[knob].fill_(value)

    def set_seed(self, seed: int) -> None:
        """Restart the noise from a seed."""
        self.noise.seed.fill_(seed)
        self.noise.position.zero_()

    def reset(self) -> None:
        """Forget every stream, and restart the noise."""
        self.noise.position.zero_()
        self.state.copy_(self.silent)


def choose(logits: Tensor, chance: Tensor) -> Tensor:
    """A number drawn by `chance` `(B, 1)`, uniform in 0 to 1, with the probabilities of logits `(B, N)`: `(B,)`."""
    reached = torch.softmax(logits, 1).cumsum(1)[:, :-1] < chance
    return reached.sum(1)
