"""Compares an exported file under this torch and an older one. Live hosts bring their own: nn~ 1.6 has 2.5.1.

    python tests/bench/old_torch.py FILE.ts OLD_PYTHON [frames ...]

OLD_PYTHON is that of a venv of its own: python3 -m venv old; old/bin/pip install torch==2.5.1 numpy

Both load the file as a host does, turn its noise off and play the same sound through every method, in blocks of as many
`frames` (hops), 1 3 2 4 1 5 by default. Prints the versions, whether both see the same methods, attributes and numbers,
and the largest differences of the samples; exit code 1 above 1e-5, or if the methods, attributes or numbers differ.
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
    """What a host reads from the file before it plays."""
    methods, attributes = live.get_methods(), live.get_attributes()
    buffers = dict(live.named_buffers())
    return {"methods": {name: buffers[f"{name}_params"].tolist() for name in methods},
            "attributes": {name: buffers[f"{name}_params"].tolist() for name in attributes},
            "values": {name: list(getattr(live, f"get_{name}")()) for name in attributes},
            "numbers": {name: getattr(live, name, None) for name in ("sample_rate", "hop", "latency", "batch_size")}}


def silence(live) -> None:
    """Turns the noise off: through the attribute, or in the layers' buffers of older files."""
    if "noise" in live.get_attributes():
        assert live.set_noise(0.0) == 0
    for name, buffer in live.named_buffers():
        if name.endswith("noise.amount"):
            buffer.zero_()


def play(live, method: str, x: torch.Tensor, blocks: list) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat([getattr(live, method)(part) for part in x.split(blocks, -1)], -1)


def listen(file: str, frames: list, to: str) -> None:
    """Writes the outputs of every method under this Python's torch to `to`.npz, and the interface to `to`.json."""
    torch.set_num_threads(1)
    live = torch.jit.load(file).eval()
    seen = interface(live)
    ratios = [ratio for params in seen["methods"].values() for ratio in params[1::2]]
    hop = max(ratios)
    silence(live)
    rng = np.random.default_rng(0)
    outputs = {}
    for method, (channels, ratio, _, _) in seen["methods"].items():
        x = 0.3 * torch.from_numpy(rng.standard_normal((1, channels, sum(frames) * hop // ratio))).float()
        outputs[method] = play(live, method, x, [n * hop // ratio for n in frames]).numpy()
    np.savez(f"{to}.npz", **outputs)
    Path(f"{to}.json").write_text(json.dumps({"torch": torch.__version__, "interface": seen}))


def listen_with(python: str, file: Path, frames: list, to: Path) -> tuple:
    command = [python, __file__, "--listen", str(file), json.dumps(frames), str(to)]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"{file} does not play under {python}")
    report = json.loads(Path(f"{to}.json").read_text())
    return report["torch"], report["interface"], dict(np.load(f"{to}.npz"))


def main(file: Path, old_python: str, *frames: str) -> None:
    blocks = [int(n) for n in frames] or FRAMES
    with tempfile.TemporaryDirectory() as folder:
        new, new_interface, new_outputs = listen_with(sys.executable, file, blocks, Path(folder) / "new")
        old, old_interface, old_outputs = listen_with(old_python, file, blocks, Path(folder) / "old")
    print(f"torch {new} and {old}, blocks of {blocks} frames")
    passed = True
    for part, seen in new_interface.items():
        same = seen == old_interface[part]
        passed &= same
        print(f"{part}: {'the same' if same else f'{seen} and {old_interface[part]}'}")
    for method, samples in new_outputs.items():
        difference = np.abs(samples - old_outputs[method]).max()
        passed &= bool(difference <= TOLERANCE)
        print(f"{method}: differs by at most {difference:.2e}, peak {np.abs(samples).max():.2f}")
    sys.exit(not passed)


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] == "--listen":
        listen(sys.argv[2], json.loads(sys.argv[3]), sys.argv[4])
    elif len(sys.argv) < 3:
        sys.exit(__doc__)
    else:
        main(Path(sys.argv[1]), *sys.argv[2:])
