"""The page to listen on: whole, safe with any name, and in a real browser it plays in sync."""

import base64
import io
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from PIL import Image

from rave_lite.evaluation.levels import CEILING
from rave_lite.evaluation.side_by_side import HELD_OUT, TRAINED_ON, ModelOutput, SideBySide
from rave_lite.pages import listen
from tests.pages.browser import Parsed, in_browser, opened, self_contained, until
from tests.pages.conftest import MODELS, SECONDS, ramp
from tests.sounds import NASTY, RATE, bell

# The page's clock stands still until a test lets it run: then its output is rendered, sample by sample.
OFFLINE = f"""window.AudioContext = class extends OfflineAudioContext {{
  constructor(options) {{ super(1, {2 * RATE}, options.sampleRate); window.rendering = this; }}
  resume() {{ return Promise.resolve(); }}
  go() {{ return super.resume(); }}
}};"""


def test_every_version_is_there_and_none_clips(page, shown):
    parsed = Parsed(page.read_text(encoding="utf-8"))
    assert [article["data-name"] for article in parsed.all("article") if "data-name" in article] == [
        *(recording.name for recording in shown), "burung.wav"]
    radios = iter(radio for radio in parsed.all("input") if "data-sound" in radio)
    for recording in shown:
        for sound in (recording.original, *(output.sound for output in recording.outputs)):
            radio = next(radios)
            samples, rate = soundfile.read(io.BytesIO(base64.b64decode(radio["data-sound"])))
            assert rate == RATE
            played = samples * float(radio["data-original"])
            for gain in ("data-equal", "data-original"):
                assert np.abs(samples * float(radio[gain])).max(initial=0) <= CEILING + 1e-4
            if np.abs(sound).max() > 0 and len(sound) > 1000:  # up to the fade at the end the very samples, turned down
                part = slice(0, len(sound) - 300)
                factor = played[part] @ sound[part] / (sound[part] @ sound[part])
                assert 0.1 < factor <= 1.001
                assert np.abs(played[part] - factor * sound[part]).max() < 2e-4
    pictures = [Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))) for image in parsed.all("img")]
    assert len(pictures) == len(parsed.all("svg")) == 4 * (len(shown) + 1)
    assert all(picture.height == listen.HEIGHT for picture in pictures)
    assert np.asarray(pictures[0].convert("L")).std() > 10


def test_nothing_comes_from_elsewhere_and_no_name_is_markup(page):
    text = page.read_text(encoding="utf-8")
    parsed = self_contained(page)
    assert not parsed.all("i")
    assert len(parsed.all("script")) == text.count("</script>") == 1
    assert len({radio["name"] for radio in parsed.all("input") if "data-sound" in radio}) == len(parsed.all("article")) - 1


def test_marks_are_said_once_or_each_where_they_differ(page, shown):
    articles = page.read_text(encoding="utf-8").split("<article")[2:]
    for article, recording in zip(articles, shown, strict=False):
        marks = [output.mark for output in recording.outputs]
        assert re.findall('class="chip (?:held|trained)">([^<]+)', article) == (marks[:1] if len(set(marks)) == 1 else marks)
    assert "chip" not in articles[-1]  # a foreign sound


def test_means_are_by_mark_and_the_best_stand_out(shown):
    shown = shown[:-1]  # of the last one the marks differ
    text = listen.mean_table(MODELS, shown)
    held_out, trained = text.split('"rowgroup"')[1:]
    assert "held out" in held_out
    assert "trained on" in trained
    by_model = [[recording.outputs[n] for recording in shown] for n in range(3)]
    expected = [np.mean([output.figures["mel_db"] for output in outputs if output.mark == HELD_OUT]) for outputs in by_model]
    assert re.findall("<td>(?:<b>)?[0-9.]+(?:</b>)?</td>", held_out)[1::4] == [
        f"<td><b>{mean:.2f}</b></td>" if mean == min(expected) else f"<td>{mean:.2f}</td>" for mean in expected]
    assert held_out.count("<b>") == 1  # nobody is best where all are equal
    best = lambda name, *values: listen.best(name, {name: values[0]}, [{name: value} for value in values])
    assert best("onset_f1", 0.9, 0.5)
    assert not best("onset_f1", 0.5, 0.9)
    assert best("out_to_target", 0.5, 0.9)
    assert not best("high_out", 0.9, 0.5)


