"""Converts an exported file for the plug-in Neutone FX, and checks that it plays there as it does alone.

    python tests/bench/neutone.py FILE.ts OUT_FOLDER [AUTHOR]

The python is that of a venv of its own, because the SDK (LGPL 2.1, used here and not shipped) wants an older numpy:
python3 -m venv neutone; neutone/bin/pip install neutone_sdk==1.5.2 torch==2.11.0 torchaudio==2.11.0

Writes OUT_FOLDER/model.nm with the SDK's checks for submissions, loads that with the SDK's loader and plays it as a DAW
does, in buffers of odd sizes, against the file alone. Prints the largest differences, once the reported delay is taken off:
to the file, while knobs are turned, and to the input, at dry/wet 0. Exit code 1 above 1e-5.
"""

import json
import sys
from pathlib import Path

import torch
from neutone_sdk import ContinuousNeutoneParameter, WaveformToWaveformBase
from neutone_sdk.utils import load_neutone_model, save_neutone_model
from torch import Tensor

TOLERANCE = 1e-5
KNOBS = {"bias_1": (0.5, "the sound along direction 1 of the latent, 0.5 as played"),
         "bias_2": (0.5, "the sound along direction 2 of the latent, 0.5 as played"),
         "dry_wet": (1.0, "0: the input, 1: the model"),
         "gain": (0.5, "0.5 is as loud as the model, 1 twice that")}
TURNED = [0.75, 0.375, 0.625, 0.25]  # of two's powers: exact after the SDK's averaging
WIDTH = 2.0  # standard deviations of a direction, to either side


class Instrument(WaveformToWaveformBase):
    """A file of one or two channels, at 96 kHz or less; its knobs are set at each block, which writes four numbers."""

    def __init__(self, live: torch.jit.ScriptModule, card: dict, author: str):
        std = card.get("latent_std", [1.0, 1.0])
        self.width_1, self.width_2 = WIDTH * std[0], WIDTH * std[1]
        self.name, self.author = card.get("name", "rave_lite")[:30], author
        self.licence = f"Licence: {card.get('license', 'not stated')}"[:500]
        super().__init__(live)

    def get_model_name(self) -> str:
        return self.name

    def get_model_authors(self) -> list[str]:
        return [self.author]

    def get_model_short_description(self) -> str:
        return "A neural instrument: plays what it hears in the sound it was trained on."

    def get_model_long_description(self) -> str:
        return self.get_model_short_description()

    def get_technical_description(self) -> str:
        return self.licence

    def get_tags(self) -> list[str]:
        return ["RAVE", "timbre transfer"]

    def get_model_version(self) -> str:
        return "1"

    def is_experimental(self) -> bool:
        return True

    def get_neutone_parameters(self) -> list:
        return [ContinuousNeutoneParameter(name, text, default) for name, (default, text) in KNOBS.items()]

    @torch.jit.export
    def is_input_mono(self) -> bool:
        return self.model.channels == 1

    @torch.jit.export
    def is_output_mono(self) -> bool:
        return self.model.channels == 1

    @torch.jit.export
    def get_native_sample_rates(self) -> list[int]:
        return [self.model.sample_rate]

    @torch.jit.export
    def get_native_buffer_sizes(self) -> list[int]:
        return [self.model.hop]

    @torch.jit.export
    def calc_model_delay_samples(self) -> int:
        return self.model.latency

    def reset_model(self) -> bool:
        self.model.reset()
        return True

    def do_forward_pass(self, x: Tensor, params: dict[str, Tensor]) -> Tensor:
        self.model.set_bias_1((2.0 * float(params["bias_1"]) - 1.0) * self.width_1)
        self.model.set_bias_2((2.0 * float(params["bias_2"]) - 1.0) * self.width_2)
        self.model.set_dry_wet(float(params["dry_wet"]))
        self.model.set_gain(2.0 * float(params["gain"]))
        return self.model.forward(x.unsqueeze(0)).squeeze(0)


