"""`rave-lite listen` as a person types it: which recordings are on the page, marked how, from which models."""

import json
import re
import shutil
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from rave_lite.cli.overrides import named
from rave_lite.data.sides import HELD_OUT, TRAIN
from rave_lite.evaluation.evaluate import played_through
from rave_lite.evaluation.figures import figures
from rave_lite.evaluation.reconstruct import Reconstruction
from rave_lite.evaluation.side_by_side import labels
from rave_lite.model import RAVE, Checkpoint, read_checkpoint
from tests.commands import fails, rave_lite
from tests.pages.browser import Parsed
from tests.sounds import clip

CHECKPOINT = "runs/mine/checkpoints/last.ckpt"


def altered(trained: Path, path: Path, **changes) -> Path:
    """A copy of the run's checkpoint; `changes`: dotted keys, with __ for dots, and their values."""
    checkpoint = torch.load(trained / CHECKPOINT, weights_only=True)
    for keys, value in changes.items():
        *above, last = keys.split("__")
        inside = checkpoint
        for key in above:
            inside = inside[key]
        inside[last] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, path)
    return path


class Shown:
    """The contents of a page: versions, and per recording its marks (one for all models, or one each) and figures."""

    def __init__(self, folder: Path):
        text = (folder / "index.html").read_text(encoding="utf-8")
        self.names = [article["data-name"] for article in Parsed(text).all("article") if "data-name" in article]
        articles = text.split("<article")[2:]
        self.versions = [list(map(unescape, re.findall('</kbd> <span class="name">([^<]+)', a))) for a in articles]
        self.marks = [re.findall('class="chip [a-z]*">([^<]+)', article) for article in articles]
        pair = "<dt>([a-z0-9_]+)</dt> <dd>([-0-9.]+)"
        self.figures = [[dict(re.findall(pair, part)) for part in article.split("<dl>")[1:]] for article in articles]
        self.seconds = [float(article["data-seconds"]) for article in Parsed(text).all("article") if "data-name" in article]


def listen(trained: Path, out: Path, *arguments: object) -> Shown:
    done = rave_lite("listen", "walks=0", *arguments, f"out={out}", cwd=trained)
    assert done.returncode == 0, done.stderr
    assert f"{out}/index.html" in done.stdout
    return Shown(out)


@pytest.fixture(scope="module")
def judged(trained) -> dict:
    """The report of `evaluate` on the same run."""
    done = rave_lite("evaluate", f"ckpt={CHECKPOINT}", "max_train_clips=0", cwd=trained)
    assert done.returncode == 0, done.stderr
    return json.loads((trained / "runs/mine/evaluation/figures.json").read_text())


def test_held_out_clips_come_first_with_the_figures_of_evaluate(trained, tmp_path, judged):
    shown = listen(trained, tmp_path / "my page, (1)", f"ckpt={CHECKPOINT}", "max_train_clips=3")
    count = len(judged["files"])
    assert shown.names[:count] == list(judged["files"])
    assert shown.marks == [["held out"]] * count + [["trained on"]] * min(3, count)
    assert not set(shown.names[:count]) & set(shown.names[count:])
    for name, (row,) in zip(shown.names[:count], shown.figures, strict=False):
        assert row == {key: f"{value:.2f}" for key, value in judged["files"][name].items()}
    assert shown.versions == [["original", "mine"]] * len(shown.names)


def test_several_models_each_with_marks_of_its_own(trained, tmp_path, judged):
    """Another split trained on what this run held out; a run on another folder on none of it; an import is unknown."""
    held_out = list(judged["files"])
    files = sorted(str(path.relative_to(trained / "set/drums")) for path in (trained / "set/drums").rglob("*.wav"))
    other = next(name for name in files if name not in held_out)
    memory = read_checkpoint(trained / CHECKPOINT).settings["data"]["split"]
    swapped = [[name, content, HELD_OUT if name == other else TRAIN, {}] for name, content, *_ in memory["files"]]
    split = altered(trained, tmp_path / "a, b's [c]/checkpoints/last.ckpt", config__data__split=memory | {"files": swapped})
    foreign = altered(trained, tmp_path / "second/checkpoints/last.ckpt", config__data__root=str(trained / "set/birds"),
                      config__data__split=None)
    imported = altered(trained, tmp_path / "third.ckpt", config__data__root=None)
    shown = listen(trained, tmp_path / "page", f"ckpt={CHECKPOINT},{split},{foreign},{imported}", "max_train_clips=0",
                   "files=99")
    folders = [re.sub(r" step \d+$", "", name) for name in shown.versions[0]]
    assert folders[:4] == ["original", "mine", "a, b's [c]", "second"]
    marks = dict(zip(shown.names, shown.marks, strict=True))
    for name in held_out:
        assert marks[name] == ["held out", "trained on", "not of its set", "not known"]
    assert marks[other] == ["trained on", "held out", "not of its set", "not known"]
    assert ["not of its set", "not of its set", "held out", "not known"] in shown.marks


