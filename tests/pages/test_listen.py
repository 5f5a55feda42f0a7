"""The page to listen on: whole, safe with any name, and in a real browser it plays in sync and tests blindly."""

import base64
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from scipy.stats import binomtest

from rave_lite.evaluation.levels import CEILING
from rave_lite.evaluation.side_by_side import HELD_OUT, TRAINED_ON, Made, SideBySide
from rave_lite.pages import listen
from tests.data.test_manifest import NASTY
from tests.evaluation.test_embedding import RATE, bell, drum
from tests.pages.browser import BROWSER, Parsed, opened, self_contained, until

MODELS = ["a <i>model</i>", "b's \"last\" </script>&amp;", "c 🥁"]
FIGURES = {"spectral": 7.25, "mel_db": 5.5, "loud_db": 3.0, "onset_f1": 1.0}
SECONDS = 1.5
in_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
# The page's clock stands still until a test lets it run: then what is heard is rendered, sample by sample.
OFFLINE = f"""window.AudioContext = class extends OfflineAudioContext {{
  constructor(options) {{ super(1, {2 * RATE}, options.sampleRate); window.heard = this; }}
  resume() {{ return Promise.resolve(); }}
  go() {{ return super.resume(); }}
}};"""
# The same chances each time, with which every pair of a version and X comes in 16 trials.
SEEDED = "{ let seed = 1; Math.random = () => (seed = seed * 16807 % 2147483647) / 2147483647; }"


def ramp() -> np.ndarray:
    """Every moment has a value of its own: what is heard tells the position."""
    return np.linspace(0.02, 0.5, round(SECONDS * RATE), dtype=np.float32)


@pytest.fixture(scope="module")
def shown() -> list[SideBySide]:
    sound = ramp()
    first = SideBySide("ramp & <b>co</b>.wav", sound, [Made(made, FIGURES | {"mel_db": n}, HELD_OUT)
                                                       for n, made in enumerate((-sound, 0.5 * sound, 3 * sound))])
    others = [SideBySide(name, drum(n), [Made(scale * drum(n + 1), FIGURES, HELD_OUT if n % 2 else TRAINED_ON)
                                         for scale in (0.1, 1, 4)], 1.5)
              for n, name in enumerate([*NASTY, "x</script>.wav"])]
    short = SideBySide("click.wav", drum(0)[:882], [Made(0 * drum(0)[:882], FIGURES, mark)
                                                    for mark in (HELD_OUT, TRAINED_ON, HELD_OUT)])
    return [first, *others, short]


@pytest.fixture(scope="module")
def page(shown, tmp_path_factory) -> Path:
    foreign = [SideBySide("burung.wav", bell(0), [Made(drum(0), {"onset_f1": 0.5, "out_to_target": 0.25}) for _ in MODELS])]
    path = tmp_path_factory.mktemp("page") / "sub folder" / "index.html"
    listen.write(path, MODELS, shown, foreign, [{"inputs": 1.25, "outputs": 0.5, "held_out": 0.1}, {}, {}], RATE)
    return path


def test_every_version_is_there_and_none_clips(page, shown):
    found = Parsed(page.read_text(encoding="utf-8"))
    assert [article["data-name"] for article in found.all("article") if "data-name" in article] == [
        *(one.name for one in shown), "burung.wav"]
    radios = iter(radio for radio in found.all("input") if "data-sound" in radio)
    for one in shown:
        for sound in (one.original, *(made.sound for made in one.made)):
            radio = next(radios)
            samples, rate = soundfile.read(io.BytesIO(base64.b64decode(radio["data-sound"])))
            assert rate == RATE
            played = samples * float(radio["data-made"])
            for gain in ("data-equal", "data-made"):
                assert np.abs(samples * float(radio[gain])).max(initial=0) <= CEILING + 1e-4
            if np.abs(sound).max() > 0 and len(sound) > 1000:  # up to the fade at the end the very samples, turned down
                part = slice(0, len(sound) - 300)
                factor = played[part] @ sound[part] / (sound[part] @ sound[part])
                assert 0.1 < factor <= 1.001
                assert np.abs(played[part] - factor * sound[part]).max() < 2e-4
    pictures = [Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))) for image in found.all("img")]
    assert len(pictures) == len(found.all("svg")) == 4 * (len(shown) + 1)
    assert all(picture.height == listen.HEIGHT for picture in pictures)
    assert np.asarray(pictures[0].convert("L")).std() > 10


