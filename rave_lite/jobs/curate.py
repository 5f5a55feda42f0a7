"""Groups the hits of a folder, so that people can see, hear and choose which to train on."""

from pathlib import Path

from omegaconf import DictConfig
from rich import print as show

from rave_lite.data import manifest, resolve_root, search_and_cut
from rave_lite.data.catalogue import remarks, usable, without_silence
from rave_lite.data.network import redact_url
from rave_lite.evaluation.curation import curate as judge
from rave_lite.evaluation.curation import table
from rave_lite.pages import hits as page

RATE = 44100  # Hz, of the analysis and the page; the manifest is in seconds, so it serves models of any rate


def curate(config: DictConfig) -> list[manifest.Hit]:
    """Writes manifest.csv and hits.html, and returns the hits. An existing manifest, maybe edited, is not overwritten."""
    out = Path(config.out).expanduser()
    manifest_path, page_path = out / "manifest.csv", out / "hits.html"
    root = resolve_root(config.data.root)
    source, entries, clips = usable(root, RATE, cache=config.data.cache, cache_gb=config.data.cache_gb)
    for line in remarks(entries):
        show(line)
    minutes = sum(map(len, clips)) / RATE / 60
    clips = search_and_cut(without_silence(root, clips, entries, RATE), RATE)
    sound = sum(map(len, clips)) / RATE / 60
    print(f"{source}: {sound:.2f} min of sound in {minutes:.2f} min", flush=True)
    judged_hits = judge(clips, RATE, longer=config.longer, keep_below=config.keep_below)
    hits = [hit for hit, _ in judged_hits]
    page.write(page_path, judged_hits, RATE, root=redact_url(root), seconds=config.seconds)
    manifest.write(manifest_path, hits)
    show(table(hits))
    skipped = sum(entry.skipped is not None for entry in entries.values())
    print(f"{len(hits)} hits in {len(entries) - skipped} files" + (f"; {skipped} files skipped" if skipped else ""))
    print(f"look, listen and choose: {page_path}\n"
          f"or edit the column keep: {manifest_path}\n"
          f"then train on the rest:  rave-lite train data.root={source} data.manifest={manifest_path}")
    return hits