def test_a_model_of_another_rate(trained, tmp_path, judged):
    low = altered(trained, tmp_path / "low/checkpoints/x.ckpt", model__sample_rate=32000, config__name="low")
    shown = listen(trained, tmp_path / "page", CHECKPOINT, low, "max_train_clips=0", "files=2")
    assert shown.versions == [["original", "mine", "low"]] * 2
    assert 'data-rate="44100"' in (tmp_path / "page/index.html").read_text()
    for name, (first, second) in zip(shown.names, shown.figures, strict=True):
        assert first == {key: f"{value:.2f}" for key, value in judged["files"][name].items()}
        x, _ = soundfile.read(trained / "set/drums" / name, dtype="float32")
        _, y = played_through(Reconstruction(RAVE.from_checkpoint(low)), clip(name, x), 0, 44100)
        assert second["spectral"] == f"{figures(x, y, 44100)['spectral']:.2f}"


@pytest.mark.slow
def test_foreign_inputs_and_other_recordings(trained, tmp_path, write):
    click = write("deep/a = 'b', $c.wav", samples=np.hanning(1000) * 0.3 * np.random.default_rng(0).standard_normal(1000))
    write("</script> 🥁.wav", 3.0)
    folder = click.parents[1].rename(click.parents[1].with_name("my, sounds (1)"))
    shown = listen(trained, tmp_path / "page", CHECKPOINT, f"inputs={folder}", "files=1", "max_train_clips=0", "seconds=1")
    assert len(shown.names) == 2
    assert list(shown.figures[1][0]) == ["onset_f1", "loudness", "order", "in_to_target", "out_to_target", "high_in",
                                         "high_out", "sharp_in", "sharp_out"]
    assert shown.marks[1] == []
    assert max(shown.seconds) <= 1
    imported = altered(trained, tmp_path / "import.ckpt", config__data__root=None)
    shown = listen(trained, tmp_path / "page", imported, f"inputs={folder}", "seconds=1")
    assert sorted(shown.names) == ["</script> 🥁.wav", "deep/a = 'b', $c.wav"]
    assert shown.seconds[shown.names.index("</script> 🥁.wav")] == 1
    assert list(shown.figures[0][0]) == ["onset_f1", "loudness", "order", "high_in", "high_out", "sharp_in", "sharp_out"]
    shown = listen(trained, tmp_path / "page", imported, CHECKPOINT, f"data.root={folder}")
    assert shown.marks == [["not known", "not of its set"]] * 2
    moved = altered(trained, tmp_path / "moved.ckpt", config__data__root=str(tmp_path / "gone"))
    (tmp_path / "now").symlink_to(trained / "set/drums")
    shown = listen(trained, tmp_path / "page", moved, f"data.root={tmp_path / 'now'}", "files=1", "max_train_clips=1")
    assert shown.marks == [["held out"], ["trained on"]]
    shown = listen(trained, tmp_path / "page", moved, "data.root=set/birds", "files=3")
    assert shown.marks == [["not known"]] * 3
    shutil.copytree(trained / "set/drums", tmp_path / "copy")
    shown = listen(trained, tmp_path / "page", CHECKPOINT, f"data.root={tmp_path / 'copy'}", "files=99")
    assert {mark for (mark,) in shown.marks} == {"held out", "trained on"}


def test_wrong_input(trained, tmp_path, write):
    imported = altered(trained, tmp_path / "import.ckpt", config__data__root=None)
    moved = altered(trained, tmp_path / "moved.ckpt", config__data__root=str(tmp_path / "gone"))
    hush = write("hush.wav", samples=np.zeros(44100)).parent
    for arguments, message in (
            ([], "ckpt: needs a value"), (["ckpt="], "ckpt: name at least one"), (["ckpt=[]"], "ckpt: name at least one"),
            ([f"ckpt={CHECKPOINT},gone.ckpt"], "gone.ckpt: no such checkpoint"),
            ([imported], "import.ckpt: an imported model or a base, which knows no recordings; say which"),
            ([moved], "gone: no such file or folder"), ([CHECKPOINT, f"inputs={hush}"], "inputs: "),
            ([CHECKPOINT, f"data.root={hush}"], "data.root: "),
            ([CHECKPOINT, "seconds=0"], "seconds: 0 is no number from 0.1 on"),
            ([CHECKPOINT, "files=0"], "files: 0 is no whole number from 1 on"),
            ([CHECKPOINT, "max_train_clips=true"], "max_train_clips: True is no whole number"),
            ([CHECKPOINT, "seconds=inf"], "seconds: inf is no number"), ([CHECKPOINT, "seed=-1"], "seed: -1 is no whole")):
        fails(message, "listen", *arguments, f"out={tmp_path / 'page'}", cwd=trained)
    assert not (tmp_path / "page").exists()
    (tmp_path / "page").touch()
    fails("a file is there", "listen", CHECKPOINT, f"out={tmp_path / 'page'}", cwd=trained)


