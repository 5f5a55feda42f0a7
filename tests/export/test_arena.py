"""The memory of a block: copies, other modes and lengths; and the noise, sample for sample that of the layers."""

import copy

import pytest
import torch

from rave_lite import stream
from rave_lite.export.noise import BlockNoise
from rave_lite.export.torchscript import Live, load
from rave_lite.layers import Noise, seed_noise
from tests.conftest import build
from tests.models import written


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return written(build("model=v2_small", "model.capacity=4").eval(), tmp_path_factory.mktemp("arena"))


def play(live, x: torch.Tensor, hops: int) -> torch.Tensor:
    live.reset()
    return torch.cat([live(block) for block in x.split(hops * live.hop, -1)], -1)


def test_the_memory_may_be_shared_by_modes_and_is_not_by_copies(file):
    """Hosts call in inference mode, others do not; a copy of a module that has played has memory of its own."""
    live = load(file)
    x = 0.3 * torch.randn(2, 1, 12 * live.hop)
    with torch.inference_mode():
        whole = play(live, x, 12)
    twin = copy.deepcopy(live)
    live.reset()
    twin.reset()
    for i, block in enumerate(x.split(2 * live.hop, -1)):
        expected = whole[..., 2 * i * live.hop : 2 * (i + 1) * live.hop]
        for player in (live, twin):
            with torch.inference_mode(i % 2 == 0):
                assert torch.allclose(player(block), expected, atol=1e-6)


def test_lengths_and_streams_may_change_at_each_call(file):
    live = load(file)
    x = 0.3 * torch.randn(4, 1, 60 * live.hop)
    with torch.no_grad():
        whole, at = play(live, x, 60), 0
        live.reset()
        for hops in (1, 9, 2, 8, 3, 7, 4, 6, 5, 1, 2, 3, 4, 5):  # more than are remembered, and again
            y = live(x[..., at : at + hops * live.hop])
            assert torch.allclose(y, whole[..., at : at + hops * live.hop], atol=1e-5)
            at += hops * live.hop
    assert len(live.live.core.encoder.arena.views) <= live.live.core.encoder.arena.max_layouts


def test_streams_that_are_left_out_keep_their_past(file):
    live = load(file)
    live.set_noise(0.0)
    x = 0.3 * torch.randn(2, 1, 4 * live.hop)
    first, second = x.split(2 * live.hop, -1)
    with torch.no_grad():
        whole = play(live, x, 2)
        live.reset()
        live(first)
        live(second[:1])
        late = live(second)[1:]  # the second stream's next block, though a call was without it
    assert torch.allclose(late, whole[1:, :, 2 * live.hop :], atol=1e-6)


def test_the_output_is_not_overwritten_by_the_next_block(file):
    live = load(file)
    x = 0.3 * torch.randn(1, 1, live.hop)
    with torch.no_grad():
        for method, argument in ((live, x), (live.encode, x), (live.decode, torch.randn(1, 16, 1))):
            first = method(argument)
            kept = first.clone()
            method(-argument)
            assert torch.equal(first, kept)


@pytest.mark.parametrize("streams", [1, 3])
def test_noise_is_that_of_the_layers(streams):
    layers = stream(torch.nn.Sequential(Noise(5), Noise(2)), 3)
    block = BlockNoise([(layers[0], 1), (layers[1], 4)], torch.ones(7), 3)
    seed_noise(layers, 7)
    block.set_seed(7)
    block.set_amount(0.5)
    for layer in layers:
        layer.amount.fill_(0.5)
    for frames in (1, 6, 2):
        targets = [torch.zeros(frames, streams, 5), torch.zeros(4 * frames, streams, 2)]
        block(frames, streams, targets)
        for target, layer in zip(targets, layers, strict=True):
            expected = layer(torch.zeros(streams, 1, target.shape[0]))
            assert torch.allclose(target.permute(1, 2, 0), expected, rtol=1e-6, atol=1e-7)


def test_half_precision_keeps_audio_whole(tmp_path):
    """The filter bank and the dry path of a float16 file are float32."""
    live = Live(build("model=tiny", "model.capacity=4").eval(), batch_size=1, precision="float16").eval()
    assert live.core.encoder.arena.wide.cache.dtype == torch.float32
    assert live.core.encoder.arena.main.cache.dtype == torch.float16