def test_nothing_comes_from_elsewhere_and_no_name_is_markup(page):
    text = page.read_text(encoding="utf-8")
    found = self_contained(page)
    assert not found.all("i")
    assert len(found.all("script")) == text.count("</script>") == 1
    assert len({radio["name"] for radio in found.all("input") if "data-sound" in radio}) == len(found.all("article")) - 1


def test_marks_are_said_once_or_each_where_they_differ(page, shown):
    articles = page.read_text(encoding="utf-8").split("<article")[2:]
    for article, one in zip(articles, shown, strict=False):
        marks = [made.mark for made in one.made]
        assert re.findall('class="chip (?:held|trained)">([^<]+)', article) == (marks[:1] if len(set(marks)) == 1 else marks)
    assert "chip" not in articles[-1]  # a foreign sound


def test_means_are_by_mark_and_the_best_stand_out(shown):
    shown = shown[:-1]  # of the last one the marks differ
    text = listen.mean_table(MODELS, shown)
    held, trained = text.split('"rowgroup"')[1:]
    assert "held out" in held
    assert "trained on" in trained
    expected = [np.mean([one.made[n].figures["mel_db"] for one in shown if one.made[n].mark == HELD_OUT]) for n in range(3)]
    assert re.findall("<td>(?:<b>)?[0-9.]+(?:</b>)?</td>", held)[1::4] == [
        f"<td><b>{mean:.2f}</b></td>" if mean == min(expected) else f"<td>{mean:.2f}</td>" for mean in expected]
    assert held.count("<b>") == 1  # nobody is best where all are equal
    best = lambda name, *values: listen.best(name, {name: values[0]}, [{name: value} for value in values])
    assert best("onset_f1", 0.9, 0.5)
    assert not best("onset_f1", 0.5, 0.9)
    assert best("out_to_target", 0.5, 0.9)
    assert not best("high_out", 0.9, 0.5)


def test_no_verdict_between_different_recordings_or_targets():
    """The second model is better on both sounds, but they compare as held out for the first and for the second."""
    def made(spectral: float, mark: str) -> Made:
        return Made(ramp(), {"spectral": spectral}, mark)

    shown = [SideBySide("easy", ramp(), [made(1, HELD_OUT), made(0.5, TRAINED_ON)]),
             SideBySide("hard", ramp(), [made(9, TRAINED_ON), made(5, HELD_OUT)])]
    text = listen.mean_table(MODELS[:2], shown)
    assert "<b>" not in text
    assert text.count("different ones: 1, 1 sounds") == 2
    shown = [replace(one, made=[replace(made, mark=HELD_OUT) for made in one.made]) for one in shown]
    assert "<b>2.75</b>" in listen.mean_table(MODELS[:2], shown)
    for target, bold in ((0.7, 1), (0.8, 0)):
        foreign = [SideBySide("bird", ramp(), [Made(ramp(), {"in_to_target": own, "out_to_target": out})
                                               for own, out in ((0.7, 0.1), (target, 0.2))])]
        assert listen.mean_table(MODELS[:2], foreign).count("<b>") == bold


def test_the_page_is_the_same_again(page, shown, tmp_path):
    some = [SideBySide(one.name, one.original, one.made[:1]) for one in shown[:2]]
    paths = [tmp_path / "a.html", tmp_path / "b.html"]
    for path in paths:
        listen.write(path, MODELS[:1], some, [], [], RATE)
    first, second = (path.read_text(encoding="utf-8") for path in paths)
    assert first == second
    name = re.compile('data-page="([0-9a-f]{12})"')
    assert name.search(first)[1] != name.search(page.read_text(encoding="utf-8"))[1]