def test_no_verdict_between_different_recordings_or_targets():
    """The second model is better on both sounds, but they compare as held out for the first and for the second."""
    def output(spectral: float, mark: str) -> ModelOutput:
        return ModelOutput(ramp(), {"spectral": spectral}, mark)

    shown = [SideBySide("easy", ramp(), [output(1, HELD_OUT), output(0.5, TRAINED_ON)]),
             SideBySide("hard", ramp(), [output(9, TRAINED_ON), output(5, HELD_OUT)])]
    text = listen.mean_table(MODELS[:2], shown)
    assert "<b>" not in text
    assert text.count("different ones: 1, 1 sounds") == 2
    shown = [replace(pair, outputs=[replace(sound, mark=HELD_OUT) for sound in pair.outputs]) for pair in shown]
    assert "<b>2.75</b>" in listen.mean_table(MODELS[:2], shown)
    for target, bold in ((0.7, 1), (0.8, 0)):
        foreign = [SideBySide("bird", ramp(), [ModelOutput(ramp(), {"in_to_target": in_to, "out_to_target": out})
                                               for in_to, out in ((0.7, 0.1), (target, 0.2))])]
        assert listen.mean_table(MODELS[:2], foreign).count("<b>") == bold


def test_the_page_is_the_same_again(page, shown, tmp_path):
    recordings = [SideBySide(recording.name, recording.original, recording.outputs[:1]) for recording in shown[:2]]
    paths = [tmp_path / "a.html", tmp_path / "b.html"]
    for path in paths:
        listen.write(path, MODELS[:1], recordings, [], [], RATE)
    first, second = (path.read_text(encoding="utf-8") for path in paths)
    assert first == second
    name = re.compile('data-page="([0-9a-f]{12})"')
    assert name.search(first)[1] != name.search(page.read_text(encoding="utf-8"))[1]


def go_on(tab, seconds: float = 0.2) -> None:
    """Waits `seconds` by the page's audio clock, however slow the machine is."""
    until(tab, f"context.currentTime > {tab.evaluate('context.currentTime') + seconds}")


@in_browser
@pytest.mark.parametrize("width", [390, 1440])
def test_it_plays_and_asks_for_nothing(page, width):
    with opened(page, width) as (tab, requests, faults):
        tab.locator(".toggle").nth(1).click()  # the first is the hidden one of the blind test
        until(tab, "current.position > 0.1")
        ahead = tab.evaluate("current.position - context.currentTime")
        go_on(tab)
        assert "Pause ramp" in tab.locator(".toggle").nth(1).get_attribute("aria-label")
        for i in (1, 3, 2, 0):
            before, after, chosen = tab.evaluate(f"""(() => {{ const before = current.position;
              document.querySelectorAll('main .file')[0].querySelectorAll('input[type=radio]')[{i}].click();
              return [before, current.position, current.chosen]; }})()""")
            assert abs(after - before) < 0.02
            assert chosen == i
        go_on(tab)
        moved = tab.evaluate("current.position - context.currentTime") - ahead
        assert math.remainder(moved, tab.evaluate("current.run.length")) == pytest.approx(0, abs=0.01)  # it repeats
        tab.locator(".toggle").nth(1).click()
        at = tab.evaluate("current.position")
        go_on(tab)
        assert tab.evaluate("current.position") == at
        assert float(tab.locator("main .at").first.input_value()) == pytest.approx(at)
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for i in range(tab.locator("main .file").count()):  # they are laid out when they come into view
            tab.locator("main .file").nth(i).scroll_into_view_if_needed()
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        tab.evaluate("Promise.all([...document.images].map(image => { image.loading = 'eager'; return image.decode(); }))")
        assert tab.locator("main h3 .name").nth(3).text_content() == NASTY[2]
        assert not faults
        assert [url for url in requests if not url.startswith("data:")] == [page.as_uri()]


