"""Writes the built-in synthetic drum set."""

from pathlib import Path

from omegaconf import DictConfig

from rave_lite.data.drums import write


def drums(config: DictConfig) -> list[Path]:
    """Synthesises the set and prints its folders. Returns the files."""
    out = Path(config.out).expanduser()
    paths = write(out, seed=config.seed, sample_rate=config.sample_rate, hits=config.hits)
    print(f"{len(paths)} synthetic files: drums to train on in {out / 'drums'}, "
          f"sounds to play through them in {out / 'birds'}, {out / 'voices'} and {out / 'beatbox'}")
    return paths
