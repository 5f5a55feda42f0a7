"""The discriminators: their size, and their folded convolutions against the two-dimensional ones they stand for."""

import torch
import torch.nn.functional as F
from hydra.utils import instantiate

from rave_lite.training.discriminators import Discriminator
from tests.conftest import configured


def test_sizes_are_the_public_releases():
    for model, count in (("v2", 27_130_952), ("v2_small", 6_791_720)):
        discriminator = instantiate(configured("train", f"model={model}").discriminator)
        assert sum(p.numel() for p in discriminator.parameters()) == count


def test_periods_are_two_dimensional_convolutions():
    discriminator = Discriminator(capacity=4, periods=[3], scales=0).double()
    x = torch.randn(2, 1, 500, dtype=torch.float64)
    y = F.pad(x, (0, 1)).view(2, 1, 167, 3)
    features = discriminator(x)[0]
    for conv, feature in zip(discriminator.by_period[0].convs, features, strict=False):
        y = F.conv2d(y, conv.weight.unsqueeze(3), conv.bias, stride=(4, 1), padding=(2, 0))
        assert torch.allclose(feature, y.permute(0, 3, 1, 2).flatten(0, 1), atol=1e-12)
        y = F.leaky_relu(y, 0.2)


def test_scales_listen_to_pooled_signals():
    discriminator = Discriminator(capacity=2, periods=[], scales=3)
    x = torch.randn(1, 1, 1024)
    assert [stack[0].shape[-1] for stack in discriminator(x)] == [256, 128, 64]
    assert torch.allclose(discriminator(x)[2][0], discriminator.by_scale[2](x.unflatten(2, (-1, 4)).mean(3))[0], atol=1e-6)
