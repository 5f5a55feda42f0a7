"""Opens the sound card, and plays an engine through it."""

import atexit
import gc
import sys
from types import ModuleType
from typing import Any

from rich.table import Table

from rave_lite.errors import InputError
from rave_lite.live.engine import Engine
from rave_lite.live.player import Controls
from rave_lite.live.terminal import Display, watch
from rave_lite.tables import make_table

RATES = 8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000  # Hz


class Card:
    """The sound card. `channels`: (in, out) of the player. Raises InputError if the card cannot run at the sample rate."""

    def __init__(self, sd: ModuleType, source: Any, target: Any, sample_rate: int, channels: tuple[int, int]):
        self.sd, self.sample_rate = sd, sample_rate
        self.devices = [self.find(kind, name) for kind, name in (("input", source), ("output", target))]
        available = [device[f"max_{kind}_channels"] for kind, device in zip(("input", "output"), self.devices, strict=True)]
        self.channels = channels[0] if available[0] >= channels[0] else 1, min(available[1], max(2, channels[1]))
        self.ids = [device["index"] for device in self.devices]
        if not self.takes(sample_rate):
            names = " and ".join(sorted({device["name"] for device in self.devices}))
            rates = ", ".join(str(rate) for rate in RATES if self.takes(rate)) or "no usual rate"
            raise InputError(f"{names} cannot run at {sample_rate} Hz, only at {rates}; rave-lite export "
                             f"sample_rate={self.devices[1]['default_samplerate']:.0f} makes a file for another rate",
                             where="sample_rate")

    def find(self, kind: str, device: Any) -> dict[str, Any]:
        """PortAudio's properties of a device, given by number or part of its name; None: the default."""
        try:
            return self.sd.query_devices(device, kind)
        except (ValueError, self.sd.PortAudioError) as error:
            reason = str(error) if device is not None else "the system has no default"
            raise InputError(f"{reason}; rave-lite live devices=true lists what there is", where=kind) from error

    def takes(self, rate: int) -> bool:
        """Whether the card runs at `rate` Hz."""
        checks = self.sd.check_input_settings, self.sd.check_output_settings
        try:
            for check, device, channels in zip(checks, self.ids, self.channels, strict=True):
                check(device=device, channels=channels, dtype="float32", samplerate=rate)
        except self.sd.PortAudioError:
            return False
        return True


def play(engine: Engine, controls: Controls, card: Card, latency: str | float, seconds: float) -> None:
    """Opens the stream, watches it to its end, and prints the counts. Raises InputError if the stream ends by itself."""
    failures: list[Exception] = []

    def callback(source: Any, target: Any, frames: int, when: Any, status: Any) -> None:
        try:
            missed = status.input_overflow or status.output_underflow
            engine.process_period(source, target, when.currentTime if missed else None)
        except Exception as error:
            target.fill(0)
            failures.append(error)
            raise card.sd.CallbackAbort from error

    gc.collect()
    gc.freeze()  # collecting all loaded objects would delay the callback by more than a period
    sys.setswitchinterval(0.001)  # s; the longest that drawing the meters may delay the callback
    try:
        stream = card.sd.Stream(samplerate=card.sample_rate, blocksize=engine.period, device=card.ids, dtype="float32",
                                channels=card.channels, latency=latency, callback=callback)
        stream.start()
    except card.sd.PortAudioError as error:
        raise InputError(f"the sound card cannot be opened: {error}") from error
    ended_by_user = True
    try:
        ended_by_user = watch(Display(engine, controls, sum(stream.latency)), seconds, lambda: stream.active)
    finally:
        print(engine.report())
        if ended_by_user or failures:
            stream.stop()
            stream.close()
            engine.stop()
        else:  # after JACK's server died, PortAudio waits for it in stop, in close, and at exit
            atexit.unregister(getattr(card.sd, "_exit_handler", None))  # type: ignore[arg-type]
    if failures:
        raise failures[0]
    if not ended_by_user:
        raise InputError("the sound card stopped: was it unplugged, or its server ended?")


def sounddevice() -> ModuleType:
    """Imports the package sounddevice. If it is missing, raises InputError with what to install."""
    try:
        import sounddevice as sd
    except ImportError as error:
        raise InputError("live needs the package sounddevice: pip install 'rave_lite[live]'") from error
    except OSError as error:  # the package is installed, the library is not
        raise InputError("live needs the library PortAudio: apt install libportaudio2 (Debian, Ubuntu), "
                         "dnf install portaudio (Fedora), brew install portaudio (macOS)") from error
    return sd


def table(sd: ModuleType) -> Table:
    """The sound cards, with the numbers and names for `input=` and `output=`. Raises InputError if there are none."""
    if not len(sd.query_devices()):
        raise InputError("PortAudio finds no sound card here")
    cards = [(str(device["index"]), device["name"], sd.query_hostapis(device["hostapi"])["name"],
              str(device["max_input_channels"]), str(device["max_output_channels"]), f"{device['default_samplerate']:.0f}")
             for device in sd.query_devices()]
    return make_table(("number", "name", "host api", "in", "out", "Hz"), cards, left=("name", "host api"))
