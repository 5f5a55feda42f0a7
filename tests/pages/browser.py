"""A page as its source says and as a real browser shows it."""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

BROWSER = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"))),
               None)
in_browser = pytest.mark.browser


class Parsed(HTMLParser):
    """Tags with their attributes, and the text outside of style and script."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def self_contained(path: Path) -> Parsed:
    """The parsed page, after asserting that it loads nothing from elsewhere."""
    text = path.read_text(encoding="utf-8")
    parsed = Parsed(text)
    for _, attributes in parsed.tags:
        for key in ("src", "href", "action", "srcset"):
            assert (attributes.get(key) or "data:").startswith("data:")
    assert not re.search(r"url\(|@import|https?:", text)
    return parsed


@contextmanager
def opened(path: Path, width: int = 1440, before: str = "", **options: Any) -> Iterator[tuple[Page, list[str], list[str]]]:
    """Opens the page in a browser; yields it with its requests and errors. `before`: a script that runs first."""
    requests: list[str] = []
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--autoplay-policy=no-user-gesture-required"])
        page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text))
        page.add_init_script(before)
        page.goto(path.as_uri())
        yield page, requests, faults
        browser.close()


def seen_by_browser(path: Path, script: str, width: int) -> Any:
    """The result of `script`, the body of an async function run in the page; it may take a minute and raise no error."""
    timeout = 'new Promise((_, fail) => setTimeout(() => fail(new Error("the script waits in vain")), 60000))'
    with opened(path, width) as (page, _, faults):
        seen = page.evaluate(f"Promise.race([(async () => {{{script}}})(), {timeout}])")
        assert not faults
        return seen


def until(page: Page, expression: str, seconds: float = 10.0) -> None:
    """Wait for an expression to be true; Playwright's own way needs eval, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(20)
