"""The terminal's user interface: keys from a raw terminal, meters by rich, plain lines where there is no terminal."""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rave_lite.data.audio import decibels
from rave_lite.live.engine import Engine
from rave_lite.live.player import FLOOR_DB, Controls

SPECIAL = {"\x1b[C": "right", "\x1b[D": "left", "\x1b[A": "up", "\x1b[B": "down",  # POSIX
           "\xe0M": "right", "\xe0K": "left", "\xe0H": "up", "\xe0P": "down"}  # Windows
DECAY = 20.0  # dB/s by which a meter falls
NAMES = "in", "out"
LINE_EVERY = 3.0  # seconds between plain lines


class Keys:
    """Context manager that reads key presses without Enter; none where stdin is no terminal."""

    def __enter__(self) -> "Keys":
        self.saved: list[Any] | None = None
        self.on = sys.stdin is not None and sys.stdin.isatty()
        if self.on and os.name == "posix":
            import termios
            import tty
            self.saved = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        return self

    def __exit__(self, *_: object) -> None:
        if self.saved:
            import termios
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self.saved)

    def read(self, seconds: float) -> list[str]:
        """Names of the keys pressed within `seconds`."""
        if not self.on:
            time.sleep(seconds)
            return []
        pressed = self.posix(seconds) if os.name == "posix" else self.windows(seconds)
        return split(pressed)

    def posix(self, seconds: float) -> str:
        import select
        if not select.select([sys.stdin], [], [], seconds)[0]:
            return ""
        pressed = os.read(sys.stdin.fileno(), 64).decode(errors="ignore")
        self.on = bool(pressed)  # False once the terminal is closed
        return pressed

    def windows(self, seconds: float) -> str:
        import msvcrt
        time.sleep(seconds)
        pressed = ""
        while msvcrt.kbhit():  # type: ignore[attr-defined]
            pressed += msvcrt.getwch()  # type: ignore[attr-defined]
        return pressed


def split(pressed: str) -> list[str]:
    """Split a terminal's input into key names: "\\x1b[Aq" -> ["up", "q"]."""
    names = []
    while pressed:
        code = next((code for code in SPECIAL if pressed.startswith(code)), pressed[0])
        names.append(SPECIAL.get(code, code))
        pressed = pressed[len(code):]
    return names


class Display:
    """Meters and counts, redrawn at each `update`; without a terminal, a plain line every few seconds."""

    def __init__(self, engine: Engine, controls: Controls, card: float):
        self.engine, self.controls, self.title = engine, controls, title(engine, card)
        self.console = Console()
        self.levels, self.last_line = [FLOOR_DB, FLOOR_DB], 0.0
        self.started = self.updated = time.monotonic()
        if not self.console.is_terminal:
            print(self.title, flush=True)

    def update(self, live: Live) -> None:
        now, self.engine.peaks, peaks = time.monotonic(), [0.0, 0.0], self.engine.peaks
        decay = DECAY * (now - self.updated)
        self.levels = [max(decibels(peak, FLOOR_DB), level - decay) for peak, level in zip(peaks, self.levels, strict=True)]
        self.updated = now
        if self.console.is_terminal:
            live.update(Text("\n".join(self.screen())), refresh=True)
        elif now - self.started - self.last_line >= LINE_EVERY:
            self.last_line += LINE_EVERY
            print(f"{self.last_line:6.0f} s  in {self.levels[0]:.0f}, out {self.levels[1]:.0f} dBFS, {self.engine.report()}",
                  flush=True)

    def screen(self) -> list[str]:
        meters = [f"{name:4}{meter(level)} {level:6.1f} dBFS" for name, level in zip(NAMES, self.levels, strict=True)]
        return [self.title, *meters, self.engine.report(), *self.controls.lines()]


def title(engine: Engine, card: float) -> str:
    """The file and its latency in ms, by part; `card`: the sound card's part, in seconds."""
    player, ms = engine.player, 1000 / engine.sample_rate
    parts = {"block": (engine.delay - engine.slack) * ms, "slack": engine.slack * ms, "model": player.latency * ms,
             "sound card": 1000 * card}
    return (f"{player.path.name}  {engine.sample_rate} Hz  block {engine.block}  latency {sum(parts.values()):.0f} ms ("
            + ", ".join(f"{name} {value:.0f}" for name, value in parts.items()) + ")")


def meter(level: float, width: int = 40) -> str:
    filled = round(width * (1 - level / FLOOR_DB))
    return ("#" * min(width, max(0, filled))).ljust(width, ".")


def watch(display: Display, seconds: float, active: Callable[[], bool]) -> bool:
    """Update the display and handle keys until q, Ctrl-C or `seconds`; False where the stream ended (`active`) before."""
    end = time.monotonic() + seconds
    with contextlib.suppress(KeyboardInterrupt), Keys() as keys, \
         Live(console=display.console, auto_refresh=False, transient=True) as live:
        while (remaining := end - time.monotonic()) > 0:
            if not active():
                return False
            if not all(display.controls.press(key) for key in keys.read(min(0.1, remaining))):
                break
            display.update(live)
    return True
