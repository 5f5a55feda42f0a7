"""The cost of fewer bits: held-out hits through the exported file in each precision, scored by a neutral scorer.

    python tests/bench/precision.py CKPT REFERENCES SCORER

CKPT: a checkpoint; REFERENCES: a folder of held-out recordings; SCORER: a program called with reference and reconstruction
folders, whose last table row is the mean. Prints the scores, their ratio to float32's, and the signal-to-noise ratio with
float32 as the signal. The noise is on, the same in each; blocks of 2048.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from rave_lite.data import audio
from rave_lite.data.scan import find
from rave_lite.export import precision
from rave_lite.export.torchscript import Live, export
from rave_lite.model import RAVE


def reconstruct(live, path: Path) -> np.ndarray:
    """The streamed output `(1, samples)` without the latency."""
    x = torch.from_numpy(audio.load(path, live.sample_rate).mean(0, keepdims=True))[None]
    length, block = x.shape[2], max(live.hop, 2048)
    x = torch.nn.functional.pad(x, (0, -(length + live.latency) % block + live.latency))
    live.reset()
    y = torch.cat([live(b) for b in x.split(block, 2)], 2)
    return y[0, :, live.latency : live.latency + length].numpy()


@torch.inference_mode()
def main() -> None:
    checkpoint, references, scorer = sys.argv[1:]
    torch.set_num_threads(1)
    model, scores, sounds = RAVE.from_checkpoint(checkpoint), {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name in precision.PRECISIONS:
            export(Live(model, batch_size=1, precision=name), Path(folder) / "live.ts", {})
            live = torch.jit.load(str(Path(folder) / "live.ts"))
            outputs = {path: reconstruct(live, path) for path in find(Path(references))[0]}
            sounds[name] = np.concatenate(list(outputs.values()), 1)
            for path, sound in outputs.items():
                audio.save(Path(folder) / name / f"{path.stem}.wav", sound, model.sample_rate)
            done = subprocess.run([sys.executable, scorer, references, Path(folder) / name], capture_output=True, text=True,
                                  check=True)
            scores[name] = [float(v) for v in done.stdout.splitlines()[-1].split()[1:5]]
            ratios = [round(a / b, 3) for a, b in zip(scores[name], scores["float32"], strict=True)]
            error = sounds[name] - sounds["float32"]
            snr = 10 * np.log10(np.square(sounds["float32"]).sum() / max(1e-20, np.square(error).sum()))
            print(f"{name:9} {scores[name]}  to float32 {ratios}  SNR {snr:.1f} dB", flush=True)


if __name__ == "__main__":
    main()
