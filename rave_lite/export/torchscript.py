"""Streaming TorchScript with the protocol of nn~ (Max, Pure Data): methods, their ratios, their labels."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rave_lite.errors import InputError
from rave_lite.files import replacing
from rave_lite.layers import stream
from rave_lite.model import RAVE


class Live(nn.Module):
    """A streaming model as hosts call it: float32 blocks `(B, channels, T)`, T a multiple of hop, B <= batch_size.

    `<method>_params`: input channels, samples per input frame, output channels, samples per output frame.
    `sample_rate`: Hz; `hop`, `latency`: samples. A block of another shape raises; the streams are then as before.
    """

    def __init__(self, model: RAVE, batch_size: int):
        super().__init__()
        self.rave = stream(model.float(), batch_size)
        self.sample_rate = self.sampling_rate = model.sample_rate  # the second is the name RAVE's hosts look for
        self.hop, self.latency = model.hop, model.latency
        self.latent_size = self.full_latent_size = model.latent_size
        self.batch_size = batch_size
        latents = [f"latent {i + 1}" for i in range(model.latent_size)]
        ends = {"encode": (["audio"], 1, latents, model.hop), "decode": (latents, model.hop, ["audio"], 1),
                "forward": (["audio"], 1, ["audio"], 1)}
        self.methods = list(ends)
        for name, (inputs, in_ratio, outputs, out_ratio) in ends.items():
            params = torch.tensor([len(inputs), in_ratio, len(outputs), out_ratio])
            self.register_buffer(f"{name}_params", params)
            setattr(self, f"{name}_input_labels", inputs)
            setattr(self, f"{name}_output_labels", outputs)

    def forward(self, x: Tensor) -> Tensor:
        self.check(x, 1, self.hop)
        return self.rave(x)

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        """`(B, 1, T) -> (B, latent_size, T / hop)`."""
        self.check(x, 1, self.hop)
        return self.rave.encode(x)

    @torch.jit.export
    def decode(self, z: Tensor) -> Tensor:
        """`(B, latent_size, T) -> (B, 1, T * hop)`."""
        self.check(z, self.latent_size, 1)
        return self.rave.decode(z)

    @torch.jit.export
    def reset(self) -> None:
        """Forget every stream."""
        for part in self.modules():
            if hasattr(part, "cache"):
                part.cache.zero_()  # type: ignore[operator]

    @torch.jit.export
    def get_methods(self) -> list[str]:
        return self.methods

    @torch.jit.export
    def get_attributes(self) -> list[str]:
        return [""][:0]

    def check(self, x: Tensor, channels: int, multiple: int) -> None:
        """Raise for a block that the model cannot take, naming what it can."""
        if x.dim() != 3 or x.shape[1] != channels:
            raise ValueError(f"this method takes blocks (batch, {channels}, samples), not {x.shape}")
        if x.shape[2] % multiple != 0:
            raise ValueError(f"a block of {x.shape[2]} samples is no multiple of {multiple}")
        if x.shape[0] > self.batch_size:
            raise ValueError(f"{x.shape[0]} streams; this file was exported for {self.batch_size} at most")


def export(model: RAVE, path: Path, *, batch_size: int, metadata: dict[str, Any]) -> None:
    """Script `model` and write it to `path` in one step; `metadata` goes into the archive as metadata.json."""
    if path.suffix != ".ts":
        raise InputError(f"out: {path} must end in .ts: live hosts look for that")
    scripted = torch.jit.script(Live(model, batch_size).eval())
    with replacing(path) as aside:
        torch.jit.save(scripted, str(aside), _extra_files={"metadata.json": json.dumps(metadata)})


