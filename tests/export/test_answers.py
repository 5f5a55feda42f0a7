"""A dead model's file is detected in every precision; young models pass."""

import functools

import pytest

from rave_lite.export.answers import answers
from rave_lite.export.torchscript import load
from rave_lite.export.verify import DEAD, findings
from tests.conftest import build
from tests.models import killed, written

slow = functools.partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("precision", ["float32", slow("bfloat16"), slow("float16"), "int8"])
@pytest.mark.parametrize(("latent", "how", "why"), [
    ("wasserstein", None, ""), ("variational", None, ""), ("wasserstein", "quiet", "is silent"),
    ("wasserstein", "blind", "the same of everything"),
    ("wasserstein", "exploded", ""), slow("variational", "exploded", ""), slow("wasserstein", "saturated", "")])
def test_every_precision(precision, latent, how, why, tmp_path):
    model = build("model=tiny", f"latent={latent}", "model.capacity=6").eval()
    said, lives = answers(load(written(killed(model, how or ""), tmp_path, precision=precision, batch_size=1)))
    assert lives == (how is None), said
    assert why in said


@pytest.mark.sampled(3)
@pytest.mark.parametrize("options", [{"sample_rate": 48000}, {"channels": 2, "batch_size": 2},
                                     slow({"sample_rate": 88200})])
@pytest.mark.parametrize("how", ["", "exploded", "quiet", "zeroed"])
def test_every_kind_of_file(options, how, tmp_path):
    """Also those without `encode`."""
    model = killed(build("model=v2_small", "model.noise=null", "model.capacity=4").eval(), how)
    live = load(written(model, tmp_path, **options))
    said, lives = answers(live)
    assert lives == (not how), said
    assert live.get_noise() == (1.0,)


def test_verification_says_so(tmp_path):
    model = killed(build("model=tiny", "model.capacity=4").eval(), "exploded")
    (finding,) = [f for f in findings(written(model, tmp_path), model, 10) if f.check == DEAD]
    assert not finding.well
    assert "lower training.lr" in finding.result
