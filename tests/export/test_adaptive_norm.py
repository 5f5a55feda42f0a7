"""Adaptive instance normalisation in a file: `learn_target`, `learn_source`, `reset_target`, `reset_source`, `adapt`."""

import pytest
import torch
from torch.testing import assert_close

from rave_lite.export.blocks import IRREGULAR, play_blocks, stream_blocks
from rave_lite.export.torchscript import Live, load
from rave_lite.layers import AdaptiveNorm, StreamingNorm, set_noise
from rave_lite.model import RAVE
from tests.conftest import build
from tests.export.test_export import SMALL, audible, failed
from tests.models import with_norms, written

NORMS = "model.adaptive_norm=true"
SIDES = ("source", "target")


@pytest.fixture(scope="module")
def model():
    return audible("model=tiny", SMALL, NORMS, "model.activation=snake_between")


def sounds(live) -> dict[str, torch.Tensor]:
    """`(2, 1, T)` by side; of a stereo file `(1, 2, T)`."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2 // live.channels, live.channels, 38 * live.hop, generator=draw)
    return {"source": 0.3 * x[0], "target": 0.02 * x[1].cumsum(2).sin()}


def put(live, **values: float) -> None:
    for name, value in values.items():
        assert live.set(live.attributes.index(name), value) == 0


def learn(live, hops: list[int]) -> torch.Tensor:
    """What `live` plays while it learns the source, after the target."""
    put(live, noise=0.0)
    for side in SIDES[::-1]:
        put(live, **{f"learn_{side}": 1.0})
        y = play_blocks(live, sounds(live)[side], hops)
        put(live, **{f"learn_{side}": 0.0})
    return y


def with_statistics_of(model: RAVE, live: Live) -> RAVE:
    """A copy of `model` with the statistics that `live` has learned."""
    twin = RAVE(**model.config).eval()
    twin.load_state_dict(model.state_dict())
    learned = [part for part in live.modules() if isinstance(part, StreamingNorm)]
    norms = [part for part in twin.modules() if isinstance(part, AdaptiveNorm)]
    for norm, source in zip(norms, learned, strict=True):
        norm.load_state_dict({name: getattr(source, name) for name in norm.state_dict()})
    return twin


@pytest.mark.sampled(1)
@pytest.mark.parametrize("precision", ["float32", "int8", "float16"])
def test_a_file_with_statistics_is_the_model(precision, tmp_path):
    model = with_norms(audible("model=tiny", SMALL, NORMS))
    model.fit_principal(torch.randn(2, 1, 40 * model.hop))
    assert failed(written(model, tmp_path, precision=precision), model) == {}


@torch.no_grad()
def test_a_stereo_file_learns_alike_in_any_blocks():
    model = audible("model=tiny", SMALL, NORMS, "model.channels=2")
    plain = Live(model, batch_size=1).eval()
    put(plain, noise=0.0)
    played = [learn(Live(model, batch_size=1).eval(), hops) for hops in (IRREGULAR, [2])]
    assert (played[0] - play_blocks(plain, sounds(plain)["source"], [2])).abs().max() > 0.01
    assert_close(played[0], played[1], atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_file_learns_and_equals_a_model_of_its_statistics(model):
    live = Live(model, batch_size=2).eval()
    x = sounds(live)["source"]
    plain = play_blocks(live, x, IRREGULAR)
    learn(live, IRREGULAR)
    y = play_blocks(live, x, IRREGULAR)
    assert (y - plain).abs().max() > 0.05
    twin = with_statistics_of(model, live)
    set_noise(twin, 0)
    expected = twin(x)
    assert_close(y, expected, rtol=0, atol=1e-5 * max(1.0, float(expected.abs().max())))
    put(live, adapt=0.0)
    assert not torch.equal(play_blocks(live, x, IRREGULAR), y)
    put(live, adapt=1.0)
    assert torch.equal(play_blocks(live, x, IRREGULAR), y)


@torch.no_grad()
def test_learning_does_not_depend_on_blocks(model):
    """Neither the statistics nor what is played meanwhile; and all is written in place."""
    played, learned = [], []
    for hops in (IRREGULAR, [1], [38]):
        live = Live(model, batch_size=2).eval()
        places = {name: value.data_ptr() for name, value in live.named_buffers() if ".norm." in name}
        played.append(learn(live, hops))
        assert places == {name: value.data_ptr() for name, value in live.named_buffers() if ".norm." in name}
        learned.append([part for part in live.modules() if isinstance(part, StreamingNorm)])
    for other, norms in zip(played[1:], learned[1:], strict=True):
        assert (other - played[0]).abs().max() < 1e-3 * played[0].abs().max()
        for norm, first in zip(norms, learned[0], strict=True):
            assert torch.equal(norm.frames, first.frames)
            assert_close(norm.mean, first.mean, rtol=1e-3, atol=1e-4)
            assert_close(norm.variance, first.variance, rtol=1e-3, atol=1e-6)


def test_resets_and_instances(model, tmp_path):
    path = written(model, tmp_path)
    live, other = load(path), load(path)
    x = sounds(live)["source"]
    live.set_noise(0.0)
    other.set_noise(0.0)
    fresh = play_blocks(live, x, IRREGULAR)
    live.set_learn_target(1.0)
    assert torch.equal(play_blocks(live, x, IRREGULAR), fresh)  # the target is heard as it is
    live.set_learn_target(0.0)
    live.set_learn_source(1.0)
    play_blocks(live, sounds(live)["target"], IRREGULAR)
    live.set_learn_source(0.0)
    moved = play_blocks(live, x, IRREGULAR)
    assert not torch.allclose(moved, fresh, atol=1e-3)
    live.set_adapt(0.0)
    assert_close(play_blocks(live, x, IRREGULAR), fresh, rtol=0, atol=1e-5)
    live.set_adapt(1.0)
    assert torch.equal(play_blocks(live, x, IRREGULAR), moved)
    with torch.inference_mode():
        live.reset()
        latents = stream_blocks(live.encode, x, [live.hop])
        assert_close(stream_blocks(live.decode, latents, [1]), moved, rtol=0, atol=1e-5 * max(1.0, float(moved.abs().max())))
    live.set_reset_target(1.0)
    assert_close(play_blocks(live, x, IRREGULAR), fresh, rtol=0, atol=1e-5)
    assert torch.equal(play_blocks(other, x, IRREGULAR), fresh)


@pytest.mark.parametrize("options", [{"precision": "float16"}, {"precision": "int8"}, {"sample_rate": 48000},
                                     {"channels": 2, "batch_size": 1}])
@torch.no_grad()
def test_every_kind_of_file(options, model):
    live = Live(model, **{"batch_size": 2, **options}).eval()
    x = sounds(live)["source"].view(-1, live.channels, 38 * live.hop)
    fresh = play_blocks(live, x, IRREGULAR)
    for side in SIDES[::-1]:
        put(live, **{f"learn_{side}": 1.0})
        play_blocks(live, sounds(live)[side].view(x.shape), IRREGULAR)
        put(live, **{f"learn_{side}": 0.0})
    moved = play_blocks(live, x, IRREGULAR)
    assert moved.isfinite().all()
    assert not torch.allclose(moved, fresh, atol=1e-3)


def test_a_file_without_the_layer_has_none_of_its_attributes():
    live = Live(build("model=tiny", SMALL).eval(), batch_size=1)
    assert not {"learn_target", "reset_target", "adapt"} & set(live.attributes)
