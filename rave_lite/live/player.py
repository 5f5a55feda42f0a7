"""Loads a .ts file as an instrument and plays it block by block."""

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rave_lite.data.audio import decibels
from rave_lite.errors import InputError
from rave_lite.export.torchscript import load

WARM_UP = 8  # blocks; TorchScript compiles during the first two or three
FLOOR_DB = -60.0  # dBFS and dB: practically silent


class Player:
    """An exported file on one device. Blocks are float32 `(channels, T)` in -1..1, T a multiple of `hop`.

    `sample_rate`: Hz, 0 where the file does not say; `hop`, `latency`: samples; `channels`: (in, out); `recordable`:
    whether a block may become a CUDA graph; `attributes`: the names that `get` and `set` take. Blocks may be processed in
    one thread and attributes set in another. Raises InputError for a file or a device that cannot be used.
    """

    def __init__(self, path: Path, device: str = "cpu"):
        self.path, self.device = path, torch_device(device)
        self.between_blocks = threading.Lock()
        self.live = load(path, self.device)
        params = getattr(self.live, "forward_params", None)
        if params is None or [int(params[1]), int(params[3])] != [1, 1]:
            raise InputError("its forward is not audio to audio (no forward_params that say so)", where=path)
        self.channels = int(params[0]), int(params[2])
        self.sample_rate = int(getattr(self.live, "sample_rate", 0) or getattr(self.live, "sampling_rate", 0))
        ratios = getattr(self.live, "encode_params", params)  # a file of another program has no hop, but its ratio
        hop = int(getattr(self.live, "hop", ratios[3]))
        self.hop = hop if hop > 1 else int(getattr(self.live, "block", 1))  # an older file at another rate than its model's
        self.latency = int(getattr(self.live, "latency", 0))
        self.recordable = hasattr(self.live, "receptive_field") and bool(getattr(self.live, "regular", hop > 1))
        self.attributes = list(self.live.get_attributes()) if hasattr(self.live, "get_attributes") else []

    def process(self, block: np.ndarray) -> np.ndarray:
        """`(channels in, T) -> (channels out, T)`: the next block of the stream. Raises InputError where the model fails."""
        try:
            with self.between_blocks, torch.inference_mode():
                return self.live(torch.tensor(block, device=self.device).unsqueeze(0))[0].cpu().numpy()
        except (RuntimeError, torch.jit.Error) as error:  # their last line is the reason
            raise InputError(f"the model failed: {str(error).strip().splitlines()[-1]}", where=self.path) from error

    def warm_up(self, block: int) -> float:
        """Warm up the attributes, play quiet noise in blocks of `block` samples, then reset.

        Returns the slowest of the last blocks in seconds. Raises InputError where the output blocks have another size.
        """
        self.warm_up_attributes()
        noise, durations = np.random.default_rng(0), []
        for _ in range(WARM_UP):
            x = 0.01 * noise.standard_normal((self.channels[0], block), dtype=np.float32)
            start = time.perf_counter()
            y = self.process(x)
            durations.append(time.perf_counter() - start)
            if y.shape != (self.channels[1], block):
                raise InputError(f"returned {y.shape} for a block {x.shape}, not {(self.channels[1], block)}",
                                 where=self.path)
        self.reset()
        return max(durations[WARM_UP // 2:])

    def warm_up_attributes(self) -> None:
        """Set each attribute to its value: TorchScript compiles a setter, too, in its first two calls."""
        for name in 2 * self.attributes:
            with contextlib.suppress(RuntimeError, torch.jit.Error), self.between_blocks:
                value = getattr(self.live, f"get_{name}")()
                getattr(self.live, f"set_{name}")(*value if isinstance(value, tuple | list) else [value])

    def reset(self) -> None:
        """Forget the stream: the next block is treated as the first."""
        if hasattr(self.live, "reset"):
            with self.between_blocks:
                self.live.reset()
        elif "reset" in self.attributes:
            self.set("reset", True)

    def get(self, name: str) -> Any:
        """The value of an attribute; nn~'s protocol returns it in a tuple."""
        value = getattr(self.live, f"get_{name}")()
        return value[0] if isinstance(value, tuple | list) else value

    def set(self, name: str, value: float | bool) -> None:
        """Set an attribute, outside inference mode as hosts do. Raises InputError where it is missing or refused."""
        if name not in self.attributes:
            raise InputError(f"{self.path} has no such attribute; it has {', '.join(self.attributes) or 'none'}", where=name)
        with self.between_blocks:
            refused = getattr(self.live, f"set_{name}")(value)
        if refused:
            raise InputError(f"{self.path} refuses the value {value}", where=name)


class Controls:
    """The dials dry/wet and gain. `dry_wet`: 0 to 1, or None where the file has no such attribute; `gain`: dB, likewise."""

    def __init__(self, player: Player):
        self.player, self.bypassed = player, False
        self.dry_wet = player.get("dry_wet") if "dry_wet" in player.attributes else None
        self.gain = decibels(player.get("gain"), FLOOR_DB) if "gain" in player.attributes else None

    def press(self, key: str) -> bool:
        """Handle a key; returns False for the one that quits."""
        if key in ("left", "d", "right", "D") and self.dry_wet is not None:
            self.turn_dry_wet(self.dry_wet + (0.05 if key in ("right", "D") else -0.05))
        elif key in ("up", "down") and self.gain is not None:
            self.turn_gain(self.gain + (1 if key == "up" else -1))
        elif key == " " and self.dry_wet is not None:
            self.bypassed = not self.bypassed
            self.player.set("dry_wet", 0.0 if self.bypassed else self.dry_wet)
        elif key == "r":
            self.player.reset()
        return key != "q"

    def turn_dry_wet(self, value: float) -> None:
        """Set `value`, clamped to 0 (dry) .. 1 (wet), and end a bypass."""
        self.dry_wet, self.bypassed = min(1.0, max(0.0, float(value))), False
        self.player.set("dry_wet", self.dry_wet)

    def turn_gain(self, value: float) -> None:
        """Set `value` in dB, clamped to -60..12."""
        self.gain = min(12.0, max(FLOOR_DB, float(value)))
        self.player.set("gain", 10 ** (self.gain / 20))

    def lines(self) -> list[str]:
        """Two lines: the settings, and the keys that change them."""
        columns = [("", "r reset   q quit")]
        if self.gain is not None:
            columns.insert(0, (f"gain {self.gain:+.1f} dB", "up/down gain"))
        if self.dry_wet is not None:
            setting = "bypassed" if self.bypassed else f"{100 * self.dry_wet:.0f} %"
            columns.insert(0, (f"dry/wet {setting}", "left/right dry/wet   space bypass"))
        return ["   ".join(texts) for texts in zip(*columns, strict=True)]


def torch_device(name: str) -> torch.device:
    """Raises InputError where this machine has no such device."""
    if name not in ["cpu", *["cuda"] * torch.cuda.is_available()]:
        raise InputError(f"compute: there is no {name!r} here, only cpu" + ", cuda" * torch.cuda.is_available())
    return torch.device(name)
