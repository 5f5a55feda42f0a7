"""A run's history on one page: the same held-out hits at each checkpoint."""

from pathlib import Path

from omegaconf import DictConfig

from rave_lite.evaluation.history import History, read_history
from rave_lite.pages import gallery as page


def gallery(config: DictConfig) -> History:
    """Writes the page from the checkpoints, or from the logged sounds; prints the distance at each step."""
    folder = Path(config.run).expanduser()
    history = read_history(folder, config.data.root, config.data.cache, files=config.files, seconds=config.seconds,
                           columns=config.columns, seed=config.seed)
    out = Path(config.out).expanduser() if config.out else folder / "gallery.html"
    page.write(out, history, run=folder.resolve().name, note=history.note)
    for point in history.moments:
        names = [*point.names, *["nearest"] * (point is history.best)]
        print(f"step {point.step:7}  distance {point.distance:6.2f}  {', '.join(names)}")
    print(*([history.note] if history.note else []), f"{out}: open it in a browser", sep="\n")
    return history