@in_browser
def test_switching_is_exact_to_the_sample(page):
    """Outside of the crossfade the output is the chosen version alone, at the position the previous one would have."""
    with opened(page, before=OFFLINE) as (tab, _, faults):
        tab.locator("#equal").uncheck()
        sound = np.array(tab.evaluate("""(async () => {
          const deck = deckOf(document.querySelector("main .file"));
          await deck.play();
          for (const [time, version] of [[0.3, 1], [0.5, 0], [0.9, 2]])
            rendering.suspend(time).then(() => { deck.choose(version); rendering.go(); });
          return [...(await rendering.startRendering()).getChannelData(0)]; })()"""))
        assert not faults
    scales = np.array([float(radio["data-original"]) for radio in Parsed(page.read_text(encoding="utf-8")).all("input")
                       if "data-original" in radio][:3])
    begin = int(np.flatnonzero(np.abs(sound) > 1e-3)[0])
    assert begin == pytest.approx(0.02 * RATE, abs=1)
    gains = scales * [1, -1, 0.5]
    for start, stop, gain in ((0.03, 0.3, gains[0]), (0.32, 0.5, gains[1]), (0.52, 0.9, gains[0]), (0.92, 1.4, gains[2])):
        at = np.arange(round(start * RATE), round(stop * RATE))
        moment = (sound[at] / gain - 0.02) / (0.48 / (len(ramp()) - 1))  # of the recording, in samples
        assert abs((moment - (at - begin)).mean()) < 3  # samples: full scale is 32767 or 32768
        assert np.abs(moment - (at - begin)).max() < 8  # samples: a step of 16 bits is 4
    for n in (round(0.305 * RATE), round(0.905 * RATE)):
        assert min(gains) < sound[n] / ramp()[n - begin] < max(gains)  # neither louder nor gone while it changes


@in_browser
def test_equal_loudness_is_heard_and_can_be_switched_off(page):
    with opened(page, before=OFFLINE) as (tab, _, _):
        sound = np.array(tab.evaluate("""(async () => {
          const deck = deckOf(document.querySelector("main .file"));
          await deck.play();
          rendering.suspend(0.3).then(() => { deck.choose(2); rendering.go(); });
          rendering.suspend(0.8).then(() => { document.getElementById("equal").click(); rendering.go(); });
          return [...(await rendering.startRendering()).getChannelData(0)]; })()"""))
    level = [sound[round(at * RATE)] / ramp()[round((at - 0.02) * RATE)] for at in (0.28, 0.6, 1.2)]
    assert level[1] == pytest.approx(level[0], rel=0.01)
    assert level[2] == pytest.approx(0.5 * CEILING / 1.5, rel=0.01)  # half as loud, all turned down for the loudest


@in_browser
def test_repeating_and_ending(page):
    with opened(page) as (tab, _, faults):
        click = tab.locator("main .file").filter(has_text="click.wav")
        click.locator(".toggle").click()
        until(tab, "current.run && context.currentTime > current.run.begin + 2 * current.run.length")
        assert tab.evaluate("current.playing")
        tab.locator("#repeat").uncheck()
        until(tab, "!current.playing")
        assert tab.evaluate("current.position") == 0
        assert not faults


