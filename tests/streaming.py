"""The streaming contract as one assertion, for every layer, every model and the exported file."""

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rave_lite.layers import reset, set_noise, stream

PLAYER = """
import sys, torch
for path in map(str.rstrip, sys.stdin):
    job = torch.load(path)
    live = torch.jit.load(job["file"])
    with torch.inference_mode():
        y = torch.cat([live(block) for block in job["x"].split(job["blocks"], -1)], -1)
    torch.save(y, path)
    print("played", flush=True)
"""


def chunks(total: int, rng: np.random.Generator) -> list[int]:
    """Random positive sizes that add up to `total`."""
    sizes = []
    while sum(sizes) < total:
        sizes.append(int(rng.integers(1, min(8, total - sum(sizes)) + 1)))
    return sizes


@torch.no_grad()
def assert_streams(module: nn.Module, *, hop: int = 1, channels: int = 1, frames: int = 40, seed: int = 0,
                   folder: Path | None = None) -> None:
    """Streaming equals offline: (a) by prefix, (b) over chunkings, in both precisions, (c) scripted, saved and loaded,
    in another process where `folder` is given, (d) after a reset, (e) for one stream and for four independent ones."""
    rng = np.random.default_rng(seed)
    set_noise(module.eval(), 0)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        module = module.to(dtype)
        x = torch.from_numpy(0.1 * rng.standard_normal((4, channels, frames * hop))).to(dtype)
        whole = module(x)
        scale = whole.abs().max().clamp_max(1)
        assert scale > 1e-2, f"a signal of {scale:.1e} proves nothing"

        def close(made: Tensor, expected: Tensor, what: str, worst=tolerance * scale) -> None:
            assert made.shape == expected.shape, what
            assert (made - expected).abs().max() <= worst, f"{what}: {(made - expected).abs().max():.2e} in {made.dtype}"

        for part in rng.integers(1, frames, 2):
            cut = whole.shape[-1] * int(part) // frames
            close(module(x[..., : part * hop]), whole[..., :cut], "(a) the past depends on what comes")
        live = stream(module, 4)
        for what, sizes in (("single hops", [1] * frames), ("random blocks", chunks(frames, rng))):
            reset(live)
            close(play(live, x, hop, sizes), whole, f"(b, d, e) {what}")
        reset(live)
        close(play(live, x[2:3], hop, sizes), whole[2:3], "(e) one stream")
        if dtype == torch.float32 and folder is not None:
            close(in_player(torch.jit.script(stream(module, 4)), x, hop, sizes, folder), whole, "(c) scripted")


def play(live: Callable[[Tensor], Tensor], x: Tensor, hop: int, sizes: list[int]) -> Tensor:
    return torch.cat([live(block) for block in x.split([n * hop for n in sizes], -1)], -1)


@functools.cache
def player() -> subprocess.Popen:
    """A process that has torch and none of the code here, as hosts do. One for all files; it ends with this one."""
    return subprocess.Popen([sys.executable, "-c", PLAYER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def in_player(scripted: torch.jit.ScriptModule, x: Tensor, hop: int, sizes: list[int], folder: Path) -> Tensor:
    torch.jit.save(scripted, str(folder / "live.ts"))
    torch.save({"file": str(folder / "live.ts"), "x": x, "blocks": [n * hop for n in sizes]}, folder / "job.pt")
    print(folder / "job.pt", file=player().stdin, flush=True)
    if player().stdout.readline() != "played\n":  # it has printed why, and ended
        player.cache_clear()
        raise AssertionError("(c) the saved file does not play in a process of its own")
    return torch.load(folder / "job.pt")
