"""A latent of codes: residual vector quantisation in factorised codebooks."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rave_lite.errors import InputError
from rave_lite.layers import Noise
from rave_lite.model.latent import Latent

MEMORY = 0.99  # per step, of the share of frames that each entry gets
ALIVE = 0.1  # of an equal share: an entry with less is replaced by a frame of the batch
ITERATIONS = 10  # of k-means, at the start


class Discrete(Latent):
    """Each frame becomes one entry of each of `codebooks`; the next one takes what the ones before have left.

    The encoder's output `(B, size, T)` is projected to `dimension` channels, where the nearest entry is found, and back
    (Kumar et al., DAC, 2023, section 3.1; straight-through gradients). `lookup`: nearest by "cosine", as there, or
    "euclidean", which also tells loud from quiet. `entries`: of each codebook. For a
    share `dropout` of the windows in training only the first codebooks are used, any number. `commitment`: weight of the
    encoder's distance to its entry, beside the entry's to it. `noise_channels`: as of `Wasserstein`. Raises InputError for
    impossible numbers.
    """

    may_idle = True  # what few codes leave out
    usage: Tensor

    def __init__(self, *, size: int = 16, noise_channels: int = 128, codebooks: int = 8, entries: int = 128,
                 dimension: int = 8, dropout: float = 0.0, commitment: float = 0.25,
                 lookup: str = "cosine"):
        super().__init__()
        for name, value, least in (("codebooks", codebooks, 1), ("entries", entries, 2), ("dimension", dimension, 1)):
            if value < least:
                raise InputError(f"{value}; {least} at least", where=f"latent.{name}")
        if not 0 <= dropout <= 1:
            raise InputError(f"{dropout} is no share from 0 to 1", where="latent.dropout")
        if lookup not in ("cosine", "euclidean"):
            raise InputError(f"{lookup!r} is neither cosine nor euclidean", where="latent.lookup")
        self.euclidean = lookup == "euclidean"
        self.size = self.encoder_channels = size
        self.decoder_channels = size + noise_channels
        self.codebooks, self.count, self.dropout, self.commitment = codebooks, entries, dropout, commitment
        directions = torch.stack([nn.init.orthogonal_(torch.empty(dimension, size)) for _ in range(codebooks)])
        self.into, self.out = nn.Parameter(directions.transpose(1, 2).clone()), nn.Parameter(directions)
        self.bias = nn.Parameter(0.1 * torch.randn(codebooks, dimension))  # what silence is projected to
        self.entries = nn.Parameter(torch.randn(codebooks, entries, dimension))
        self.noise = Noise(noise_channels)
        self.register_buffer("usage", torch.full((codebooks, entries), 1 / entries))  # share of the frames

    def mean(self, h: Tensor) -> Tensor:
        return self.from_codes(self.codes(h))

    def widen(self, z: Tensor) -> Tensor:
        """`(B, size, T) -> (B, size + noise_channels, T)`, the decoder's input."""
        return torch.cat([z, self.noise(z)], 1)

    def codes(self, h: Tensor) -> Tensor:
        """The encoder's output to the number of an entry in each codebook, `(B, codebooks, T)`, int64."""
        residual, codes = h.transpose(1, 2), []
        for q in range(self.codebooks):
            codes.append(self.nearest(self.project(residual, q), q))
            residual = residual - self.entries[q][codes[-1]] @ self.out[q]
        return torch.stack(codes, 1)

    def from_codes(self, codes: Tensor) -> Tensor:
        """`(B, codebooks, T)` to latents `(B, size, T)`."""
        tables = torch.bmm(self.entries, self.out)
        z = tables[0][codes[:, 0]]
        for q in range(1, self.codebooks):
            z = z + tables[q][codes[:, q]]
        return z.transpose(1, 2)

    def project(self, residual: Tensor, q: int) -> Tensor:
        return residual @ self.into[q] + self.bias[q]

    def nearest(self, e: Tensor, q: int) -> Tensor:
        entries = self.entries[q]
        if self.euclidean:
            return (e @ entries.transpose(0, 1) - 0.5 * entries.square().sum(1)).argmax(-1)
        return (e @ F.normalize(entries, dim=-1).transpose(0, 1)).argmax(-1)

    @torch.jit.unused
    def draw(self, h: Tensor) -> Tensor:
        """Latents with the gradient of the encoder's output; in training some of few codebooks, and entries are replaced."""
        if not self.training:
            return self.mean(h)
        dropped = torch.rand(len(h), 1, 1, device=h.device) < self.dropout
        used = torch.randint(1, self.codebooks + 1, (len(h), 1, 1), device=h.device).where(dropped, self.codebooks)
        residual, z = h.transpose(1, 2), torch.zeros_like(h).transpose(1, 2)
        for q in range(self.codebooks):
            e = self.project(residual, q)
            codes = self.nearest(e.detach(), q)
            y = (e + (self.entries[q][codes] - e).detach()) @ self.out[q]
            residual, z = residual - y, z + y * (q < used)
            if torch.is_grad_enabled():
                self.revive(q, e.detach().flatten(0, 1), codes.flatten())
        return z.transpose(1, 2)

    @torch.jit.unused
    def penalty(self, h: Tensor) -> Tensor:
        """Squared distance of entries and frames, mean over both, summed over the codebooks."""
        residual, errors = h.transpose(1, 2), []
        for q in range(self.codebooks):
            e = self.project(residual, q)
            entry = self.entries[q][self.nearest(e.detach(), q)]
            errors.append(F.mse_loss(entry, e.detach()) + self.commitment * F.mse_loss(e, entry.detach()))
            residual = residual - (e + (entry - e).detach()) @ self.out[q]
        return torch.stack(errors).sum()

    @torch.jit.unused
    @torch.no_grad()
    def revive(self, q: int, e: Tensor, codes: Tensor) -> None:
        """Count the entries of codebook q that frames `(N, dimension)` got, and replace those that hardly any gets."""
        share = F.one_hot(codes, self.count).to(e.dtype).mean(0)
        usage = torch.lerp(share, self.usage[q], MEMORY)
        dead = usage < ALIVE / self.count
        fresh = e[torch.randint(len(e), (self.count,), device=e.device)]
        self.entries[q] = torch.where(dead[:, None], fresh, self.entries[q])
        self.usage[q] = usage.masked_fill(dead, 1 / self.count)

    @torch.jit.unused
    @torch.no_grad()
    def fit(self, h: Tensor) -> None:
        """Set the entries by k-means of the encoder's output `(B, size, T)`, codebook after codebook."""
        residual = h.transpose(1, 2).flatten(0, 1)
        for q in range(self.codebooks):
            e = self.project(residual, q)
            self.entries[q] = e[torch.randint(len(e), (self.count,), device=e.device)]
            for _ in range(ITERATIONS):
                members = F.one_hot(self.nearest(e, q), self.count).to(e.dtype)
                count = members.sum(0)[:, None]
                self.entries[q] = torch.where(count > 0, members.T @ e / count.clamp_min(1), self.entries[q])
            residual = residual - self.entries[q][self.nearest(e, q)] @ self.out[q]

    @torch.jit.unused
    def figures(self, frame_rate: float) -> dict[str, float]:
        """Of the last hundreds of training steps, means over the codebooks: perplexity of the entries, share of them in use.

        And bits per second, as many as the codes have and as few as their shares need; `frame_rate`: frames per second.
        """
        share = self.usage / self.usage.sum(1, keepdim=True)
        nats = -(share * share.clamp_min(1e-9).log()).sum(1)
        return {"codes/perplexity": float(nats.exp().mean()),
                "codes/in_use": float((self.usage > ALIVE / self.count).float().mean()),
                "codes/bits_per_second": frame_rate * self.codebooks * math.log2(self.count),
                "codes/entropy_per_second": frame_rate * float(nats.sum()) / math.log(2)}
