"""A run's history: what is on the page, in the source and in a real browser, and how it comes from a real run."""

import base64
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from rave_lite.data import catalogue
from rave_lite.evaluation.history import History, Moment, evenly, moment
from rave_lite.evaluation.reconstruct import reconstruct
from rave_lite.model import RAVE, read_checkpoint
from rave_lite.pages import gallery as page
from tests.commands import fails, rave_lite
from tests.conftest import SETTINGS
from tests.pages.browser import Parsed, in_browser, seen_by_browser, self_contained
from tests.sounds import NASTY, RATE, drum

STEPS = [0, 100, 200, 300, 1000]
SEEN = """
  const seen = {}, cells = [...document.querySelectorAll("tbody tr")].map(row => [...row.querySelectorAll(".play")]);
  const press = key => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
  const where = () => { const row = cells.findIndex(row => row.includes(document.activeElement));
    return [row, cells[row].indexOf(document.activeElement)]; };
  seen.players = await Promise.all(cells.flat().map(button => new Promise(done => {
    const audio = new Audio("data:audio/mpeg;base64," + button.dataset.sound);
    audio.onloadedmetadata = () => done(audio.duration); audio.onerror = () => done("error"); })));
  for (const image of document.images) image.loading = "eager";
  await Promise.all([...document.images].map(image => image.decode()));
  seen.pictures = [...document.images].filter(image => image.naturalWidth).length;
  seen.stops = cells.flat().filter(cell => cell.tabIndex === 0).length;
  cells[0][0].focus();
  const keys = ["ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowUp", "End", "ArrowRight", "Home"];
  seen.walk = keys.map(key => { press(key); return where(); });
  press("End");
  const grid = document.getElementById("grid");
  const last = cells[0].at(-1).getBoundingClientRect(), first = cells[0][0].getBoundingClientRect();
  seen.scrolled = grid.scrollLeft > 0; seen.shown = last.right <= innerWidth + 1;
  seen.sticky = first.left >= 0 && first.left < 40; seen.covered = last.left < first.right;
  seen.wide = document.documentElement.scrollWidth > innerWidth;
  seen.played = [];
  HTMLMediaElement.prototype.play = function () { seen.played.push(this.src.slice(-40)); return Promise.resolve(); };
  const expect = list => list.map(cell => cell.dataset.sound.slice(-40));
  const row = document.querySelectorAll(".all[data-row]")[1], column = document.querySelectorAll(".all[data-column]")[2];
  const end = () => player.dispatchEvent(new Event("ended"));
  row.click();
  for (let i = 0; i < 9; i++) end();
  seen.row = JSON.stringify(seen.played) === JSON.stringify(expect(cells[1]));
  seen.played = [];
  column.click();
  for (let i = 0; i < 99; i++) end();
  seen.column = JSON.stringify(seen.played) === JSON.stringify(expect(cells.map(row => row[3])));
  const click = button => () => button.click();
  seen.on = [click(column), end, click(column), end, click(column), () => press("Escape"), click(column), click(row),
             click(cells[0][5]), click(row), click(cells[0][5]), end].map(act => {
    act(); return cells.flat().flatMap((cell, i) => cell.classList.contains("on") ? [i] : []); });
  return seen;"""


def history() -> History:
    """A history whose sounds approach their hits until step 300 and then move away."""
    hits = [drum(n) * (0.05 if n == 1 else 0.5) for n in range(len(NASTY))]
    noise = [np.random.default_rng(n).standard_normal(len(hit)).astype(np.float32) for n, hit in enumerate(hits)]
    mixed = [[hit + amount * e for hit, e in zip(hits, noise, strict=True)] for amount in (0.3, 0.1, 0.03, 0.001, 0.05)]
    moments = [moment(step, [], hits, outputs, RATE) for step, outputs in zip(STEPS, mixed, strict=True)]
    return History(RATE, NASTY, hits, moments, 200)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Path, History]:
    path, shown = tmp_path_factory.mktemp("page") / "gallery.html", history()
    shown.moments[3].names.append("best")
    page.write(path, shown, run="<i>&'\"$x</i>", note="<i>note</i>")
    return path, shown


def sounds(parsed: Parsed) -> list[np.ndarray]:
    return [soundfile.read(io.BytesIO(base64.b64decode(button["data-sound"])))[0] for button in parsed.all("button")
            if "data-sound" in button]


def test_every_cell_has_its_picture_and_its_sound_at_one_gain(written):
    path, shown = written
    parsed = Parsed(path.read_bytes().decode())
    rows = [[hit, *(m.reconstructions[n] for m in shown.moments)] for n, hit in enumerate(shown.hits)]
    played = sounds(parsed)
    assert len(played) == len(parsed.all("img")) == len(NASTY) * 6
    for sound, decoded in zip((sound for row in rows for sound in row), played, strict=True):
        level, expected = (np.sqrt((x**2).sum()) for x in (decoded, sound * shown.gain))
        assert level == pytest.approx(expected, rel=0.25)  # noise loses its highest octave in MP3
    assert max(np.abs(sound * shown.gain).max() for row in rows for sound in row) == pytest.approx(0.9)
    for picture in parsed.all("img"):
        image = Image.open(io.BytesIO(base64.b64decode(picture["src"].partition(",")[2])))
        assert image.size == (int(picture["width"]), int(picture["height"]))
    labels = [button["aria-label"] for button in parsed.all("button") if "data-sound" in button]
    assert labels[:2] == [f"Play {NASTY[0]}, the recording", f"Play {NASTY[0]}, step 0"]
    assert all(labels[6 * n] == f"Play {name}, the recording" for n, name in enumerate(NASTY))


