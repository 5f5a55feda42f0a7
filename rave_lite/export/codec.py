"""The streaming model of an exported file: encoder and decoder, each planned into an `Arena`."""

import copy
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rave_lite.export.arena import Arena
from rave_lite.export.folding import fold, normalised_products, rotation, shift
from rave_lite.export.noise import BlockNoise, NoiseFilter
from rave_lite.export.plan import Plan, Region, length
from rave_lite.export.precision import lower_precision
from rave_lite.layers import stream
from rave_lite.layers.noise import modified_sigmoid
from rave_lite.model import RAVE
from rave_lite.model.decoder import LoudnessDecoder
from rave_lite.model.discrete import Discrete
from rave_lite.model.encoder import StridedStage
from rave_lite.model.latent import Spherical, Wasserstein

AUDIO_LIMIT = 8.0  # times full scale: louder input is an error, and must not overflow in the model


@torch.jit.interface
class Codec(nn.Module):
    """The methods of `StreamingCodec`. Through an interface they are compiled apart, once for all that call them."""

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[empty-body]
        pass

    def decode(self, p: Tensor) -> Tensor:  # type: ignore[empty-body]
        pass

    def codes(self) -> Tensor:  # type: ignore[empty-body]
        pass

    def from_codes(self, codes: Tensor) -> Tensor:  # type: ignore[empty-body]
        pass

    def reset(self) -> None:
        pass

    def turn_norms(self, name: str, value: float) -> None:
        pass

    def set_noise(self, amount: float) -> None:
        pass

    def set_seed(self, seed: int) -> None:
        pass