@in_browser
def test_seeking_and_keys(page):
    with opened(page) as (tab, _, faults):
        at = lambda: tab.evaluate("[current.root.dataset.name, current.playing, current.chosen, current.position]")
        picture = tab.locator("main .pic").nth(2)
        box = picture.bounding_box()
        picture.click(position={"x": box["width"] / 2, "y": 60})
        assert at()[:3] == ["ramp & <b>co</b>.wav", True, 2]
        until(tab, "current.run !== null")
        assert tab.evaluate("current.run.at") == pytest.approx(SECONDS / 2, abs=0.02)
        tab.keyboard.press("Space")
        assert at()[1] is False
        tab.evaluate("current.seek(0.5)")
        tab.keyboard.press("ArrowLeft")
        assert at()[3] == pytest.approx(0.5 - SECONDS / 20)
        tab.keyboard.press("ArrowRight")
        assert at()[3] == pytest.approx(0.5)
        tab.keyboard.press("4")
        assert at()[2] == 3
        tab.keyboard.press("9")
        assert at()[2] == 3
        tab.keyboard.press("Space")
        assert at()[1] is True
        tab.keyboard.press("l")
        assert not tab.locator("#equal").is_checked()
        tab.keyboard.press("n")
        tab.keyboard.press("Enter")  # the focus is on the next one's button
        until(tab, "current.run !== null")
        assert at()[:2] == [NASTY[0], True]
        assert tab.evaluate("[...decks.values()].filter(deck => deck.playing).length") == 1
        radio = tab.locator("main .file").nth(1).locator("input[type=radio]")
        radio.nth(0).focus()
        tab.keyboard.press("ArrowDown")
        assert at()[2] == 1
        tab.keyboard.press("Space")
        assert at()[1] is False
        tab.locator("main .at").nth(1).fill("0.2")
        assert at()[3] == pytest.approx(0.2)
        tab.locator("main .at").nth(1).focus()
        tab.keyboard.press("Home")
        assert at()[3] == 0
        assert not faults


@in_browser
def test_keys_without_a_recording_in_focus(page):
    """Arrow keys scroll a wide table; N goes to the first recording, then to the one after that last played."""
    with opened(page, 300) as (tab, _, _):
        focus = "document.activeElement.closest('.file')?.dataset.name"
        tab.keyboard.press("p")
        assert tab.evaluate(focus) is None
        tab.keyboard.press("n")
        assert tab.evaluate(focus) == "ramp & <b>co</b>.wav"
        tab.evaluate("deckOf(document.querySelector('main .file')).seek(0.5)")
        table = tab.locator("main .scroll").first
        table.focus()
        tab.keyboard.press("ArrowRight")
        until(tab, "document.activeElement.scrollLeft > 0")
        assert float(tab.locator("main .at").first.input_value()) == 0.5
        tab.keyboard.press("Space")
        assert not tab.evaluate("current?.playing")
        tab.locator("main .toggle").first.click()
        table.focus()
        tab.keyboard.press("n")
        assert tab.evaluate(focus) == NASTY[0]


@in_browser
def test_keys_of_a_table_of_players(page):
    """In a table arrow keys move between cells, not in the recording; other keys work as elsewhere; Escape stops."""
    with opened(page) as (tab, _, _):
        tab.evaluate("""document.querySelector("main").insertAdjacentHTML("afterbegin", `<table><tr>
          <td><button class="play" id="left">left</button><td><button class="play" id="right">right</button></table>`);
          walkable(document.querySelector("main table"));""")
        tab.locator("main .toggle").first.click()
        until(tab, "current.run !== null")
        tab.locator("#left").focus()
        tab.keyboard.press("2")
        assert tab.evaluate("current.playing && current.chosen") == 1
        tab.keyboard.press("Escape")
        assert not tab.evaluate("current.playing")
        tab.evaluate("current.seek(0.5)")
        tab.keyboard.press("ArrowRight")
        assert tab.evaluate("[document.activeElement.id, current.position]") == ["right", 0.5]


@in_browser
def test_one_sound_at_a_time(page):
    """A button of class play, as in other parts of pages, stops the versions, and the versions stop it."""
    out = io.BytesIO()
    soundfile.write(out, np.tile(bell(0), 8), RATE, format="MP3")
    with opened(page) as (tab, _, _):
        tab.evaluate("""sound => { const button = document.createElement("button");
          Object.assign(button, {className: "play", id: "other", textContent: "other"}); button.dataset.sound = sound;
          document.body.prepend(button); }""", base64.b64encode(out.getvalue()).decode())
        first = tab.locator(".toggle").nth(1)
        first.click()
        until(tab, "current.run !== null")
        tab.locator("#other").click()
        until(tab, "!current.playing && !player.paused")
        first.click()
        until(tab, "current.run !== null && player.paused")
        assert "on" not in tab.locator("#other").get_attribute("class")
