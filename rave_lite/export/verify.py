"""Is the exported file the checkpoint's model? Asked in a new process: `python -m rave_lite.export.verify FILE CKPT`."""

import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor

from rave_lite.errors import InputError
from rave_lite.layers import set_noise
from rave_lite.model import RAVE

TOLERANCE = 1e-5  # of full scale
HOPS = 24  # length of the test signal


def verify(file: Path, checkpoint: Path) -> None:
    """Compare in a new process. Raises InputError, and deletes the file, when it is not the checkpoint's model."""
    done = subprocess.run([sys.executable, "-m", "rave_lite.export.verify", str(file), str(checkpoint)],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        file.unlink(missing_ok=True)
        raise InputError(f"{file}: not written, because it does not play as the checkpoint does:\n{done.stderr[-2000:]}")


@torch.no_grad()
def differences(file: Path, model: RAVE) -> dict[str, float]:
    """Largest difference from the offline model, noise silenced: by block size, for four streams, after a reset."""
    live = torch.jit.load(str(file))
    set_noise(model, 0)
    for name, buffer in live.named_buffers():
        if name.endswith("noise.amount"):
            buffer.zero_()
    streams = min(4, live.batch_size)
    generator = torch.Generator().manual_seed(0)
    x = 0.3 * torch.randn(streams, 1, HOPS * model.hop, generator=generator)
    offline, latent = model(x), model.encode(x)
    irregular = [1, 3, 2, 7, 1, 5, 4, 1]
    chunkings = {"single hops": [1] * HOPS, "irregular blocks": irregular, "one block": [HOPS]}
    found = {}
    for name, hops in chunkings.items():
        live.reset()
        found[name] = far(play(live.forward, x, [n * model.hop for n in hops]), offline)
    live.reset()
    found["one stream"] = far(play(live.forward, x[:1], [n * model.hop for n in irregular]), offline[:1])
    live.reset()
    codes = play(live.encode, x, [n * model.hop for n in irregular])
    found["encode"] = far(codes, latent)
    found["decode"] = far(play(live.decode, codes, irregular), offline)
    return found


def play(method, x: Tensor, blocks: list[int]) -> Tensor:
    """Consecutive blocks of `x` through a streaming method, joined."""
    return torch.cat([method(block) for block in x.split(blocks, -1)], -1)


def far(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the larger of 1 and the reference's peak; infinite where a value is not finite."""
    distance = float((a - b).abs().max() / b.abs().max().clamp_min(1))
    return distance if distance == distance else float("inf")


def main() -> None:
    file, checkpoint = map(Path, sys.argv[1:])
    worst = differences(file, RAVE.from_checkpoint(checkpoint))
    wrong = {name: value for name, value in worst.items() if not value <= TOLERANCE}
    if wrong:
        sys.exit("\n".join(f"  {name}: differs by {value:.2e}" for name, value in wrong.items()))


if __name__ == "__main__":
    main()
