"""Group the hits of a folder, to see, hear and choose which to train on."""

from pathlib import Path

from omegaconf import DictConfig
from rich import print as show

from rave_lite.data import manifest, resolve_root
from rave_lite.data.catalogue import usable
from rave_lite.data.network import redact_url
from rave_lite.errors import InputError
from rave_lite.evaluation.curation import curate as judge
from rave_lite.evaluation.curation import table
from rave_lite.jobs.common import check_numbers, job
from rave_lite.pages import hits as page

RATE = 44100  # Hz, of what is looked at and heard; the manifest is in seconds, for models of any rate


def curate(config: DictConfig) -> None:
    """manifest.csv and hits.html; a manifest that is there already, maybe edited, is kept."""
    check_numbers(config, longer=0.1, seconds=0.1)
    if not isinstance(config.keep_below, int | float | None):
        raise InputError(f"keep_below: {config.keep_below!r} is no outlier score; say 2.0")
    out = Path(config.out).expanduser()
    listed, shown = out / "manifest.csv", out / "hits.html"
    if listed.exists() and not config.overwrite:
        raise InputError(f"{listed} is there already, maybe with your choices: say another out=, or overwrite=true")
    root = resolve_root(config.data.root)
    place, entries, clips = usable(root, RATE, cache=config.data.cache, cache_gb=config.data.cache_gb)
    print(f"{place}: {sum(map(len, clips)) / RATE / 60:.2f} min of audio", flush=True)
    found = judge(clips, RATE, longer=config.longer, keep_below=config.keep_below)
    hits = [hit for hit, _ in found]
    page.write(shown, found, RATE, root=redact_url(root), seconds=config.seconds)
    manifest.write(listed, hits)
    show(table(hits))
    skipped = sum(entry.skipped is not None for entry in entries.values())
    print(f"{len(hits)} hits in {len(entries) - skipped} files" + (f"; {skipped} files skipped" if skipped else ""))
    print(f"look, listen and choose: {shown}\n"
          f"or edit the column keep: {listed}\n"
          f"then train on the rest:  rave-lite train data.root={place} data.manifest={listed}")


main = job(curate)
