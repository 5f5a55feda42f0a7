"""The complete model: a plain nn.Module from samples to samples."""

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from rave_lite.errors import InputError
from rave_lite.layers import ALIGNMENTS, PQMF, SLOPES, Conv1d, ConvTranspose1d, Dilation
from rave_lite.model.checkpoint import Checkpoint, load_matching, read_checkpoint
from rave_lite.model.decoder import DECODERS
from rave_lite.model.discrete import Discrete
from rave_lite.model.encoder import ENCODERS
from rave_lite.model.latent import Spherical, Variational, Wasserstein
from rave_lite.model.principal import Principal
from rave_lite.model.stereo import IMAGE, ImageAnalysis, ImageSynthesis

LATENTS = {"wasserstein": Wasserstein, "variational": Variational, "spherical": Spherical, "discrete": Discrete}
NOISE_START = 0.03  # initial weight of the decoder's noise channels relative to its latents'
OUTPUT_START = 0.1  # initial level of the output relative to the recordings': at full level its errors would be loud
POSTERIOR_START = -3.0  # shift of a variational posterior: a scale of 0.05 in silence
STEREO = ("parametric", "bands")
MIN_BAND_LEVEL = 1e-4  # relative to the level of all bands, for empty bands


class RAVE(nn.Module):
    """RAVE v2 (Caillon and Esling, arXiv 2111.05011). `(B, channels, T) -> (B, channels, T)`, T a multiple of `hop`.

    `channels`: 1, or 2. `stereo`: what the network has of two channels. "parametric": their mean, beside which place and
    width are the first two latents; "bands": both, as in earlier versions. `hop`: samples per latent frame; `latency`:
    samples by which the output trails the input; `receptive_field`: samples back from an output sample to the earliest
    input it depends on. `alignment`: "causal" needs no future input, "centered" delays the output
    for symmetric windows, "release-causal" and "release-centered" are the public release's (rave-lite import).
    `sample_rate`: Hz. `attenuation`: of the filter bank, dB; `bank`: further arguments of `PQMF`. `latent`:
    `{"name": one of LATENTS, ...its arguments}`; `encoder`, `decoder`: likewise, of ENCODERS and DECODERS;
    `noise`: arguments of `NoiseSynth`, or None. `activation`: of the whole network, "leaky_relu" or "snake"; "snake_between"
    leaves leaky ReLU in the residual units. `adaptive_norm`: whether those begin with `AdaptiveNorm`. `limit`: bound of the
    bands' samples; a sine of full scale has the root of `n_bands`.
    """

    def __init__(self, *, sample_rate: int, n_bands: int, attenuation: float, capacity: int, ratios: list[int],
                 dilations: list[list[Dilation]], latent: dict[str, Any], encoder: dict[str, Any] | None = None,
                 decoder: dict[str, Any] | None = None, noise: dict[str, Any] | None = None,
                 activation: str = "leaky_relu", alignment: str = "causal", adaptive_norm: bool = False,
                 bank: dict[str, Any] | None = None, limit: float = 1.0, channels: int = 1,
                 stereo: str = "parametric"):
        super().__init__()
        self.config = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        if len(ratios) != len(dilations):
            raise InputError(f"{len(ratios)} ratios but {len(dilations)} lists of dilations; one list per ratio",
                             where="model")
        for key, value, known in (("activation", activation, SLOPES), ("alignment", alignment, ALIGNMENTS),
                                  ("stereo", stereo, STEREO)):
            if value not in known:
                raise InputError(f"{value!r} is none of {', '.join(known)}", where=f"model.{key}")
        stack: dict[str, Any] = {"capacity": capacity, "ratios": ratios, "dilations": dilations, "activation": activation,
                                 "alignment": alignment, "adaptive_norm": adaptive_norm}
        self.pqmf = PQMF(n_bands, attenuation, **bank or {}, channels=channels)
        self.latent = LATENTS[latent["name"]](**named(latent))
        is_parametric = channels == 2 and stereo == "parametric"
        encoder, decoder = encoder or {"name": "residual"}, decoder or {"name": "amplitude"}
        bands, rate = n_bands if is_parametric else channels * n_bands, math.prod(ratios)
        self.encoder = ENCODERS[encoder["name"]](bands, self.latent.encoder_channels, **stack, **named(encoder),
                                                 delay=self.pqmf.skew)
        self.decoder = DECODERS[decoder["name"]](bands, self.latent.decoder_channels, **stack, **named(decoder),
                                                 noise=noise, limit=limit, delay=self.encoder.delay)
        self.decoder.delay -= self.pqmf.skew  # counted from the bands
        self.image_analysis = ImageAnalysis(n_bands, rate, self.encoder.delay) if is_parametric else None
        self.image_synthesis = (ImageSynthesis(n_bands, rate, self.decoder.delay - rate * self.encoder.delay)
                                if is_parametric else None)
        self.image_size = IMAGE if is_parametric else 0
        self._scale_noise_weights()
        self.principal = Principal(self.latent.size, beside=self.image_size)
        self.sample_rate, self.channels = sample_rate, channels
        self.hop = n_bands * rate
        self.latency = max(0, n_bands * self.decoder.delay + self.pqmf.delay)  # imported causal models: below 0
        self.latent_size = self.image_size + self.latent.size
        self.receptive_field = self._receptive_field()

    def encode(self, x: Tensor) -> Tensor:
        """`(B, channels, T) -> (B, latent_size, T / hop)`, the posterior's mean, after the image."""
        bands = self.pqmf(x)
        return torch.cat([self.image(bands), self.latent.mean(self.encoder(self.middle(bands)))], 1)

    @torch.jit.unused
    def encode_codes(self, x: Tensor) -> Tensor:
        """`(B, channels, T) -> (B, codebooks, T / hop)`, int64, without the image. Raises InputError if it has no codes."""
        if not isinstance(self.latent, Discrete):
            raise InputError("its latents are no codes; a model trained with latent=discrete has some", where="encode_codes")
        return self.latent.codes(self.encoder(self.middle(self.pqmf(x))))

    def decode(self, z: Tensor) -> Tensor:
        """`(B, latent_size, T / hop) -> (B, channels, T)`."""
        bands = self.decoder(self.latent.widen(z[:, self.image_size :]))
        return self.pqmf.inverse(self.spread(bands, z[:, : self.image_size]))

    def middle(self, bands: Tensor) -> Tensor:
        """What the network gets of the bands `(B, channels * n_bands, T)`: parametric stereo's mean of both channels."""
        if self.image_analysis is None:
            return bands
        left, right = bands.chunk(2, 1)
        return (left + right) / 2

    def image(self, bands: Tensor) -> Tensor:
        """Where both channels' bands lie and how wide, `(B, channels * n_bands, T) -> (B, image_size, T / rate)`."""
        if self.image_analysis is None:
            return bands[:, :0, :: self.hop // self.pqmf.n_bands]
        return self.image_analysis(bands)

    def spread(self, bands: Tensor, image: Tensor) -> Tensor:
        """The network's bands to `(B, channels * n_bands, T)`; `image`: `(B, image_size, T / hop)`."""
        return bands if self.image_synthesis is None else self.image_synthesis(bands, image)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    @torch.jit.unused
    def _receptive_field(self) -> int:
        branches = [b for b in (self.decoder.waveform, self.decoder.noise) if b is not None]
        memory, rate = _memory([self.encoder, self.decoder.first, self.decoder.stages], self.pqmf.n_bands)
        memory += max(_memory([b], rate)[0] for b in branches)
        if self.image_analysis is not None and self.image_synthesis is not None:
            spread, n_bands = self.image_synthesis, self.pqmf.n_bands
            image = self.image_analysis.powers.past.length + self.decoder.delay
            apart = memory // n_bands + spread.delay + spread.powers.past.length
            memory = n_bands * (max(image, apart) + spread.ramp - 1)
        return 2 * self.pqmf.delay + memory + self.hop - 1

    @torch.jit.unused
    @torch.no_grad()
    def fit_principal(self, x: Tensor) -> None:
        """Set `principal` from recordings `(B, channels, T)`, T a multiple of `hop`; louder is positive in each."""
        z = torch.cat([self.encode(window) for window in x.split(1)])  # one by one to save memory
        level = 10 * torch.log10(x.unflatten(2, (-1, self.hop)).square().mean(3).mean(1) + 1e-8)  # (B, T / hop), dB
        level = F.pad(level, (max(0, self.encoder.delay), 0), mode="replicate")[:, : z.shape[2]]
        self.principal.fit(z.transpose(1, 2).flatten(0, 1), level.flatten())

    @torch.jit.unused
    @torch.no_grad()
    def _scale_noise_weights(self) -> None:
        """Scale the decoder's first weights of noise channels, which outnumber the latents and would mask them."""
        first: Any = self.decoder.first
        weight = first.weight.clone()
        weight[:, self.latent.size :] *= NOISE_START
        first.weight = weight

    @torch.jit.unused
    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Initialise levels from recordings `(B, channels, T)`, T a multiple of `hop`.

        Sets the latents' RMS to 1, and the RMS of each band of the output to `OUTPUT_START` of the recordings' in that
        band (after Salimans and Kingma, Weight Normalization, 2016, section 3); a variational posterior starts narrow.
        """
        if isinstance(self.latent, Variational):
            self.latent.shift.fill_(POSTERIOR_START)
        last: Any = self.encoder.last
        magnitudes = last.parametrizations.weight.original0 if is_parametrized(last) else last.weight
        bands = [self.middle(self.pqmf(window)) for window in x.split(1)]  # one by one to save memory
        encoded = torch.cat([self.encoder(y) for y in bands])
        latents = encoded if isinstance(self.latent, Discrete) else self.latent.mean(encoded)
        level = latents.square().mean().sqrt().clamp_min(1e-6)
        magnitudes[: self.latent.size] /= level
        if isinstance(self.latent, Discrete):
            self.latent.fit(encoded / level)
        output = [self.decoder(self.latent.widen(self.latent.draw(self.encoder(y)))) for y in bands]
        band_rms, output_rms = (torch.cat(y).square().mean((0, 2)).sqrt() for y in (bands, output))
        target = OUTPUT_START * band_rms.clamp_min(MIN_BAND_LEVEL * band_rms.norm()).clamp_min(1e-6)
        self.decoder.band_gain.mul_((target / output_rms.clamp_min(1e-6)).unsqueeze(1))

    @torch.jit.unused
    def reconstruct(self, x: Tensor) -> Tensor:
        """`(B, channels, T)` to the same for any T: pads to whole blocks and removes the latency."""
        length = x.shape[-1]
        padded = F.pad(x, (0, self.latency + -(length + self.latency) % self.hop))
        return self(padded)[..., self.latency : self.latency + length]

    @classmethod
    def from_checkpoint(cls, checkpoint: str | Path | Checkpoint, *, ema: bool = True) -> "RAVE":
        """The trained model, in eval mode on the CPU, with averaged weights where the run kept them and `ema` is true.

        `checkpoint`: a file, or one that has been read. Raises InputError when the file is missing, is not a rave_lite
        checkpoint, or holds another architecture.
        """
        saved = checkpoint if isinstance(checkpoint, Checkpoint) else read_checkpoint(checkpoint)
        model = cls(**saved.architecture)
        load_matching(model, saved.weights(ema=ema), saved.path)
        return model.eval()


def named(settings: dict[str, Any]) -> dict[str, Any]:
    """The arguments beside the name."""
    return {key: value for key, value in settings.items() if key != "name"}


def _memory(parts: list[nn.Module], rate: int) -> tuple[int, int]:
    """Memory of the convolutions in `parts` in samples, and samples per frame after them; `rate`: before them."""
    total = 0
    for layer in (m for part in parts for m in part.modules()):
        if isinstance(layer, Conv1d):
            total, rate = total + layer.past.length * rate, rate * layer.stride[0]
        elif isinstance(layer, ConvTranspose1d):
            total, rate = total + layer.past.length * rate, rate // layer.ratio
    return total, rate