def test_the_nearest_column_and_the_phases_are_marked(written):
    path, shown = written
    parsed = Parsed(path.read_bytes().decode())
    assert shown.best.step == 300
    heads = [th.get("class", "").split() for th in parsed.all("th") if th.get("scope") == "col"]
    assert heads == [[], [], [], [], ["least", "phase2"], []]  # 200 is the last step of phase 1
    assert sum("least" in td.get("class", "") for td in parsed.all("td")) == len(NASTY)
    tops = [float(i["style"].split(":")[1].strip(" %")) for i in parsed.all("i")]
    distances = [m.distance for m in shown.moments]
    assert np.argsort(tops)[::-1].tolist() == np.argsort(distances).tolist()  # nearer is lower
    assert (min(tops), max(tops)) == (10, 90)
    text = path.read_text()
    assert "Nearest to the recordings: step 300, before the last one, 1,000." in text
    for point in shown.moments:
        assert f">{point.distance:.2f}</b>" in text
        assert point.distance == pytest.approx(np.mean([f["spectral"] for f in point.figures]))


def test_one_moment_is_a_page_too(tmp_path):
    full = history()
    page.write(tmp_path / "one.html", History(RATE, full.names[:1], full.hits[:1], [
        Moment(7, ["last"], full.moments[0].reconstructions[:1], full.moments[0].figures[:1])], None), run="one")
    parsed = Parsed((tmp_path / "one.html").read_text())
    assert len(sounds(parsed)) == 2
    assert "it may still be learning" in (tmp_path / "one.html").read_text()


def test_nothing_comes_from_elsewhere_and_no_name_is_markup(written):
    parsed = self_contained(written[0])
    assert len(parsed.all("i")) == len(STEPS)  # the dots of the curve
    assert len(parsed.all("b")) == len(STEPS)  # the distances
    assert len(parsed.all("script")) == 1


@in_browser
@pytest.mark.parametrize("width", [390, 1440])
def test_in_a_browser(written, width):
    path, _ = written
    seen = seen_by_browser(path, SEEN, width)
    assert len(seen["players"]) == seen["pictures"] == 6 * len(NASTY)
    assert all(0 < seconds < 3 for seconds in seen["players"])
    assert seen["walk"] == [[0, 1], [0, 2], [1, 2], [1, 1], [0, 1], [0, 1], [0, 5], [0, 5], [0, 0]]
    assert seen["stops"] == 1  # Tab passes the grid in one step
    assert seen["scrolled"] == (width == 390)
    assert seen["shown"]
    assert seen["sticky"]
    assert not seen["covered"]
    assert not seen["wide"]
    assert seen["row"]
    assert seen["column"]
    assert seen["on"] == [[3], [9], [], [], [3], [], [3], [6], [5], [6], [5], []]  # pressed again it stops, as by Escape


