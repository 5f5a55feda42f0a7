"""The page of hits: self-contained, whole, safe with any name, and in a real browser it saves what is ticked."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from rave_lite.data import manifest
from rave_lite.data.manifest import Hit
from rave_lite.pages import hits as page
from tests.pages.browser import Parsed, in_browser, seen_by_browser, self_contained
from tests.sounds import NASTY, RATE, bell, clip, drum

SEEN = """
  const seen = {plain: manifest()}, boxes = [...document.querySelectorAll("li input")], all = document.querySelector(".all");
  const press = element => { element.focus(); element.click(); return document.activeElement === element; };
  seen.focus = [press(boxes[0]), press(document.querySelectorAll(".all")[1])];
  seen.edited = manifest(); seen.count = document.getElementById("count").textContent; seen.mixed = all.indeterminate;
  document.getElementById("limit").value = 2; press(document.getElementById("drop")); seen.dropped = manifest();
  seen.players = await Promise.all([...document.querySelectorAll(".play")].map(button => new Promise(done => {
    const audio = new Audio("data:audio/mpeg;base64," + button.dataset.sound);
    audio.onloadedmetadata = () => done(audio.duration); audio.onerror = () => done("error"); })));
  for (const image of document.images) image.loading = "eager";
  await Promise.all([...document.images].map(image => image.decode()));
  seen.pictures = [...document.images].filter(image => image.naturalWidth).length;
  document.getElementById("save").click(); seen.saved = !document.getElementById("next").hidden;
  seen.wide = document.documentElement.scrollWidth > innerWidth;
  return seen;"""


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Path, list[Hit]]:
    hits_with_clips = []
    for n, name in enumerate(NASTY):
        sound = clip(name, np.concatenate([drum(n), bell(n)]) if n else np.ones(882) * 0.5)
        hits_with_clips.append((Hit(name, 0, round(len(sound) / RATE, 3), 1 + n % 3, 2.5 - n / 8, n != 4), sound))
    path = tmp_path_factory.mktemp("page") / "hits.html"
    page.write(path, hits_with_clips, RATE, root="<i>&'\"$x</i>", seconds=0.5)
    return path, [hit for hit, _ in hits_with_clips]


def test_every_hit_is_there_with_its_picture_and_sound(written):
    path, hits = written
    parsed = Parsed(path.read_bytes().decode())
    rows = sorted(parsed.all("li"), key=lambda row: int(row["data-row"]))
    assert [[row[f"data-{column}"] for column in manifest.COLUMNS] for row in rows] == [hit.row() for hit in hits]
    sounds = [base64.b64decode(button["data-sound"]) for button in parsed.all("button") if "data-sound" in button]
    for row, sound in zip(parsed.all("li"), sounds, strict=True):
        samples, rate = soundfile.read(io.BytesIO(sound))
        assert rate == RATE
        assert len(samples) / rate == pytest.approx(min(float(row["data-end"]), 0.5), abs=0.06)
        assert np.abs(samples).max() > 0.1
    for picture in parsed.all("img"):
        image = Image.open(io.BytesIO(base64.b64decode(picture["src"].partition(",")[2])))
        assert image.size == (int(picture["width"]), 72)
        assert np.asarray(image.convert("L")).std() > 10
    ticks = [box for box in parsed.all("input") if box["type"] == "checkbox" and box.get("class") != "all"]
    assert [("checked" in box) for box in ticks] == [row["data-keep"] == "yes" for row in parsed.all("li")]


def test_nothing_comes_from_elsewhere_and_no_name_is_markup(written):
    parsed = self_contained(written[0])
    assert not parsed.all("i")
    assert len(parsed.all("b")) == len(written[1]) + 1  # the scores, and the name of the file that is saved
    assert len(parsed.all("section")) == 3


def test_hits_alone_in_their_group_are_shown_together_first():
    hits = [Hit("a", 0, 1, 1, 0.9), Hit("b", 0, 1, 1, 1.1), Hit("c", 0, 1, 2, 4), Hit("d", 0, 1, 3, 3), Hit("e", 0, 1, 4, 2),
            Hit("f", 0, 1, 4, 2)]
    assert [(title, "".join(hit.file for hit in inside)) for title, inside in page.sections(hits)] == [
        ("On their own", "cd"), ("Group 4", "ef"), ("Group 1", "ab")]


@in_browser
@pytest.mark.parametrize("width", [390, 1440])
def test_in_a_browser(written, tmp_path, width):
    """Unedited the page saves the manifest byte for byte; ticks, groups and the limit change what they should."""
    path, hits = written
    seen = seen_by_browser(path, SEEN, width)
    manifest.write(tmp_path / "plain.csv", hits)
    assert seen["plain"].encode() == (tmp_path / "plain.csv").read_bytes()

    shown = [inside for _, inside in page.sections(hits)]
    group = shown[1] if all(hit.keep for hit in shown[1]) else []
    toggled = {shown[0][0].file: not shown[0][0].keep} | {hit.file: not group for hit in shown[1]}
    assert saved(seen["edited"], tmp_path) == {hit.file: toggled.get(hit.file, hit.keep) for hit in hits}
    kept = [hit for hit in hits if toggled.get(hit.file, hit.keep)]
    assert seen["count"] == f"{len(kept)} of {len(hits)} hits, {sum(hit.end for hit in kept):.1f} s"
    assert seen["mixed"]
    assert seen["focus"] == [True, True]
    assert saved(seen["dropped"], tmp_path) == {hit.file: hit in kept and hit.outlier < 2 for hit in hits}
    assert all(0 < seconds < 0.6 for seconds in seen["players"])
    assert seen["pictures"] == len(hits)
    assert seen["saved"]
    assert not seen["wide"]


def saved(text: str, folder: Path) -> dict[str, bool]:
    (folder / "saved.csv").write_bytes(text.encode())
    return {hit.file: hit.keep for hit in manifest.read(folder / "saved.csv")}
