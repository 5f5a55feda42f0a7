"""A JACK server with a dummy card, for tests and benches."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest


class Jack(NamedTuple):
    server: subprocess.Popen
    env: dict[str, str]


@contextmanager
def dummy_card(rate: int, period: int, seconds: int = 60) -> Iterator[Jack]:
    """A server of its own, for `seconds` at most, and the environment in which programs find it. Skips where none starts."""
    if not all(map(shutil.which, ("jackd", "jack_lsp", "timeout"))):
        pytest.skip("no JACK dummy card: apt install jackd2")
    env = {**os.environ, "JACK_DEFAULT_SERVER": f"rave_lite_{os.getpid()}", "JACK_NO_AUDIO_RESERVATION": "1",
           "JACK_NO_START_SERVER": "1", "COLUMNS": "150", "TERM": "xterm"}
    command = ["timeout", "--kill-after=5", str(seconds), "jackd", "-r", "-d", "dummy", "-r", str(rate), "-p", str(period)]
    server = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while subprocess.run(["jack_lsp"], env=env, capture_output=True, check=False).returncode:
            if server.poll() is not None:
                pytest.skip("jackd does not start here")
            time.sleep(0.1)
        yield Jack(server, env)
    finally:
        server.terminate()
        server.wait()
        for leftover in Path("/dev/shm").glob(f"jack_*_{env['JACK_DEFAULT_SERVER']}_*"):
            leftover.unlink()  # of the client whose server went first
