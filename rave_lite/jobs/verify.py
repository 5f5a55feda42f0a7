"""Verifies an exported file."""

from pathlib import Path

from omegaconf import DictConfig

from rave_lite.errors import InputError
from rave_lite.export.verify import DEAD, Finding, load_own_export, report
from rave_lite.export.verify import verify as check
from rave_lite.model import read_checkpoint
from rave_lite.runs import checkpoint_file


def verify(config: DictConfig) -> list[Finding]:
    """Runs every check of export on a file, against its checkpoint if given, and returns the findings. Keeps the file."""
    file = Path(config.file).expanduser()
    checkpoint = checkpoint_file(config.ckpt) if config.ckpt else None
    load_own_export(file)
    if checkpoint:
        read_checkpoint(checkpoint)
    findings = check(file, checkpoint, blocks=config.blocks)
    print(report(findings))
    failed = [f for f in findings if not f.well]
    if dead := next((f for f in failed if f.check == DEAD), None):
        raise InputError(f"failed: {dead.result}", where=file)
    if failed:
        raise InputError("failed; export it anew", where=file)
    print(f"{file}: verified" + (" against the checkpoint" if checkpoint else ""))
    return findings
