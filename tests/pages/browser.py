"""A page as its source says and as a real browser shows it."""

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

BROWSER = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"))),
               None)
REPORT = """function report(seen) {
  const pre = document.createElement("pre"); pre.id = "seen";
  pre.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(seen)))); document.body.append(pre);
}"""


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


def seen_by_browser(path: Path, script: str, folder: Path, width: int) -> Any:
    """What `script`, run at the end of the page at `path`, hands to `report`. `folder`: for a copy and the profile."""
    copy = folder / path.name
    copy.write_bytes(path.read_bytes().replace(b"</body>", f"<script>{REPORT}\n{script}</script></body>".encode()))
    done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900",
                           f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=20000", "--dump-dom",
                           copy.as_uri()], capture_output=True, timeout=120, check=True)
    return json.loads(base64.b64decode(re.search(rb'id="seen">([^<]+)', done.stdout)[1]))
