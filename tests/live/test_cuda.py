"""The recorded block on a GPU: the samples of the plain file, attributes that still work, advice where it cannot be."""

import numpy as np
import pytest
import torch

from rave_lite import InputError
from rave_lite.export.torchscript import Live, export
from rave_lite.live.cuda import CudaPlayer
from rave_lite.live.player import Player
from tests.conftest import build


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("cuda") / "x.ts"
    export(Live(build("model=v2_small", "model.capacity=4").eval(), batch_size=2), path, {})
    return path


@pytest.mark.gpu
def test_the_recording_plays_as_the_file_does(file):
    plain = Player(file)
    block = 4 * plain.hop
    recorded = CudaPlayer(file, block)
    blocks = 0.3 * np.random.default_rng(0).standard_normal((12, 1, block)).astype(np.float32)
    for i, x in enumerate(blocks):
        if i == 4:
            for player in (plain, recorded):
                player.set("gain", 0.5)
                player.set("dry_wet", 0.7)
                player.set("bias_1", 0.5)
        if i == 8:
            plain.reset()
            recorded.reset()
        assert recorded.process(x) == pytest.approx(plain.process(x), abs=1e-3)


@pytest.mark.gpu
def test_blocks_that_cannot_be_recorded(file, tmp_path):
    with pytest.raises(InputError, match="no multiple of its hop"):
        CudaPlayer(file, 100)
    export(Live(build("model=tiny", "model.capacity=2").eval(), batch_size=1, sample_rate=48000), tmp_path / "x.ts", {})
    with pytest.raises(InputError, match="the file converts the sampling rate"):
        CudaPlayer(tmp_path / "x.ts", 2048)


def test_without_a_gpu_it_says_so(file, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="there is no 'cuda' here"):
        CudaPlayer(file, 2048)
