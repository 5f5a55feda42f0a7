"""Does an exported file play under an older torch as under this one? Live hosts bring their own: nn~ 1.6 has 2.5.1.

    python tests/bench/old_torch.py FILE.ts OLD_PYTHON [frames ...]

OLD_PYTHON is that of a venv of its own: python3 -m venv old; old/bin/pip install torch==2.5.1 numpy

Both load the file as a host does, turn its noise off and play the same sound through every method, in blocks of as many
frames (hops) as said, 1 3 2 4 1 5 by default. Prints the versions, whether both see the same methods, attributes and
numbers, and the largest differences of the samples; exit code 1 above 1e-5, or where they see different things.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

TOLERANCE = 1e-5
FRAMES = [1, 3, 2, 4, 1, 5]


def interface(live) -> dict:
    """What a host asks of the file before it plays."""
    methods, attributes = live.get_methods(), live.get_attributes()
    buffers = dict(live.named_buffers())
    return {"methods": {name: buffers[f"{name}_params"].tolist() for name in methods},
            "attributes": {name: buffers[f"{name}_params"].tolist() for name in attributes},
            "values": {name: list(getattr(live, f"get_{name}")()) for name in attributes},
            "numbers": {name: getattr(live, name, None) for name in ("sample_rate", "hop", "latency", "batch_size")}}


def silence(live) -> None:
    """No noise: through the attribute, and in files of before it where the layers keep it."""
    if "noise" in live.get_attributes():
        assert live.set_noise(0.0) == 0
    for name, buffer in live.named_buffers():
        if name.endswith("noise.amount"):
            buffer.zero_()


def play(live, method: str, x: torch.Tensor, blocks: list) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat([getattr(live, method)(part) for part in x.split(blocks, -1)], -1)


def listen(file: str, frames: list, to: str) -> None:
    """Write what this Python's torch makes of the file: `to`.npz, and what it sees in it: `to`.json."""
    torch.set_num_threads(1)
    live = torch.jit.load(file).eval()
    seen = interface(live)
    ratios = [ratio for params in seen["methods"].values() for ratio in params[1::2]]
    hop = max([*ratios, getattr(live, "block", 1)])  # a file of forward alone need not have a frame in its ratios
    silence(live)
    rng = np.random.default_rng(0)
    heard = {}
    for method, (channels, ratio, _, _) in seen["methods"].items():
        x = 0.3 * torch.from_numpy(rng.standard_normal((1, channels, sum(frames) * hop // ratio))).float()
        heard[method] = play(live, method, x, [n * hop // ratio for n in frames]).numpy()
    np.savez(f"{to}.npz", **heard)
    Path(f"{to}.json").write_text(json.dumps({"torch": torch.__version__, "interface": seen}))


def listen_with(python: str, file: Path, frames: list, to: Path) -> tuple:
    command = [python, __file__, "--listen", str(file), json.dumps(frames), str(to)]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"{file} does not play under {python}")
    said = json.loads(Path(f"{to}.json").read_text())
    return said["torch"], said["interface"], dict(np.load(f"{to}.npz"))


def main(file: Path, old_python: str, *frames: str) -> None:
    blocks = [int(n) for n in frames] or FRAMES
    with tempfile.TemporaryDirectory() as folder:
        new, new_sees, new_hears = listen_with(sys.executable, file, blocks, Path(folder) / "new")
        old, old_sees, old_hears = listen_with(old_python, file, blocks, Path(folder) / "old")
    print(f"torch {new} and {old}, blocks of {blocks} frames")
    right = True
    for part, seen in new_sees.items():
        same = seen == old_sees[part]
        right &= same
        print(f"{part}: {'the same' if same else f'{seen} and {old_sees[part]}'}")
    for method, samples in new_hears.items():
        far = np.abs(samples - old_hears[method]).max()
        right &= bool(far <= TOLERANCE)
        print(f"{method}: differs by at most {far:.2e}, peak {np.abs(samples).max():.2f}")
    sys.exit(not right)


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] == "--listen":
        listen(sys.argv[2], json.loads(sys.argv[3]), sys.argv[4])
    elif len(sys.argv) < 3:
        sys.exit(__doc__)
    else:
        main(Path(sys.argv[1]), *sys.argv[2:])
