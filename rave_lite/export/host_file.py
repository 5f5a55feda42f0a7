"""The file's surface, with the protocol of nn~ (Max, Pure Data): methods, ratios, labels, attributes."""

from types import FunctionType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from rave_lite.export.torchscript import Live

FLOAT = 2  # nn~'s code. It takes Pure Data's "0.000000" for no bool, and throws for an int that is nan or exceeds 32 bits
FACTS = ("sample_rate", "sampling_rate", "hop", "regular", "latency", "receptive_field", "precision", "batch_size",
         "channels", "voices", "stereo", "codebooks", "entries", "latent_size", "full_latent_size", "attributes")


@torch.jit.interface
class Instrument(nn.Module):
    """The methods of `Live`."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[empty-body]
        pass

    def encode(self, x: Tensor) -> Tensor:  # type: ignore[empty-body]
        pass

    def decode(self, p: Tensor) -> Tensor:  # type: ignore[empty-body]
        pass

    def prior(self, temperature: Tensor) -> Tensor:  # type: ignore[empty-body]
        pass

    def generate(self, temperature: Tensor) -> Tensor:  # type: ignore[empty-body]
        pass

    def encode_codes(self, x: Tensor) -> Tensor:  # type: ignore[empty-body]
        pass

    def decode_codes(self, codes: Tensor) -> Tensor:  # type: ignore[empty-body]
        pass

    def reset(self) -> None:
        pass

    def set(self, i: int, value: float) -> int:  # type: ignore[empty-body]
        pass

    def get(self, i: int) -> float:  # type: ignore[empty-body]
        pass


class HostFile(nn.Module):
    """What hosts load: a method for each thing that they call, all of one line; `Live` does the work.

    TorchScript compiles a method in its first two calls, together with all that it calls, in a time that grows with the
    types it sees: seconds for a block, ten milliseconds for a setter of one line. What is called through an interface is
    compiled apart, once. Hosts call `get_methods` when they have loaded a file, and there `Live` is compiled, and through
    an interface of its own each method that hosts call.

    `<method>_params`: input channels, samples per input frame, output channels, samples per output frame.
    `<attribute>_params`: the kind of its value.
    """

    live: Instrument
    forward_params: Tensor
    channels: int
    voices: int
    hop: int
    methods: list[str]
    attributes: list[str]

    def __init__(self, live: "Live"):
        super().__init__()
        for name in FACTS:
            setattr(self, name, getattr(live, name))
        channels, voices = (["audio"] if count == 1 else [f"audio {c + 1}" for c in range(count)]
                            for count in (live.channels, live.voices))
        latents = [f"{name} latent {i + 1}".removeprefix("audio ") for name in voices for i in range(live.latent_size)]
        methods = {"encode": (channels, 1, latents, live.hop), "decode": (latents, live.hop, channels, 1),
                   "forward": (channels, 1, channels, 1)}
        if live.player is not None:
            temperatures = [f"{name} temperature".removeprefix("audio ") for name in voices]
            methods |= {"prior": (temperatures, live.hop, latents, live.hop),
                        "generate": (temperatures, live.hop, channels, 1)}
        codes = [f"{name} code {i + 1}".removeprefix("audio ") for name in voices for i in range(live.codebooks)]
        if codes:
            methods |= {"encode_codes": (channels, 1, codes, live.hop), "decode_codes": (codes, live.hop, channels, 1)}
        self.methods = list(methods)
        for name, (inputs, in_ratio, outputs, out_ratio) in methods.items():
            params = torch.tensor([len(inputs), in_ratio, len(outputs), out_ratio])
            self.register_buffer(f"{name}_params", params)
            setattr(self, f"{name}_input_labels", inputs)
            setattr(self, f"{name}_output_labels", outputs)
        for name in live.attributes:
            self.register_buffer(f"{name}_params", torch.tensor([FLOAT]))
        self.is_warm = False
        live.core = torch.jit.script(live.core)  # type: ignore[assignment]  # behind its own interface
        self.live = torch.jit.script(live)  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        self.is_warm = True
        return self.live.forward(x)

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        self.is_warm = True
        return self.live.encode(x)

    @torch.jit.export
    def decode(self, p: Tensor) -> Tensor:
        self.is_warm = True
        return self.live.decode(p)

    @torch.jit.export
    def reset(self) -> None:
        self.live.reset()

    @torch.jit.export
    def get_attributes(self) -> list[str]:
        return self.attributes

    @torch.jit.export
    def set_sample_rate(self, rate: int) -> int:
        """Accept the host's rate, which may be wrong, and ignore it."""
        return 0


def set_value(self: nn.Module, value: float) -> int:  # type: ignore[empty-body]
    pass


def get_value(self: nn.Module) -> tuple[float]:  # type: ignore[empty-body]
    pass


def host_interface(methods: list[str], attributes: list[str]) -> type:
    """The interface of what hosts call: a method that is called through one is compiled as if a host called it."""

    class Host(nn.Module):
        pass

    for name in (*methods, "reset"):
        setattr(Host, name, getattr(Instrument, name))
    for name in attributes:
        for word, method in ((f"set_{name}", set_value), (f"get_{name}", get_value)):
            setattr(Host, word, FunctionType(method.__code__, globals(), word))
    return torch.jit.interface(Host)  # type: ignore[no-any-return]


CODES = {"encode_codes": "x", "decode_codes": "codes"}  # methods of a discrete latent, and what they take
PLAY_CODES = "            host.decode_codes(host.encode_codes(silence))\n"
ALONE = {"prior": "temperature", "generate": "temperature"}  # of a file with a prior
PLAY_ALONE = "".join(f"            host.{name}(silence[:, : self.voices, :1])\n" for name in ALONE)
# Also plays some silence, unless the file has played before: that compiles. In a loop, else `host` counts as a HostFile.
GET_METHODS = """
def get_methods(self) -> List[str]:
    if not self.is_warm:
        silence = torch.zeros(1, self.channels, self.hop, device=self.forward_params.device)
        hosts: List[Host] = [self, self, self]
        for host in hosts:
{set_attributes}            host.forward(silence)
            host.decode(host.encode(silence))
{other_methods}            host.reset()
    return self.methods
"""


def script(live: "Live") -> torch.jit.ScriptModule:
    """`live` as hosts load it. A class statement cannot number the methods of its attributes: they are added here."""
    scripted = torch.jit.script(HostFile(live).eval())
    if hasattr(scripted, "get_methods"):
        return scripted  # instances with the same attributes share a type, and so its methods
    for i, name in enumerate(live.attributes):
        scripted.define(f"def set_{name}(self, value: float) -> int:\n    return self.live.set({i}, value)\n")
        scripted.define(f"def get_{name}(self) -> Tuple[float]:\n    return (self.live.get({i}),)\n")
    own = (ALONE if live.player is not None else {}) | (CODES if live.codebooks else {})
    for name, x in own.items():
        body = f"    self.is_warm = True\n    return self.live.{name}({x})\n"
        scripted.define(f"def {name}(self, {x}: Tensor) -> Tensor:\n{body}")
    Host = host_interface(scripted.methods, live.attributes)  # noqa: F841  # named in GET_METHODS
    once_each = [f"            host.set_{name}(host.get_{name}()[0])\n" for name in live.attributes]
    others = PLAY_ALONE * (live.player is not None) + PLAY_CODES * bool(live.codebooks)
    scripted.define(GET_METHODS.format(set_attributes="".join(once_each), other_methods=others))
    return scripted