@pytest.mark.slow
def test_the_latent_of_each_model_around_the_chosen_hit(trained, tmp_path):
    """The hit is chosen by name, and resampled for a model of another rate; without walks there is no latent section."""
    slower = altered(trained, tmp_path / "slower.ckpt", model__sample_rate=22050, sample_rate=22050, config__name="slower")
    listen(trained, tmp_path / "a", CHECKPOINT, slower, "seconds=0.5")
    hit = Shown(tmp_path / "a").names[1]
    for walks in (2, 0):
        listen(trained, tmp_path / "b", CHECKPOINT, slower, "seconds=0.5", f"walks={walks}", f"hit={hit}")
        page = Parsed((tmp_path / "b/index.html").read_text(encoding="utf-8"))
        tables = [table["aria-label"] for table in page.all("table") if table.get("role") == "grid"]
        assert tables == [f"{hit} by {name}, moved along each direction" for name in ("mine", "slower")][:walks]
        assert len(page.all("figure")) == 2 * walks
    fails("hit: no recording on the page is named 'x'", "listen", CHECKPOINT, "hit=x", f"out={tmp_path / 'c'}", cwd=trained)


def test_names_on_the_command_line(tmp_path, monkeypatch):
    """Commas separate names, but not inside the name of an existing file; no other character is special."""
    monkeypatch.chdir(tmp_path)
    Path("a,b c's.ckpt").touch()
    Path("x=1.ckpt").touch()
    for arguments, expected in (
            (["ckpt=a.ckpt"], ["ckpt=['a.ckpt']"]), (["ckpt=a.ckpt,b.ckpt"], ["ckpt=['a.ckpt','b.ckpt']"]),
            (["ckpt=d.ckpt,a,b c's.ckpt,e.ckpt"], ["ckpt=['d.ckpt','a,b c\\'s.ckpt','e.ckpt']"]),
            (["ckpt=[a.ckpt,b.ckpt]"], ["ckpt=[a.ckpt,b.ckpt]"]),
            (["x=1.ckpt", "b.ckpt", "seed=1"], ["ckpt=['x=1.ckpt','b.ckpt']", "seed=1"]),
            (["inputs=birds, (1)", "out=p/", "data.root=null"], ["inputs='birds, (1)'", "out='p/'", "data.root=null"])):
        assert named("listen", arguments) == expected
    for arguments, expected in ((["run=runs/it's (1), <b>", "seconds=2"], ["run='runs/it\\'s (1), <b>'", "seconds=2"]),
                                (["run=5", "out=null"], ["run='5'", "out=null"])):
        assert named("gallery", arguments) == expected
    for argument, expected in (("data.root=it's (1)", "data.root='it\\'s (1)'"), ("name=2024", "name='2024'"),
                               ("name=1e3", "name='1e3'"), ("name=a,b", "name=a,b"), ("data.root=my drums", None),
                               ("out=runs/${name}", None), ("name='a'", None), ("data.root=null", None), ("seed=3", None)):
        assert named("train", [argument]) == [expected or argument]
    for job in ("train", "learning-curve", "learning_curve", "bench-train"):
        assert named(job, ["trainer.compile=true"]) == ["runner.compile=true"]  # an old word
    assert named("evaluate", ["ckpt=a.ckpt,b.ckpt"]) == ["ckpt=a.ckpt,b.ckpt"]  # a sweep


def test_labels_tell_models_apart():
    def of(*runs: tuple[str, str, int]) -> list[str]:
        return labels([Path(f"/r/{folder}/checkpoints/last.ckpt") for folder, _, _ in runs],
                      [Checkpoint(Path(), {}, {}, step, settings={"name": name}) for _, name, step in runs])

    assert of(("a", "kompang", 9), ("b", "rebana", 9)) == ["kompang", "rebana"]
    assert of(("a", "kompang", 8), ("a", "kompang", 9)) == ["kompang step 8", "kompang step 9"]
    assert of(("a", "rave", 9), ("b", "rave", 9)) == ["a step 9", "b step 9"]
    assert of(("a", "rave", 9), ("a", "rave", 9)) == ["rave step 9 (1)", "rave step 9 (2)"]
    assert of(("a", "rave", 9)) == ["rave"]
