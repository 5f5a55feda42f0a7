"""Compares every sample of the FOLDER of tests/bench/release_oracle.py with ours: offline (interior) and streamed.

    python tests/bench/release_parity.py FOLDER

Prints, for each case, the largest difference in latents and in sound, of full scale both: of the run's import, of its
streaming form block after block, and of the import of the release's own streaming export; `whole`: its forward in one;
`scores`: of the discriminators.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rave_lite import set_noise, stream
from rave_lite.acids_rave import convert, read
from rave_lite.model import RAVE
from rave_lite.model.encoder import StridedEncoder
from tests.acids_rave.formula import CASES, before, channels, played
from tests.acids_rave.test_import import scores


def best_shift(output: Tensor, expected: Tensor, nominal: int, step: int) -> int:
    """Frames or samples by which `output` is later, near `nominal`: where the middles differ least."""
    middle, half = expected.shape[-1] // 2, expected.shape[-1] // 24
    part = expected[..., middle - half : middle + half]
    shifts = [s for s in range(nominal - 70 * step, nominal + 60 * step, step)
              if middle - half + s >= 0 and middle + half + s <= output.shape[-1]]
    return min(shifts, key=lambda s: float((output[..., middle - half + s : middle + half + s] - part).abs().max()))


def difference(output: Tensor, expected: Tensor, shift: int, first: int, last: int) -> float:
    """The largest absolute difference in [first, last), with `output` later by `shift`."""
    lo, hi = max(first, -shift, 0), min(last, output.shape[-1] - shift)
    return float((output[..., lo + shift : hi + shift] - expected[..., lo:hi]).abs().max())


@torch.no_grad()
def compare(folder: Path, case: str) -> None:
    theirs = {k: torch.from_numpy(v) for k, v in np.load(folder / case / "made.npz").items()}
    x = torch.cat([torch.from_numpy(played(case)), torch.zeros(1, channels(case), 20 * 2048)], -1)
    sources = [(folder / case, False), (folder / case, True), (next((folder / case).glob("*.ts")), True)]
    for source, live in sources:
        checkpoint = convert(read(source), name=case, live=live)
        model = RAVE.from_checkpoint(checkpoint)
        set_noise(model, 0)
        n_bands = model.pqmf.n_bands
        edge, last = (0, 98304) if live else (36864, 98304 - 36864)
        if isinstance(model.encoder, StridedEncoder) or "learned" in case:  # a longer past; and silence has one of its own
            edge = 53248
        z, y = (streamed(model, x, "encode"), streamed(model, x)) if live else (model.encode(x)[0], model(x)[0].squeeze(0))
        if "spherical" in case and live:  # its latents are angles, NaN where a latent is 0
            pairs = {}
        else:
            latents = unrotated(model, theirs["live z"]) if live else theirs["z"]
            pairs = {"z": (z, latents, model.encoder.delay, 1, model.hop),
                     "y": (y, theirs["live y" if live else "y"], None, n_bands, 1)}
        if live and "live whole" in theirs:
            first = torch.from_numpy(before(case))
            whole = streamed(model, torch.cat([first, x], -1))[..., first.shape[-1] :]
            pairs["whole"] = (whole, theirs["live whole"], None, n_bands, 1)
        if not live and checkpoint.part("discriminator"):
            pairs["scores"] = (scores(checkpoint), theirs["scores"], 0, 1, 1)
        results = {}
        for name, (ours, expected, nominal, step, samples) in pairs.items():
            nominal = (-model.hop if live else model.latency // n_bands * n_bands) if nominal is None else nominal
            shift = 0 if name == "scores" else best_shift(ours, expected, nominal, step)
            first, end = (0, len(expected)) if name == "scores" else (edge // samples, last // samples)
            results[name] = difference(ours, expected, shift, first, end), shift, float(expected.abs().max())
        print(f"{case:22} {source.suffix or 'run':3} {'streamed' if live else 'offline':8} "
              + ", ".join(f"{k} {d:.1e} of {size:.2g} (later by {shift})" for k, (d, shift, size) in results.items())
              + f"; latency {model.latency}", flush=True)


def streamed(model: RAVE, x: Tensor, method: str = "forward") -> Tensor:
    """Output of `method`, of one channel `(T,)`, streamed in blocks of four hops from the first sample."""
    live = stream(model)
    return torch.cat([getattr(live, method)(block) for block in x.split(4 * model.hop, -1)], -1)[0].squeeze(0)


def unrotated(model: RAVE, p: Tensor) -> Tensor:
    """Latents of the release's export, back in the encoder's own basis."""
    return model.principal.inverse(p[None])[0] if model.config["latent"]["name"] == "variational" else p


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case in sys.argv[2:] or [c for c in CASES if (Path(sys.argv[1]) / c).is_dir()]:
        compare(Path(sys.argv[1]), case)
