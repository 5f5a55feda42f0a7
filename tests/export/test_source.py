"""Calibration in a file: `learn_source`, `reset_source`, `source_seconds`, `calibrate`."""

import numpy as np
import pytest
import torch

from rave_lite.evaluation.reconstruct import Reconstruction
from rave_lite.export.torchscript import Live, load
from tests.export.test_operations import operations
from tests.models import measured, written
from tests.sounds import bell

HOPS = [1, 3, 2, 7, 1, 5]


@pytest.fixture(scope="module")
def model():
    return measured()


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    return written(model, tmp_path_factory.mktemp("source"))


def blocks(live, x: torch.Tensor, hops: list[int]) -> torch.Tensor:
    """The output for x `(B, C, T)`, T a multiple of the hop, in blocks of `hops`, repeated."""
    sizes = [n * live.hop for n in hops] * (x.shape[2] // (sum(hops) * live.hop))
    with torch.inference_mode():
        return torch.cat([live(part) for part in x.split(sizes, 2)], 2)


def sound(hop: int, streams: int = 1, repeats: int = 6) -> torch.Tensor:
    length = sum(HOPS) * hop * repeats
    return torch.from_numpy(np.resize(0.3 * bell(0), (streams, 1, length)).astype(np.float32))


def put(live, **values: float) -> None:
    for name, value in values.items():
        live.set(live.attributes.index(name), value)


def test_streaming_equals_offline_with_frozen_moments(model):
    live = Live(model, batch_size=1).eval()
    x = sound(live.hop)
    put(live, learn_source=1.0, calibrate=1.0)
    blocks(live, x, HOPS)
    put(live, learn_source=0.0)
    offline = Reconstruction(model, 1, (live.source, live.calibration.target))(x[0].numpy())
    plain = Reconstruction(model)(x[0].numpy())
    assert np.abs(offline - plain).max() > 0.01
    tolerance = 1e-5 * max(1.0, np.abs(offline).max())
    for hops in (HOPS, [1], [19]):
        live.reset()
        y = blocks(live, x, hops)[0, :, live.latency :].numpy()
        assert np.abs(y - offline[:, : y.shape[1]]).max() < tolerance
        live.reset()
        with torch.inference_mode():
            again = torch.cat([live.decode(live.encode(part)) for part in x.split(live.hop, 2)], 2)
        assert np.abs(again[0, :, live.latency :].numpy() - y).max() < tolerance


def test_resets_and_instances(file):
    live, other = load(file), load(file)
    x = sound(live.hop)
    fresh = blocks(live, x, HOPS)
    live.set_learn_source(1.0)
    assert torch.equal(blocks(other, x, HOPS), fresh)
    live.reset()
    assert torch.allclose(blocks(live, x, HOPS), fresh, atol=1e-5)  # listening alone changes nothing
    live.set_calibrate(1.0)
    blocks(live, x, HOPS)
    live.set_learn_source(0.0)
    live.reset()
    moved = blocks(live, x, HOPS)
    assert not torch.allclose(moved, fresh, atol=1e-3)
    live.reset()
    assert torch.equal(blocks(live, x, HOPS), moved)
    live.set_reset_source(1.0)
    live.reset()
    assert torch.allclose(blocks(live, x, HOPS), fresh, atol=1e-5)
    live.set_calibrate(0.0)
    live.reset()
    assert torch.equal(blocks(live, x, HOPS), fresh)
    other.reset()
    assert torch.equal(blocks(other, x, HOPS), fresh)


@pytest.mark.parametrize("options", [{"precision": "float16"}, {"precision": "int8"}, {"sample_rate": 48000},
                                     {"channels": 2, "batch_size": 2}])
def test_every_kind_of_file(options, model):
    live = Live(model, **{"batch_size": 2, **options}).eval()
    x = sound(live.hop, 2 * live.channels).view(2, live.channels, -1)
    fresh = blocks(live, x, HOPS)
    put(live, learn_source=1.0, calibrate=1.0)
    moved = blocks(live, x, HOPS)
    assert moved.isfinite().all()
    assert not torch.allclose(moved, fresh, atol=1e-3)
    assert live.source.frames > 2 * live.source.ready.min()


def test_a_calibration_that_moves_does_not_click(model):
    """It differs from a play that goes on as before, in the first sample, by less than -60 dB of the peak."""
    moving, still = (Live(model, batch_size=1).eval() for _ in range(2))
    x = sound(moving.hop)
    for live in (moving, still):
        put(live, learn_source=1.0)
        blocks(live, x, HOPS)
        put(live, learn_source=0.0)
    for name, value in (("calibrate", 1.0), ("calibrate", 0.2), ("reset_source", 1.0)):
        put(moving, **{name: value})
        expected = blocks(still, x, [1])
        change = blocks(moving, x, [1]) - expected
        assert change[..., 0].abs() < 1e-3 * expected.abs().max(), name
        put(still, **{name: value})
        for live in (moving, still):
            blocks(live, x, [1])


def test_it_dispatches_few_operations(model):
    live = Live(model, batch_size=2).eval()
    off = sum(operations(live).values())
    put(live, calibrate=1.0)
    assert sum(operations(live).values()) <= off + 48
    live.reset()
    put(live, calibrate=0.0, envelope=1.0)
    live.reset()
    assert sum(operations(live).values()) <= off + 30


def test_the_envelope_follows_as_offline_and_does_not_click(model):
    live = Live(model, batch_size=1).eval()
    x = sound(live.hop)
    plain = blocks(live, x, HOPS)
    put(live, envelope=0.7)
    live.reset()
    offline = Reconstruction(model, envelope=0.7)(x[0].numpy())
    assert np.abs(offline - Reconstruction(model)(x[0].numpy())).max() > 0.01
    for hops in (HOPS, [19]):
        live.reset()
        y = blocks(live, x, hops)[0, :, live.latency :].numpy()
        assert np.abs(y - offline[:, : y.shape[1]]).max() < 1e-4 * max(1.0, np.abs(offline).max())
    put(live, envelope=0.0)
    live.reset()
    assert torch.equal(blocks(live, x, HOPS), plain)
    moving, still = (Live(model, batch_size=1).eval() for _ in range(2))
    for each in (moving, still):
        blocks(each, x, HOPS)
    put(moving, envelope=1.0)
    expected = blocks(still, x, [1])
    change = blocks(moving, x, [1]) - expected
    assert change[..., 0].abs() < 1e-3 * expected.abs().max()
    assert change.abs().max() > 0.01 * expected.abs().max()


@pytest.mark.parametrize("options", [{"precision": "float16"}, {"sample_rate": 48000}, {"channels": 2, "batch_size": 2}])
def test_the_envelope_in_every_kind_of_file(options, model):
    live = Live(model, **{"batch_size": 2, **options}).eval()
    x = sound(live.hop, 2 * live.channels).view(2, live.channels, -1)
    put(live, envelope=1.0)
    y = blocks(live, x, HOPS)
    assert y.isfinite().all()
    levels = [10 * torch.log10(part[0, 0, :44100].view(100, 441).square().mean(1) + 1e-6)
              for part in (x, y[..., live.latency :])]
    assert torch.corrcoef(torch.stack(levels))[0, 1] > 0.9
