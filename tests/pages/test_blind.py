"""The blind test on the listening page, in a real browser: nothing tells which version is which, no answer is lost."""

import json
from pathlib import Path

import pytest
from scipy.stats import binomtest

from tests.pages.browser import in_browser, opened, until
from tests.pages.conftest import MODELS

# The same chances each time, with which every pair of a version and X comes in 16 trials.
SEEDED = "{ let seed = 1; Math.random = () => (seed = seed * 16807 % 2147483647) / 2147483647; }"


def blind_test(tab, mode: str, answers: int, choose) -> tuple[list[dict], dict]:
    """The true trials, and the saved JSON; `choose(trial, number)`: the button to press."""
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
    assert [{key: trial[key] for key in ("file", "a", "b", "x", "answer")} for trial in saved["trials"]] == truth
    assert [trial["correct"] for trial in saved["trials"]] == [True] * 12 + [False] * 4
    assert saved["counts"] == {"trials": 16, "correct": 12}
    assert saved["p_value"] == pytest.approx(binomtest(12, 16, alternative="greater").pvalue)
    assert saved["models"] == MODELS
    assert saved["versions"] == [MODELS[0], MODELS[2]]
    assert f'data-page="{saved["page"]}"' in page.read_text(encoding="utf-8")
    assert {(trial["a"], trial["x"]) for trial in truth} == {(MODELS[n], x) for n in (0, 2) for x in "ab"}
    names = [*(trial.name for trial in shown), "burung.wav"]
    first_round = [trial["file"] for trial in truth[: len(names)]]
    assert sorted(first_round) == sorted(names)  # no recording again before all were played
    assert first_round not in (names, names[::-1])


@in_browser
def test_unsaved_answers_are_not_lost(page):
    """A test ends by finishing; the page returns to its result until it is saved, or until the user agrees to lose it."""
    with opened(page) as (tab, _, _):
        questions: list[str] = []
        tab.on("dialog", lambda box: (questions.append(box.message), box.accept() if len(questions) > 1 else box.dismiss()))
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
        assert len(questions) == 1
        assert "not saved" in questions[0]
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
        assert len(questions) == 2


@in_browser
def test_preferences_are_tallied_by_version(page):
    with opened(page, before=SEEDED) as (tab, _, faults):
        prefer = lambda trial, n: "none" if n == 5 else "a" if (trial["a"] == MODELS[2]) == (n < 4) else "b"
        truth, saved = blind_test(tab, "ab", 9, prefer)
        assert not faults
        assert saved["counts"] == {"trials": 9, "preferred": {MODELS[0]: 4, MODELS[2]: 4}, "none": 1}
        assert saved["p_value"] == pytest.approx(binomtest(4, 8).pvalue)
        assert [answer["preferred"] for answer in saved["trials"]] == [MODELS[2]] * 4 + [MODELS[0], None] + [MODELS[0]] * 3
        assert all(answer["equally_loud"] for answer in saved["trials"])
        assert len({answer["a"] for answer in truth}) == 2
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