class StreamingCodec(nn.Module):
    """Samples to principal directions and back, in blocks.

    Encoder and decoder may be in another precision; audio and principal directions are float32. `dry_delay`: samples by
    which `encode` delays its input, beside encoding it. What `encode` and `decode` return holds until the next block.
    """

    def __init__(self, model: RAVE, batch_size: int, precision: str, dry_delay: int):
        super().__init__()
        rave = stream(model.float(), batch_size)
        fold(rave)
        self.dtype = lower_precision(rave, precision)
        self.encoder = StreamingEncoder(rave, batch_size, self.dtype, dry_delay)
        self.decoder = StreamingDecoder(rave, batch_size, self.dtype)

    @torch.jit.export
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, channels, T) -> (B, size, T / hop)`, and the delayed input `(B * channels, T / n_bands, n_bands)`, samples in
        their order."""
        return self.encoder(x)

    @torch.jit.export
    def decode(self, p: Tensor) -> Tensor:
        """`(B, n, T / hop) -> (B * channels, T / n_bands, n_bands)`, samples in their order; p may be the first directions
        only."""
        return self.decoder(p)

    @torch.jit.export
    def codes(self) -> Tensor:
        """What a discrete latent chose of the block that was encoded last, `(B, codebooks, T / hop)`."""
        return self.encoder.codes

    @torch.jit.export
    def from_codes(self, codes: Tensor) -> Tensor:
        """Codes to principal directions, `(B, codebooks, T) -> (B, size, T)`; of others than a discrete latent nothing."""
        return self.encoder.rotated(codes)

    @torch.jit.export
    def reset(self) -> None:
        """Forget every stream and restart the noise."""
        for part in self.modules():
            if hasattr(part, "cache"):
                part.cache.zero_()  # type: ignore[operator]
            if hasattr(part, "position"):
                part.position.zero_()  # type: ignore[operator]

    @torch.jit.export
    def turn_norms(self, name: str, value: float) -> None:
        """Set an attribute of every adaptive normalisation."""
        for part in self.modules():
            if hasattr(part, "settled"):
                part.turn(name, value)  # type: ignore[operator]

    @torch.jit.export
    def set_noise(self, amount: float) -> None:
        for part in self.modules():
            if hasattr(part, "position"):
                part.set_amount(amount)  # type: ignore[operator]

    @torch.jit.export
    def set_seed(self, seed: int) -> None:
        """Restart the noise from a seed."""
        for part in self.modules():
            if hasattr(part, "position"):
                part.set_seed(seed)  # type: ignore[operator]


class StreamingEncoder(nn.Module):
    """Samples to principal directions, and the samples themselves, later. See `StreamingCodec.encode`."""

    limit: Final[float] = AUDIO_LIMIT
    centre: Tensor
    directions: Tensor
    codes: Tensor

    def __init__(self, rave: Any, batch_size: int, dtype: torch.dtype, dry_delay: int):
        super().__init__()
        self.hop, self.n_bands, self.channels, plan = rave.hop, rave.pqmf.n_bands, rave.channels, Plan()
        rate = self.hop // self.n_bands
        samples, bands = (plan.region(self.channels * self.n_bands, rate, wide=True) for _ in range(2))
        self.dry = plan.tap(samples, dry_delay // self.n_bands)
        plan.step(rave.pqmf.analysis, samples, bands, parts=self.channels)
        shifts, first = {conv: shift(norm) for conv, norm in normalised_products(rave)}, rave.encoder.first
        x = plan.step(first, bands, plan.region(rave.config["capacity"], rate), bias=shifts.get(first))
        for stage in rave.encoder.stages:
            if not isinstance(stage, StridedStage):
                x = plan.units(stage.units, x)
            rate //= stage.down.stride
            x = plan.step(stage.down, x, plan.region(2 * x.channels, rate), activation=stage.activation,
                          bias=shifts.get(stage.down))
        self.spherical = isinstance(rave.latent, Spherical)
        self.quantiser: Any = copy.deepcopy(rave.latent) if isinstance(rave.latent, Discrete) else None
        if self.quantiser is not None:
            self.quantiser.register_module("noise", nn.Identity())  # the decoder has it
        self.image, self.image_size, (mean, directions) = rave.image_analysis, rave.image_size, rotation(rave)
        for name, value in {"codes": torch.zeros(1, 0, 1, dtype=torch.int64), "directions": directions,
                            "centre": -directions @ mean}.items():
            self.register_buffer(name, value, persistent=False)
        self.latents, self.size = len(plan.regions), rave.latent.size
        plan.step(rave.encoder.last, x, plan.region(rave.latent.size, rate), activation=rave.encoder.activation,
                  bias=None if self.spherical or self.quantiser is not None else self.centre)
        self.arena = Arena(plan, batch_size, dtype)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        views = self.arena.start(x.shape[2] // self.hop, x.shape[0], x)
        frames = x.view(x.shape[0] * self.channels, -1, self.n_bands).transpose(0, 1)
        torch.clamp(frames, -self.limit, self.limit, out=self.arena.fresh(views, 0).view(frames.shape))
        self.arena.run(views)
        self.arena.finish(views)
        p, dry = self.arena.fresh(views, self.latents).float(), self.arena.tapped(views, self.dry).view(frames.shape)
        if self.spherical:
            p = F.normalize(p, dim=2) + self.centre
        p = p.permute(1, 2, 0)
        if self.quantiser is not None:
            self.codes = self.quantiser.codes(p)
            p = self.rotated(self.codes)
        if self.image is not None:
            image = self.image(self.arena.fresh(views, 1).permute(1, 2, 0))
            p = torch.cat([image, p[:, -self.size :]], 1)
        return p, dry.transpose(0, 1)

    def rotated(self, codes: Tensor) -> Tensor:
        """Codes to principal directions; those of the image, of which they do not tell, are in the middle."""
        if self.quantiser is None:
            return codes[:, :0].float()
        z = self.quantiser.from_codes(codes).transpose(1, 2)
        p = (z @ self.directions.t() + self.centre).transpose(1, 2)
        return F.pad(p, (0, 0, self.image_size, 0))


class StreamingDecoder(nn.Module):
    """Principal directions to samples. See `StreamingCodec.decode`."""

    mean: Tensor
    directions: Tensor
    loud: Final[bool]
    late_loudness: int

    def __init__(self, rave: Any, batch_size: int, dtype: torch.dtype):
        super().__init__()
        plan, decoder, self.channels, n_bands = Plan(), rave.decoder, rave.channels, len(rave.decoder.band_gain)
        self.size, self.narrow = rave.latent.size, dtype != torch.float32
        self.image, self.image_size = rave.image_synthesis, rave.image_size
        for name, value in zip(("mean", "directions"), rotation(rave), strict=True):
            self.register_buffer(name, value, persistent=False)
        rate, x = 1, plan.region(rave.latent.decoder_channels, 1)
        x = plan.step(decoder.first, x, plan.region(rave.config["capacity"] * 2 ** len(decoder.stages), rate))
        for stage in decoder.stages:
            rate *= stage.up.ratio
            x = plan.step(stage.up, x, plan.region(x.channels // 2, rate), activation=stage.activation)
            x = plan.units(stage.units, x)
        self.waveform, self.loud = len(plan.regions), isinstance(decoder, LoudnessDecoder)
        plan.step(decoder.waveform, x, plan.region(decoder.outputs * n_bands, rate), activation=decoder.activation)
        if self.loud:
            loudness = plan.step(decoder.loudness, x, plan.region(1, rate))
            self.late_loudness = plan.tap(loudness, length(decoder.loudness_skew))
        self.gated = len(plan.regions)
        self.late_waveform = plan.tap(plan.region(n_bands, rate), length(decoder.waveform_skew))
        noisy = isinstance(rave.latent, Wasserstein | Discrete)
        sources: list[tuple[Any, int]] = [(rave.latent.noise, 1)] if noisy else []
        self.latent_noise, gain = len(sources), torch.ones(sum(source.channels for source, _ in sources))
        self.filter = None
        if decoder.noise is not None:
            self.filter = NoiseFilter(decoder.noise, dtype)
            sources.append((decoder.noise.noise, rate))
            gain = torch.cat([gain, decoder.band_gain.squeeze(1).float() / decoder.limit])
            self.plan_noise(plan, decoder, self.filter.reach, x)
        self.noise = BlockNoise(sources, gain, batch_size) if sources else None
        self.bands = len(plan.regions)
        bands, sound = (plan.region(self.channels * rave.pqmf.n_bands, rate, wide=True) for _ in range(2))
        plan.step(rave.pqmf.synthesis, bands, sound, parts=self.channels)
        self.arena = Arena(plan, batch_size, dtype)

    @torch.jit.unused
    def plan_noise(self, plan: Plan, decoder: Any, reach: int, x: Region) -> None:
        """Add the layers of the noise synthesiser, and the regions of its noise before and after the filter."""
        synth, rate = decoder.noise, x.rate
        net = [decoder.activation, *synth.net]
        for activation, conv in zip(net[::2], net[1::2], strict=True):
            self.amplitude = len(plan.regions)
            x = plan.step(conv, x, plan.region(conv.product.out_features, x.rate // conv.stride), activation=activation,
                          bias=torch.full((synth.n_bands * synth.filter_bands,), -5.0) if conv is net[-1] else None)
        self.noise_source = len(plan.regions)
        self.filtered = self.noise_source + 1
        self.late_noise = plan.tap(plan.region(synth.n_bands, rate), reach)
        self.late_filtered = plan.tap(plan.region(synth.n_bands, rate), length(decoder.noise_skew))

    def forward(self, p: Tensor) -> Tensor:
        streams, frames = p.shape[0], p.shape[2]
        views = self.arena.start(frames, streams, p)
        x = self.arena.fresh(views, 0)
        latents = x[..., : self.size].flatten(0, 1)
        rows = p[:, self.image_size :].permute(2, 0, 1).flatten(0, 1)
        if self.narrow:
            latents.copy_(torch.addmm(self.mean, rows, self.directions[: rows.shape[1]]))
        else:
            torch.addmm(self.mean, rows, self.directions[: rows.shape[1]], out=latents)
        if self.noise is not None:
            targets = [x[..., self.size :]] if self.latent_noise else []
            if self.filter is not None:
                targets.append(self.arena.fresh(views, self.noise_source))
            self.noise(frames, streams, targets)
        self.arena.run(views)
        gated = self.arena.fresh(views, self.gated)
        if self.loud:
            torch.tanh(self.arena.fresh(views, self.waveform), out=gated)
            gated.mul_(modified_sigmoid(self.arena.tapped(views, self.late_loudness)))
        else:
            torch._C._nn.glu(self.arena.fresh(views, self.waveform), -1, out=gated)  # type: ignore[call-arg]
        y = self.arena.tapped(views, self.late_waveform)
        if self.filter is not None:
            self.filter(self.arena.fresh(views, self.amplitude), self.arena.tapped(views, self.late_noise),
                        self.arena.fresh(views, self.filtered))
            y = y + self.arena.tapped(views, self.late_filtered)
        bands = self.arena.fresh(views, self.bands)
        if self.image is not None:
            middle = (y if self.loud else torch.tanh(y)).float().permute(1, 2, 0)
            bands.copy_(self.image(middle, p[:, : self.image_size]).permute(2, 0, 1))
        elif self.loud:
            bands.copy_(y)
        else:
            torch.tanh(y, out=bands)
        self.arena.finish(views)
        sound = self.arena.fresh(views, self.bands + 1)
        return sound.view(sound.shape[0], streams * self.channels, -1).transpose(0, 1)
