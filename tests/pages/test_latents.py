"""The section on a latent: whole, safe with any name, and in a real browser played and walked through by keys."""

import base64
import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from rave_lite.evaluation.latents import moved
from rave_lite.evaluation.metrics import level_db
from rave_lite.evaluation.reconstruct import reconstruct
from rave_lite.pages import latents, page
from tests.models import measured
from tests.pages.browser import Parsed, in_browser, seen_by_browser, self_contained
from tests.sounds import NASTY, RATE, bell, clip, drum

NAME = "<i>'x'&\"y\"</i>"
SEEN = """
  const seen = {}, buttons = [...document.querySelectorAll(".latents .play")], here = () => document.activeElement;
  const at = () => buttons.indexOf(here());
  const press = key => here().dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
  seen.stops = buttons.map((button, i) => button.tabIndex === 0 ? i : -1).filter(i => i >= 0);
  buttons[seen.stops[0]].focus();
  const keys = ["ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowUp", "Home", "ArrowLeft", "End", "ArrowRight"];
  seen.walk = keys.map(key => (press(key), at()));
  seen.moved = buttons.filter(button => button.tabIndex === 0).length === 1 && here().tabIndex === 0;
  if (document.readyState !== "complete") await new Promise(done => addEventListener("load", done));
  seen.heights = [...new Set([...document.querySelectorAll(".walks img")].map(i => i.naturalHeight / i.naturalWidth > 1))];
  seen.cells = buttons.map(button => button.getBoundingClientRect()).map(r => Math.min(r.width, r.height));
  seen.wide = document.documentElement.scrollWidth > innerWidth;
  buttons[31].click(); seen.clicked = at(); seen.on = buttons.findIndex(button => button.classList.contains("on"));
  seen.playing = player.src === `data:audio/mpeg;base64,${buttons[31].dataset.sound}`;
  return seen;"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page, the model and the chosen hit."""
    model, path = measured(), tmp_path_factory.mktemp("page") / "latents.html"
    clips = [clip(name, drum(n) if n % 2 else bell(n)) for n, name in enumerate(NASTY[:3])]
    sounds = {sound.source: sound.read() for sound in clips}
    section = latents.section(model, NAME, sounds, list(sounds.items())[1])
    page.write(path, "Latents", ["<main>", *section, "</main>"], "latents")
    return path, model, clips


def test_every_direction_and_move_is_there_with_its_picture_and_sound(written):
    path, model, clips = written
    parsed = Parsed(path.read_bytes().decode())
    buttons = [button for button in parsed.all("button") if button["class"] == "play"]
    labels = [f"Direction {n}, {move}" for n in range(1, 9) for move in ("−2 σ", "−1 σ", "0", "+1 σ", "+2 σ")]
    assert [button["aria-label"] for button in buttons] == labels
    assert len({button["data-sound"] for button in buttons[2::5]}) == 1
    assert len({button["data-sound"] for button in buttons}) == 33
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(buttons[2]["data-sound"])))
    plain = reconstruct(model, clips[1].read()[None])[0]
    assert rate == RATE
    assert len(sound) / rate == pytest.approx(len(plain) / rate, abs=0.06)
    rows = moved(model, clips[1].read()[: round(latents.CELL_SECONDS * RATE)])
    peak = max(1, *(np.abs(output).max() for row in rows for output in row))  # the loudest of them all, and only that one
    for n, output in zip((0, 2, 4, 39), (rows[0][0], plain, rows[0][4], rows[7][4]), strict=True):
        played, _ = soundfile.read(io.BytesIO(base64.b64decode(buttons[n]["data-sound"])))
        assert level_db(played) == pytest.approx(level_db(output / peak), abs=1.5)
    for picture in parsed.all("img"):
        image = Image.open(io.BytesIO(base64.b64decode(picture["src"].partition(",")[2])))
        assert np.asarray(image.convert("L")).std() > 5
    assert len(parsed.all("img")) == len(clips) + 40


def test_names_are_text_and_nothing_comes_from_elsewhere(written):
    parsed = self_contained(written[0])
    assert not parsed.all("i")
    labels = [f"Spectrogram of {name}, its latent over time" for name in NASTY[:3]]
    assert [image["alt"] for image in parsed.all("img")[:3]] == labels
    assert parsed.all("table")[0]["aria-label"] == f"{NASTY[1]} by {NAME}, moved along each direction"


def test_a_model_whose_directions_were_never_measured_says_so(written):
    model, hit = measured(), ("a", written[2][0].read())
    assert "never measured" not in "".join(latents.section(model, "it", {}, hit))
    model.principal.measured.fill_(False)
    assert "never measured" in "".join(latents.section(model, "it", {}, hit))


@in_browser
@pytest.mark.parametrize("width", [390, 1440])
def test_in_a_browser(written, width):
    """One stop for the tab key; arrows, Home and End move by cells and stop at the edges; a click plays and moves there."""
    seen = seen_by_browser(written[0], SEEN, width)
    assert seen["stops"] == [2]
    assert seen["walk"] == [3, 8, 13, 12, 7, 5, 5, 9, 9]
    assert seen["moved"]
    assert (seen["clicked"], seen["on"], seen["playing"]) == (31, 31, True)
    assert seen["heights"] == [True]
    assert min(seen["cells"]) >= 44  # for fingers
    assert not seen["wide"]
