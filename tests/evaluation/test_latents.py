"""The walk and the moves of a latent, against linear algebra in float64 and against the exported file."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from rave_lite import set_noise
from rave_lite.evaluation import latents, pictures
from rave_lite.evaluation.latents import MOVES, measure, moved, walk
from rave_lite.evaluation.reconstruct import padded, reconstruct
from rave_lite.export.torchscript import Live
from rave_lite.model import RAVE
from tests.conftest import build
from tests.models import SECONDS, SMALL, measured, windows
from tests.sounds import bell, drum


def by_hand(model: RAVE) -> tuple[Tensor, Tensor, Tensor]:
    """Mean `(size,)`, directions and deviations of the latent of the windows, by singular values in float64."""
    exact, training = copy.deepcopy(model).double(), windows(model)
    count = int(np.ceil(SECONDS * model.sample_rate / training.length))
    with torch.no_grad():
        z = torch.cat([exact.encode(training.recorded(i).double()[None])[0].T for i in range(count)])
    _, scale, directions = torch.linalg.svd(z - z.mean(0), full_matrices=False)
    signs = (directions * model.principal.directions.double()).sum(1).sign()  # louder is positive: tested with Principal
    return z.mean(0), directions * signs[:, None], scale / (len(z) - 1) ** 0.5


@torch.no_grad()
def test_a_move_moves_the_latent_by_that_and_nothing_else():
    model = measured()
    set_noise(model, 0)
    sound = drum(1)[:9000]
    _, directions, deviations = by_hand(model)
    exact = copy.deepcopy(model).double()
    z = exact.encode(padded(model, sound[None]).double())
    grid = moved(model, sound)
    assert (len(grid), len(grid[0])) == (8, 5)
    for row, direction, deviation in zip(grid, directions, deviations, strict=False):
        for y, move in zip(row, MOVES, strict=True):
            expected = exact.decode(z + move * deviation * direction[:, None])[0, 0, model.latency :][: len(sound)]
            assert np.abs(y - expected.numpy()).max() < 1e-4
        assert np.abs(row[0] - row[4]).max() > 1e-3  # ten times the tolerance: swapped columns would fail


@torch.no_grad()
def test_the_middle_column_is_the_plain_reconstruction_with_its_noise():
    model, sound = measured(), bell(2)
    plain = reconstruct(model, sound[None], seed=3)[0]
    once, again = moved(model, sound, seed=3), moved(model, sound, seed=3)
    for row, same in zip(once, again, strict=True):
        assert np.array_equal(row[2], plain)
        assert all(np.array_equal(a, b) for a, b in zip(row, same, strict=True))
    assert not np.array_equal(moved(model, sound, seed=4)[0][2], plain)


@torch.no_grad()
@pytest.mark.parametrize("latent", ["wasserstein", "variational", "spherical"])
def test_a_move_is_what_an_exported_file_plays_with_that_bias(latent):
    """Also: `measure` works for every kind of latent."""
    model, sound = build(*SMALL, f"latent={latent}").eval(), drum(3)
    assert not model.principal.measured
    measure(model, windows(model), SECONDS)
    assert model.principal.measured
    set_noise(model, 0)
    grid = moved(model, sound, directions=3)
    live, x = Live(model, batch_size=1), padded(model, sound[None])
    for number, row in enumerate(grid, 1):
        bias = live.attributes.index(f"bias_{number}")
        for y, move in zip(row, MOVES, strict=True):
            live.reset()
            live.set(bias, move * float(model.principal.variance[number - 1].sqrt()))
            assert np.abs(live(x)[0, 0, model.latency :][: len(sound)].numpy() - y).max() < 1e-5
        live.set(bias, 0.0)


@pytest.mark.parametrize("alignment", ["causal", "centered"])
def test_the_walk_is_the_latent_in_standard_deviations(alignment):
    model, sound = measured(f"model.alignment={alignment}"), drum(2)
    mean, directions, deviations = by_hand(model)
    delay, frames = model.encoder.delay, -(-len(sound) // model.hop)
    x = torch.zeros(1, 1, (frames + delay) * model.hop, dtype=torch.float64)
    x[..., : len(sound)] = torch.from_numpy(sound)
    with torch.no_grad():
        z = copy.deepcopy(model).double().encode(x)[0].T
    expected = ((z - mean) @ directions.T / deviations).T[:, delay:]
    course = walk(model, sound)
    assert course.shape == (16, frames)
    assert np.abs(course - expected.numpy()).max() < 1e-2 * np.abs(expected).max()


@pytest.mark.parametrize("alignment", ["causal", "centered"])
def test_the_walk_is_aligned_with_the_sound(alignment):
    """A click changes the latent from its frame on in a causal model, and equally far before and after in a centred one."""
    model, silence = measured(f"model.alignment={alignment}"), np.zeros(80 * 1024, np.float32)
    click = silence.copy()
    click[40 * model.hop + model.hop // 2] = 1
    seen = np.flatnonzero(np.abs(walk(model, click) - walk(model, silence)).max(0) > 1e-6)
    if alignment == "causal":
        assert seen[0] == 40
    else:
        assert seen[0] < 40 < seen[-1]
        assert abs((40 - seen[0]) - (seen[-1] - 40)) <= 2


def test_directions_that_carry_nothing_are_left_out():
    model = measured()
    model.principal.variance[5:] = torch.tensor([1e-5 * float(model.principal.variance.sum()), *[0.0] * 10])
    assert latents.carrying(model) == 5
    assert walk(model, drum(0)).shape[0] == 5
    assert len(moved(model, drum(0))) == 5
    assert np.isfinite(moved(model, np.zeros(10, np.float32))).all()
    model.principal.variance.zero_()
    assert moved(model, drum(0)) == []
    assert walk(model, drum(0)).shape[0] == 0


def test_the_picture_has_a_row_for_each_direction_over_the_same_time():
    model, sound = measured(), bell(1)
    line, shares = walk(model, sound), model.principal.shares().tolist()
    figure = pictures.latent_walk(model, sound, "$a_{b}")
    top, *rows = figure.axes
    assert [ax.get_ylabel() for ax in rows] == [f"{n}: {latents.percent(s)}" for n, s in enumerate(shares, 1)]
    assert top.get_title() == "$a_{b}"
    assert {ax.get_xlim() for ax in figure.axes} == {(0, len(sound) / model.sample_rate)}
    assert len({ax.get_ylim() for ax in rows}) == 1
    for ax, values in zip(rows, line, strict=True):
        steps = ax.patches[-1].get_data()
        assert np.array_equal(steps.values, values)
        assert steps.edges[1] == pytest.approx(model.hop / model.sample_rate)
        assert max(abs(values)) <= ax.get_ylim()[1]
    model.principal.variance.zero_()
    assert len(pictures.latent_walk(model, sound).axes) == 1


@pytest.mark.parametrize(("share", "expected"), [(0.514, "51 %"), (0.1, "10 %"), (0.0994, "9.9 %"), (0.0005, "0.1 %"),
                                                 (0.0004, "<0.1 %")])
def test_shares_as_percentages(share, expected):
    assert latents.percent(share) == expected
