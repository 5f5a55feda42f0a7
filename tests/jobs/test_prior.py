"""rave-lite prior and generate as a person types them."""

import pytest

from rave_lite import InputError, run
from tests.commands import fails, rave_lite


@pytest.mark.slow
def test_from_recordings_to_a_page_and_a_file(trained, tmp_path):
    ckpt = trained / "runs/mine/checkpoints/last.ckpt"
    here = [f"ckpt={ckpt}", f"prior={tmp_path / 'prior.ckpt'}"]
    done = rave_lite("prior", here[0], f"out={tmp_path / 'prior.ckpt'}", "steps=20", "hidden=8", "components=2", cwd=trained)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Gaussian AR(1)" in done.stdout
    assert "recordings to learn from" in done.stdout
    assert "first it learns rhythms of the built-in drums" in done.stdout
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained)
        paths = run("generate", *here, "seconds=1", "takes=2", f"out={tmp_path / 'page'}",
                    "groove=set/drums/rhythms/rebana.wav", "continue=set/birds/kingfisher_1.wav")
    assert [path.name for path in paths] == ["take_1.wav", "take_2.wav"]
    page = (tmp_path / "page/index.html").read_text()
    assert "plays by itself" in page
    assert "memorised" in page
    done = rave_lite("export", *here, f"out={tmp_path / 'mine.ts'}", "blocks=20")
    assert "nats per frame better than a Gaussian" in done.stdout
    other = trained / "runs/mine/checkpoints/phase1.ckpt"
    fails("a prior of another model, 'mine'", "generate", f"ckpt={other}", here[1], cwd=trained)


def test_wrong_words_are_told(trained, tmp_path):
    ckpt = trained / "runs/mine/checkpoints/last.ckpt"
    fails("no such prior; rave-lite prior ckpt=... makes one", "generate", f"ckpt={ckpt}")
    fails("no such prior", "export", f"ckpt={ckpt}", f"prior={tmp_path / 'none.ckpt'}")
    fails("a torch file, but no prior", "generate", f"ckpt={ckpt}", f"prior={ckpt}")
    for wrong, message in (("seconds=0", "seconds: 0 is no number from 0.1 on"), ("takes=0", "takes: 0 is no whole number"),
                           ("temperature=-1", "temperature: -1 is no number from 0 to 4"),
                           ("density=nan", "density: nan is no number"),
                           ("density=17", "density: 17 is no number from 0 to 16"),
                           ("tempo=3", "tempo: 3 is no number from 0.5 to 2"),
                           ("temperature=5", "temperature: 5 is no number from 0 to 4"),
                           ("groove=", "groove: needs a value, as in groove=loop.wav"),
                           (f"out={ckpt}", "a file is there; name a folder"),
                           ("groove=none.wav", "groove: none.wav: no such file")):
        fails(message, "generate", f"ckpt={ckpt}", f"prior={ckpt}", wrong)
    fails("steps: -1 is no whole number from 0 on", "prior", f"ckpt={ckpt}", "steps=-1")
    fails("pretrain: 'rhythms' is none of true, false, auto", "prior", f"ckpt={ckpt}", "pretrain=rhythms")
    fails("dropout: 2 is no number from 0 to 0.9", "prior", f"ckpt={ckpt}", "dropout=2")
    fails("is there already; name another file", "prior", f"ckpt={ckpt}", f"out={ckpt}")
    fails("out: needs a value", "prior", f"ckpt={ckpt}", "out=")
    fails("say which: data.root=DIR", "prior", "ckpt=base")
    with pytest.raises(InputError, match="no such checkpoint"):
        run("prior", "ckpt=gone.ckpt")