@pytest.mark.parametrize("most", [1, 2, 3, 7, 20])
def test_few_of_many_are_from_all_over(most):
    chosen = evenly(list(range(10)), most)
    assert len(chosen) == min(most, 10)
    assert chosen == sorted(set(chosen))
    assert chosen[0] == 0
    assert most == 1 or chosen[-1] == 9


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    rng = np.random.default_rng(0)
    (folder / "set").mkdir()
    for n in range(4):
        soundfile.write(folder / f"set/{n} <b>é.wav", rng.uniform(-0.3, 0.3, 17640) * np.geomspace(1, 0.01, 17640), 44100)
    done = rave_lite("train", "data.root=set", "name=mine", f"data.cache={folder}/cache", "data.held_out=0.5", *SETTINGS,
                     "callbacks.checkpoints.keep=3", "logger=csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def columns(path: Path) -> list[int]:
    return [int(label.rpartition(" ")[2]) for button in Parsed(path.read_text()).all("button")
            if "data-column" in button and (label := button["aria-label"])]


@pytest.mark.slow
def test_the_gallery_of_a_run(trained):
    """Each kept step once, in order, with sounds and pictures of its checkpoint."""
    done = rave_lite("gallery", "run=runs/mine", cwd=trained)
    assert done.returncode == 0, done.stderr
    path = trained / "runs/mine/gallery.html"
    best = read_checkpoint(trained / "runs/mine/checkpoints/best.ckpt").step
    assert columns(path) == sorted({3, 6, 9, 12, best})
    assert "phase1" in done.stdout
    assert "keep" not in done.stdout
    parsed = Parsed(path.read_text())
    assert len(sounds(parsed)) == 2 * (1 + len(columns(path)))
    clip = catalogue(trained / "set", 44100, cache=trained / "cache", held_out=0.5).held_out[0]
    model = RAVE.from_checkpoint(trained / "runs/mine/checkpoints/step-0000003.ckpt")
    x = clip.read()
    output = reconstruct(model, x[None])[0]
    original, first = (s[: len(x)] for s in sounds(parsed)[:2])
    gain = np.sqrt((output**2).sum() / (x**2).sum())
    assert np.sqrt((first**2).sum() / (original**2).sum()) == pytest.approx(gain, rel=0.2)
    heads = [th["class"].split() for th in parsed.all("th") if "class" in th]
    (begins,) = (step for step, names in zip(columns(path), heads, strict=True) if "phase2" in names)
    assert begins == min(step for step in columns(path) if step > 6)

    shutil.copytree(trained / "runs/mine", trained / "runs/it's <b>🥁 (1), x")
    (trained / "runs/mine").rename(trained / "runs/mine.away")
    (trained / "2024").symlink_to("runs/it's <b>🥁 (1), x")
    for name in ("runs/it's <b>🥁 (1), x", "2024"):
        done = rave_lite("gallery", f"run={name}", "columns=1", "files=1", "seconds=0.1", cwd=trained)
        assert done.returncode == 0, done.stderr
    (trained / "runs/mine.away").rename(trained / "runs/mine")

    done = rave_lite("gallery", "run=runs/mine", "out=few.html", "columns=1", "files=1", "seconds=0.1", cwd=trained)
    assert done.returncode == 0, done.stderr
    assert columns(trained / "few.html") == sorted({3, 6, 12, best})  # what every run has is never left out
    assert all(len(sound) < 0.2 * 44100 for sound in sounds(Parsed((trained / "few.html").read_text())))


def test_without_kept_steps_it_is_made_of_what_was_logged_or_of_what_there_is(trained, tmp_path):
    run = tmp_path / "runs/mine"
    shutil.copytree(trained / "runs/mine", run)
    for path in (run / "checkpoints").glob("step-*"):
        path.unlink()
    done = rave_lite("gallery", f"run={run}")
    assert done.returncode == 0, done.stderr
    assert "callbacks.checkpoints.keep=1000" in done.stdout
    assert columns(run / "gallery.html") == [0, 4, 8, 12]  # the steps at which it logged sounds
    logged = soundfile.read(next((run / "logs/csv").rglob("step_0000008/held_out/0_*.wav")))[0]
    original = soundfile.read(next((run / "logs/csv").rglob("original/0_*.wav")))[0]
    on_page = sounds(Parsed((run / "gallery.html").read_text()))
    assert np.sqrt((on_page[3] ** 2).sum() / (on_page[0] ** 2).sum()) == pytest.approx(
        np.sqrt((logged**2).sum() / (original**2).sum()), rel=0.2)

    shutil.rmtree(run / "logs")
    done = rave_lite("gallery", f"run={run}")
    assert done.returncode == 0, done.stderr
    assert "kept no checkpoints on the way" in done.stdout
    assert columns(run / "gallery.html") == sorted({6, 12, read_checkpoint(run / "checkpoints/best.ckpt").step})

    for path in (run / "checkpoints").iterdir():
        path.unlink()
    fails("no checkpoints in it, nor sounds", "gallery", f"run={run}")


def test_what_is_no_run(trained, tmp_path):
    fails("run: needs a value", "gallery")
    fails("no folder of a run", "gallery", f"run={tmp_path / 'nowhere'}")
    fails("no folder of a run", "gallery", f"run={trained / 'runs/mine/checkpoints/last.ckpt'}")
    for wrong in ("files=0", "columns=none", "seconds=-1", "seconds=inf", "seconds=nan", "seed=-1"):
        fails("number from", "gallery", f"run={trained / 'runs/mine'}", wrong)
    checkpoint = torch.load(trained / "runs/mine/checkpoints/last.ckpt", weights_only=True)
    checkpoint["config"]["data"]["root"] = None
    (tmp_path / "imported/checkpoints").mkdir(parents=True)
    torch.save(checkpoint, tmp_path / "imported/checkpoints/last.ckpt")
    fails("an imported model or a base, which knows no recordings", "gallery", f"run={tmp_path / 'imported'}")
    done = rave_lite("gallery", f"run={tmp_path / 'imported'}", f"data.root={trained / 'set'}")
    assert done.returncode == 0, done.stderr
    checkpoint["config"]["data"]["root"] = str(tmp_path / "gone")
    torch.save(checkpoint, tmp_path / "imported/checkpoints/last.ckpt")
    fails("gone: no such file or folder", "gallery", f"run={tmp_path / 'imported'}")
    (tmp_path / "imported/checkpoints/last.ckpt").write_text("none")
    fails("not a checkpoint", "gallery", f"run={tmp_path / 'imported'}")
