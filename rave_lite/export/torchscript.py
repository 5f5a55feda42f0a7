"""A model in blocks, with attributes, and the file that it is written to."""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from rave_lite.errors import InputError
from rave_lite.export.attributes import Attributes
from rave_lite.export.codec import AUDIO_LIMIT, Codec, StreamingCodec
from rave_lite.export.host_file import script
from rave_lite.files import replacing
from rave_lite.layers import LevelFollower, StreamingPad
from rave_lite.layers.resample import CROSSINGS, host_rate
from rave_lite.model import RAVE
from rave_lite.model.calibration import SourceMoments
from rave_lite.model.discrete import Discrete
from rave_lite.prior.codes import nearest_codes
from rave_lite.prior.network import Prior
from rave_lite.prior.player import FREE, PriorPlayer
from rave_lite.runs import check_export

LATENT_LIMIT = 1e3  # deviations of the widest direction: latents further out are errors, and must not overflow in the model


class Live(Attributes):
    """A model as hosts call it: float32 blocks `(B, channels, T)`, T a multiple of `hop`, B <= batch_size.

    Of a model of one channel each of the `channels` is a voice with latents of its own; a stereo model is one voice.
    `sample_rate`: Hz; `hop`, `latency`, `receptive_field`: samples at that rate; `regular`: whether every hop is a frame of
    the model, else one or none. A block of a wrong shape raises and leaves the streams as they were. Samples that are not
    finite count as silence. Attributes may be set while audio runs. `prior`: of this model; then the file plays by itself,
    too. Raises InputError for impossible options.
    """

    audio_limit: Final[float] = AUDIO_LIMIT
    free: Final[int] = FREE
    core: Codec

    def __init__(self, model: RAVE, *, batch_size: int, channels: int = 1, sample_rate: int | None = None,
                 latent_size: int | None = None, precision: str = "float32", prior: Prior | None = None):
        check_options(model, batch_size, channels, sample_rate, latent_size)
        channels, self.voices = max(channels, model.channels), 1 if model.channels == 2 else channels
        streams, rows = batch_size * self.voices, batch_size * channels
        super().__init__(SourceMoments(model), latent_size or model.latent_size,
                         PriorPlayer(prior, streams, nearest_codes(model)) if prior else None,
                         adapts=model.config["adaptive_norm"])
        self.sample_rate = self.sampling_rate = sample_rate or model.sample_rate  # hosts of RAVE read the second
        self.to_model, self.to_host, self.hop, self.latency = host_rate(
            model.sample_rate, self.sample_rate, hop=model.hop, latency=model.latency,
            latent_size=model.latent_size, batch_size=rows)
        self.regular = self.hop * model.sample_rate == model.hop * self.sample_rate
        self.receptive_field = -(-model.receptive_field * self.sample_rate // model.sample_rate) + 2 * CROSSINGS * (
            self.sample_rate != model.sample_rate)
        self.precision, self.latent_limit = precision, LATENT_LIMIT * max(1.0, float(model.principal.variance.max().sqrt()))
        self.converts = self.sample_rate != model.sample_rate
        self.core = StreamingCodec(model, streams, precision, 0 if self.converts else self.latency)  # type: ignore[assignment]
        self.dry = StreamingPad(1, self.latency if self.converts else 0, rows)
        self.measured = bool(model.principal.measured)
        self.codebooks = model.latent.codebooks if isinstance(model.latent, Discrete) and not self.converts else 0
        self.entries = model.latent.count if self.codebooks else 0
        self.batch_size, self.channels, self.stereo = batch_size, channels, False
        self.frame = math.gcd(self.hop, model.pqmf.n_bands)  # samples of which `follower` measures the level
        self.follower = LevelFollower(self.frame, self.sample_rate, rows)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[-1]
        x = self._validate_block(x, self.channels, self.hop)
        if self.converts:
            x = x.clamp(-self.audio_limit, self.audio_limit).view(-1, 1, length)
            dry, wet = self.dry(x)[..., :length], self.to_host(self._synthesise(self._analyse(self.to_model(x))), length)
        else:
            p, dry = self.core.encode(x)
            wet = self.core.decode(self.scale_and_shift(self.calibrated(p)))
        if self.follows:
            wet = self._follow(wet, dry)
        amount, gain = self.smoothed(length).view(2, -1, dry.shape[2]).unbind()
        return (torch.lerp(dry, wet, amount) * gain).reshape(-1, self.channels, length)

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        """`(B, channels, T) -> (B, voices * latent_size, T / hop)`: principal directions, largest variance first."""
        streams, length, x = x.shape[0], x.shape[-1], self._validate_block(x, self.channels, self.hop)
        if self.converts:
            x = self.to_model(x.clamp(-self.audio_limit, self.audio_limit).view(-1, 1, length))
        p = self.to_model.newest(self._analyse(x), length // self.hop)
        p = (p - self.origin)[:, : self.latent_size]
        return p.clone(memory_format=torch.contiguous_format).view(streams, -1, p.shape[2])

    @torch.jit.export
    def decode(self, p: Tensor) -> Tensor:
        """`(B, voices * latent_size, T) -> (B, channels, T * hop)`; missing directions are at the mean, or at silence."""
        length = p.shape[-1] * self.hop
        p = self._validate_block(p, self.voices * self.latent_size, 1).clamp(-self.latent_limit, self.latent_limit)
        p = self.to_host.due(p)
        directions = self.origin.repeat(p.shape[0], 1, p.shape[2])
        directions[:, : self.latent_size].add_(p)
        y = self.to_host(self._synthesise(directions), length)
        return (y * self.smoothed(length)[1]).reshape(-1, self.channels, length)

    @torch.jit.export
    def prior(self, temperature: Tensor) -> Tensor:
        """`(B, voices, T / hop) -> (B, voices * latent_size, T / hop)`: what comes next, as `encode` would give it."""
        if self.player is not None:
            checked = self._validate_block(temperature, self.voices, 1)
            streams, frames, wanted = temperature.shape[0], temperature.shape[2], self.to_model.wanted(checked)
            free = torch.full([wanted.shape[0], wanted.shape[2]], self.free, device=wanted.device)
            p = self.to_model.newest(self.player(wanted, free), frames)
            p = (p - self.origin)[:, : self.latent_size]
            return p.clone(memory_format=torch.contiguous_format).view(streams, -1, frames)
        return temperature

    @torch.jit.export
    def generate(self, temperature: Tensor) -> Tensor:
        """`(B, voices, T / hop) -> (B, channels, T)`: `decode(prior(temperature))`."""
        return self.decode(self.prior(temperature))

    @torch.jit.export
    def encode_codes(self, x: Tensor) -> Tensor:
        """`(B, channels, T) -> (B, voices * codebooks, T / hop)`: numbers of entries as floats."""
        streams, x = x.shape[0], self._validate_block(x, self.channels, self.hop)
        self.core.encode(x)
        codes = self.core.codes().float()
        return codes.reshape(streams, -1, codes.shape[2])

    @torch.jit.export
    def decode_codes(self, codes: Tensor) -> Tensor:
        """`(B, voices * codebooks, T) -> (B, channels, T * hop)`; what is no number of an entry is the nearest one."""
        codes = self._validate_block(codes, self.voices * self.codebooks, 1).round().clamp(0, self.entries - 1)
        y = self._synthesise(self.core.from_codes(codes.long()))
        return (y * self.smoothed(y.shape[2])[1]).reshape(-1, self.channels, y.shape[2])

    def _analyse(self, x: Tensor) -> Tensor:
        """`(B * channels, 1, T) -> (B * voices, directions, T / hop)`, with the hop of the model; T may be 0."""
        x = x.reshape(x.shape[0] * x.shape[1] * self.voices // self.channels, self.channels // self.voices, x.shape[2])
        return self.calibrated(self.core.encode(x)[0]) if x.shape[2] > 0 else x[:, :1].expand(-1, self.origin.shape[0], -1)

    def _synthesise(self, p: Tensor) -> Tensor:
        """`(B * voices, directions, T) -> (B * channels, 1, T * hop)`, with the hop of the model; T may be 0."""
        if p.shape[2] == 0:
            return p[:, :1].repeat(self.channels // self.voices, 1, 1)
        y = self.core.decode(self.scale_and_shift(p))
        return y.reshape(y.shape[0], 1, -1)

    def _follow(self, wet: Tensor, dry: Tensor) -> Tensor:
        """`wet` with the short-time level of `dry`, as far as `envelope` says; never called until it is first above 0."""
        sound, guide = wet.reshape(wet.shape[0], -1, self.frame), dry.reshape(wet.shape[0], -1, self.frame)
        return self.follower(sound, guide, self.envelope(sound.shape[1]).squeeze(0)).view(wet.shape)

    def _validate_block(self, x: Tensor, channels: int, multiple: int) -> Tensor:
        """One row per voice of each stream, finite. Raises ValueError for a wrong shape, naming the right one."""
        if x.dim() != 3 or x.shape[1] != channels:
            raise ValueError(f"this method takes blocks (batch, {channels}, samples), not {x.shape}")
        if x.shape[2] == 0 or x.shape[2] % multiple != 0:
            raise ValueError(f"a block of {x.shape[2]} samples is no multiple of {multiple}")
        if x.shape[0] > self.batch_size:
            raise ValueError(f"{x.shape[0]} streams; this file was exported for {self.batch_size} at most")
        return torch.nan_to_num(x.float(), 0.0, 0.0, 0.0).reshape(x.shape[0] * self.voices, -1, x.shape[2])

    @torch.jit.export
    def reset(self) -> None:
        """Forget every stream and restart the noise; attributes keep their values, smoothed ones jump to their targets.

        What `learn_source` and `learn_target` have gathered stays: `reset_source` and `reset_target` forget it.
        """
        self.calibrates = self.calibration_wanted()
        self.follows = self.values[self.attributes.index("envelope")] > 0.0
        self.follower.reset()
        self.envelope.now.copy_(self.envelope.target)
        self.core.reset()
        if self.player is not None:
            self.player.reset()
        self.dry.cache.zero_()
        self.smoothed.now.copy_(self.smoothed.target)
        self.calibration.now.copy_(self.calibration.target)
        self.to_model.reset()
        self.to_host.reset()


def check_options(model: RAVE, batch_size: int, channels: int, sample_rate: int | None, latent_size: int | None) -> None:
    for name, value in (("batch_size", batch_size), ("channels", channels)):
        if value < 1:
            raise InputError(f"{value} must be at least 1", where=name)
    if model.channels == 2 and channels > 2:
        raise InputError(f"{channels}; this model is stereo, and so is its file: leave out channels=", where="channels")
    if sample_rate is not None and not 8000 <= sample_rate <= 384000:
        raise InputError(f"{sample_rate} Hz is no rate of a host (8000 to 384000)", where="sample_rate")
    if sample_rate is not None and sample_rate * model.hop < model.sample_rate:
        raise InputError(f"{sample_rate} Hz: a frame of this model, {model.hop} samples at {model.sample_rate} Hz, would be "
                         "less than a sample", where="sample_rate")
    if latent_size is not None and not 1 <= latent_size <= model.latent_size:
        raise InputError(f"{latent_size}; this model has 1 to {model.latent_size}", where="latent_size")


def load(path: Path, device: str | torch.device = "cpu") -> Any:
    """The module in a TorchScript file, ready to play. Raises InputError where there is none."""
    if not path.is_file():
        raise InputError("no such file; rave-lite export makes one", where=path)
    try:
        return torch.jit.load(str(path), map_location=device).eval()
    except RuntimeError as error:
        raise InputError(f"not a TorchScript file that torch {torch.__version__} can load; "
                         f"rave-lite export makes one", where=path) from error


def export(live: Live, path: Path, metadata: dict[str, Any], verify: Callable[[Path], None] = lambda file: None,
           measure: Callable[[Any], dict[str, Any]] = lambda scripted: {}) -> None:
    """Script `live` and write it to `path` in one step; `metadata` goes into the archive as metadata.json.

    `measure` gets a copy of the scripted module; what it returns is added to `metadata`.
    `verify` gets the finished file under a temporary name; when it raises, `path` stays as it was.

    The module is not frozen: `torch.jit.freeze` turns weights into constants, which stay behind when a host moves the module
    to its GPU, and `stream` has folded the weight norm already.
    """
    check_export(path)
    scripted = script(live.eval().requires_grad_(False))
    metadata.update(measure(copy.deepcopy(scripted)))
    with replacing(path) as temporary:
        torch.jit.save(scripted, str(temporary), _extra_files={"metadata.json": json.dumps(metadata)})
        verify(temporary)