def go_on(tab, seconds: float = 0.2) -> None:
    """By the page's clock of sounds, however slow the machine is."""
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
    """Rendered: outside of the crossfade the sum is the chosen version alone, where the one before would have gone on."""
    with opened(page, before=OFFLINE) as (tab, _, faults):
        tab.locator("#equal").uncheck()
        sound = np.array(tab.evaluate("""(async () => {
          const deck = deckOf(document.querySelector("main .file"));
          await deck.play();
          for (const [time, version] of [[0.3, 1], [0.5, 0], [0.9, 2]])
            heard.suspend(time).then(() => { deck.choose(version); heard.go(); });
          return [...(await heard.startRendering()).getChannelData(0)]; })()"""))
        assert not faults
    scales = np.array([float(radio["data-made"]) for radio in Parsed(page.read_text(encoding="utf-8")).all("input")
                       if "data-made" in radio][:3])
    begin = int(np.flatnonzero(np.abs(sound) > 1e-3)[0])
    assert begin == pytest.approx(0.02 * RATE, abs=1)
    gains = scales * [1, -1, 0.5]
    for start, stop, gain in ((0.03, 0.3, gains[0]), (0.32, 0.5, gains[1]), (0.52, 0.9, gains[0]), (0.92, 1.4, gains[2])):
        heard = np.arange(round(start * RATE), round(stop * RATE))
        moment = (sound[heard] / gain - 0.02) / (0.48 / (len(ramp()) - 1))  # of the recording, in samples
        assert abs((moment - (heard - begin)).mean()) < 3  # samples: full scale is 32767 or 32768
        assert np.abs(moment - (heard - begin)).max() < 8  # samples: a step of 16 bits is 4
    for n in (round(0.305 * RATE), round(0.905 * RATE)):
        assert min(gains) < sound[n] / ramp()[n - begin] < max(gains)  # neither louder nor gone while it changes


@in_browser
def test_equal_loudness_is_heard_and_can_be_switched_off(page):
    with opened(page, before=OFFLINE) as (tab, _, _):
        sound = np.array(tab.evaluate("""(async () => {
          const deck = deckOf(document.querySelector("main .file"));
          await deck.play();
          heard.suspend(0.3).then(() => { deck.choose(2); heard.go(); });
          heard.suspend(0.8).then(() => { document.getElementById("equal").click(); heard.go(); });
          return [...(await heard.startRendering()).getChannelData(0)]; })()"""))
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
    """A wide table is scrolled by them; N goes to the first recording, then from the one that was heard to the next."""
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
    """There arrow keys walk, wherever the recording is, and the others do what they do elsewhere; Escape stops."""
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
    """A button of class play, as other parts of pages have them, stops the versions, and they stop it."""
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


def blind_test(tab, mode: str, answers: int, choose) -> tuple[list[dict], dict]:
    """The trials as they truly were, and what was saved; `choose(trial, number)`: the button to press."""
    tab.locator("#test").click()
    tab.locator(f"#setup input[value={mode}]").check()
    tab.locator("#first").select_option(index=1)
    tab.locator("#second").select_option(index=3)
    tab.locator("#setup button.main").click()
    truth = []
    for number in range(answers):
        until(tab, "current?.run !== null")
        trial = tab.evaluate("""({...trial, sounds: Object.fromEntries(current.radios.map((radio, i) => [radio.value,
            versions[[...current.voices[i].closest(".rows").querySelectorAll("input")].indexOf(current.voices[i])]])),
            from: current.voices.map(voice => voice.closest(".file").dataset.name)})""")
        assert set(trial.pop("from")) == {trial["file"]}
        sounds = trial.pop("sounds")
        assert {letter: sounds[letter] for letter in "ab"} == {letter: trial[letter] for letter in "ab"}
        assert sounds.get("x") == (trial[trial["x"]] if mode == "abx" else None)
        assert sounds.get("o") == (None if mode == "abx" else "original")
        inside = tab.locator("#trial").evaluate("element => element.outerHTML")
        assert not any(part in inside for part in ("data-sound", "<img", "<svg", "model", "last", "c 🥁"))
        assert not tab.locator("main").is_visible()
        answer = choose(trial, number)
        tab.locator(f"#answers button[value={answer}]").click()
        truth.append(trial | {"answer": answer})
    tab.locator("#finish").click()
    with tab.expect_download() as download:
        tab.locator("#save").click()
    assert download.value.suggested_filename.endswith(f"-{mode}.json")
    return truth, json.loads(Path(download.value.path()).read_text(encoding="utf-8"))