def load(file: Path) -> tuple[torch.jit.ScriptModule, dict]:
    """The file and its card."""
    card = {"metadata.json": ""}
    live = torch.jit.load(str(file), _extra_files=card).eval()
    return live, json.loads(card["metadata.json"] or "{}")


def alone(wrapper: Instrument, x: Tensor, knobs: Tensor) -> Tensor:
    """What the file makes of it, block by block, without the SDK."""
    live, out = wrapper.model, []
    for block, at in zip(x.split(live.hop, 1), knobs.split(live.hop, 1), strict=True):
        bias_1, bias_2, dry_wet, gain = at[:, 0].tolist()
        live.set_bias_1((2 * bias_1 - 1) * wrapper.width_1)
        live.set_bias_2((2 * bias_2 - 1) * wrapper.width_2)
        live.set_dry_wet(dry_wet)
        live.set_gain(2 * gain)
        with torch.inference_mode():
            out.append(live(block[None])[0])
    return torch.cat(out, 1)


def play_in_host(plugin: torch.jit.ScriptModule, x: Tensor, knobs: Tensor, size: int) -> Tensor:
    """Output of the plug-in in a DAW with buffers of `size` samples; a last partial buffer is dropped."""
    plugin.set_daw_sample_rate_and_buffer_size(plugin.get_native_sample_rates()[0], size)
    with torch.inference_mode():
        return torch.cat([plugin(x[:, i:i + size], knobs[:, i:i + size]).clone()
                          for i in range(0, x.shape[1] - size + 1, size)], 1)


def largest_difference(late: Tensor, early: Tensor, delay: int) -> float:
    return float((late[:, delay:] - early[:, :late.shape[1] - delay]).abs().max())


def main(file: Path, folder: Path, author: str = "unnamed") -> None:
    torch.set_num_threads(1)
    live, card = load(file)
    if missing := KNOBS.keys() - set(live.get_attributes()):
        sys.exit(f"{file} has no {', '.join(sorted(missing))}")
    save_neutone_model(Instrument(live, card, author), folder, dump_samples=True, submission=True)

    wrapper, block = Instrument(*load(file), author), live.hop
    segment = -(-live.sample_rate // block) * block  # a second, whole blocks
    x = 0.3 * torch.randn(live.channels, 3 * segment, generator=torch.Generator().manual_seed(0))
    defaults = torch.tensor([default for default, _ in KNOBS.values()])[:, None].repeat(1, segment)
    knobs = torch.cat([defaults, torch.tensor(TURNED)[:, None].repeat(1, segment), defaults], 1)
    dry = knobs.clone()
    dry[list(KNOBS).index("dry_wet")] = 0.0
    dry[list(KNOBS).index("gain")] = 0.5
    expected = alone(wrapper, x, knobs)

    plugin, _ = load_neutone_model(str(folder / "model.nm"))
    print(f"torch {torch.__version__}, {live.sample_rate} Hz, block {block}, latency {live.latency}, "
          f"peak {expected.abs().max():.2f}")
    passed = True
    for size in sorted({37, 64, 333, 1000, block, 2 * block + 1, 4096}):
        wet = play_in_host(plugin, x, knobs, size)
        queued, latency = plugin.calc_buffering_delay_samples(), plugin.calc_model_delay_samples()
        to_file = largest_difference(wet, expected, queued)
        play_in_host(plugin, x, dry, size)  # a knob takes a block to move; the reset before the next start leaves it there
        to_input = largest_difference(play_in_host(plugin, x, dry, size), x, queued + latency)
        play_in_host(plugin, x, defaults, size)
        passed &= to_file <= TOLERANCE and to_input <= TOLERANCE
        print(f"buffers of {size:4}: delay {queued:4} + {latency}; differs from the file by {to_file:.1e}, "
              f"dry from the input by {to_input:.1e}")
    sys.exit(not passed)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
