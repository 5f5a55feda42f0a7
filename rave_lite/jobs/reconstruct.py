"""Reconstructs sound files with a model."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from rave_lite.data import audio, level, outputs
from rave_lite.data.scan import find
from rave_lite.errors import InputError
from rave_lite.evaluation import vital_signs
from rave_lite.evaluation.reconstruct import calibration, reconstruct_file
from rave_lite.model import RAVE


def reconstruct(config: DictConfig) -> list[Path]:
    """Reconstructs every file of the input; writes wav files under `out`, in the same subfolders. Returns their paths."""
    model = RAVE.from_checkpoint(config.ckpt)
    root, out = Path(config.input).expanduser(), Path(config.out).expanduser()
    paths, left_out = find(root)
    for name, reason in left_out.items():
        print(f"{root / name}: skipped: {reason}")
    paths = outputs.leave_out(paths, root, foreign=True)
    names = [str(path.relative_to(root)) if root.is_dir() else path.name for path in paths]
    targets = [out / name for name in audio.as_wav(names)]
    if clashes := {path.resolve() for path in paths} & {target.resolve() for target in targets}:
        raise InputError(f"{out}: this would overwrite {min(clashes)}, which is to be played; choose another folder",
                         where="out")
    for warning in vital_signs.warnings(model):
        print(f"warning: {warning}")
    moved = calibration(model, readable(paths, model.sample_rate), config.calibrate)
    failed = []
    for path, target in zip(paths, targets, strict=True):
        try:
            seconds, notes = reconstruct_file(model, path, target, config.block, seed=config.seed, calibration=moved,
                                              envelope=config.envelope)
            print("; ".join([f"{target}  {seconds:.2f} s", *notes]))
        except audio.UnreadableError as error:  # the other files may be readable
            failed.append(str(error))
    if failed:
        raise InputError("\n".join(failed))
    return targets


def readable(paths: list[Path], sample_rate: int) -> Iterator[np.ndarray]:
    """The sounds `(channels, samples)` of all files that can be read."""
    for path in paths:
        with contextlib.suppress(audio.UnreadableError):
            yield level.load(path, sample_rate)[0]