@in_browser
def test_abx_is_blind_and_counted(page, shown):
    with opened(page, 390, SEEDED) as (tab, _, faults):
        truth, saved = blind_test(tab, "abx", 16, lambda trial, n: trial["x"] if n < 12 else "ab"[trial["x"] == "a"])
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert not faults
        assert "12 of 16 right" in tab.locator("#said").inner_text()
        for count, hits in ((9, 5), (1, 1), (40, 40), (2000, 1040), (5, 0)):
            expected = binomtest(hits, count, alternative="greater").pvalue
            assert tab.evaluate(f"tail({count}, {hits})") == pytest.approx(expected, rel=1e-9)
    assert [{key: one[key] for key in ("file", "a", "b", "x", "answer")} for one in saved["trials"]] == truth
    assert [one["correct"] for one in saved["trials"]] == [True] * 12 + [False] * 4
    assert saved["counts"] == {"trials": 16, "correct": 12}
    assert saved["p_value"] == pytest.approx(binomtest(12, 16, alternative="greater").pvalue)
    assert saved["models"] == MODELS
    assert saved["versions"] == [MODELS[0], MODELS[2]]
    assert f'data-page="{saved["page"]}"' in page.read_text(encoding="utf-8")
    assert {(one["a"], one["x"]) for one in truth} == {(MODELS[n], x) for n in (0, 2) for x in "ab"}
    names = [*(one.name for one in shown), "burung.wav"]
    heard = [one["file"] for one in truth[: len(names)]]
    assert sorted(heard) == sorted(names)  # none again before all were heard
    assert heard not in (names, names[::-1])


@in_browser
def test_unsaved_answers_are_not_lost(page):
    """A trial ends by finishing; the result is come back to until it is saved, or until one agrees to lose it."""
    with opened(page) as (tab, _, _):
        asked: list[str] = []
        tab.on("dialog", lambda box: (asked.append(box.message), box.accept() if len(asked) > 1 else box.dismiss()))
        button, begin, back = (tab.locator(at) for at in ("#test", "#setup button.main", "#result .leave"))
        button.click()
        begin.click()
        assert not button.is_visible()
        tab.locator("#answers button").first.click()
        tab.locator("#finish").click()
        for leave in (back, button):
            leave.click()
            assert tab.locator("main").is_visible()
            assert button.inner_text() == "Unsaved blind test"
            button.click()
            assert tab.locator("#result tbody tr").count() == 1
            assert tab.locator("#result").is_visible()
        tab.locator("#again").click()
        begin.click()
        assert len(asked) == 1
        assert "not saved" in asked[0]
        assert tab.locator("#result").is_visible()
        tab.locator("#again").click()
        begin.click()
        assert tab.locator("#number").inner_text() == "Trial 1"
        tab.locator("#answers button").first.click()
        tab.locator("#finish").click()
        tab.locator("#save").click()
        back.click()
        assert button.inner_text() == "Blind test"
        button.click()
        begin.click()
        assert tab.locator("#trial").is_visible()
        assert len(asked) == 2


@in_browser
def test_preferences_are_tallied_by_version(page):
    with opened(page, before=SEEDED) as (tab, _, faults):
        prefer = lambda trial, n: "none" if n == 5 else "a" if (trial["a"] == MODELS[2]) == (n < 4) else "b"
        truth, saved = blind_test(tab, "ab", 9, prefer)
        assert not faults
        assert saved["counts"] == {"trials": 9, "preferred": {MODELS[0]: 4, MODELS[2]: 4}, "none": 1}
        assert saved["p_value"] == pytest.approx(binomtest(4, 8).pvalue)
        assert [one["preferred"] for one in saved["trials"]] == [MODELS[2]] * 4 + [MODELS[0], None] + [MODELS[0]] * 3
        assert all(one["equally_loud"] for one in saved["trials"])
        assert len({one["a"] for one in truth}) == 2
        tab.locator("#result .leave").click()
        assert tab.locator("main").is_visible()
        tab.locator("#test").click()
        tab.locator("#second").select_option(index=1)
        tab.locator("#first").select_option(index=1)
        tab.locator("#setup button.main").click()
        assert tab.locator("#setup").is_visible()  # two versions that are one
        tab.locator("#second").select_option(index=0)
        tab.locator("#setup button.main").click()
        until(tab, "current?.run !== null")
        assert tab.locator("#letters label").all_inner_texts() == ["A", "B"]  # the original is one of the two
        tab.keyboard.press("b")
        assert tab.evaluate("current.chosen") == 1
