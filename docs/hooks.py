"""Adds README, recipes, changelog and contributing to the site, and turns links to files of the repository into pages."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
OUTSIDE = {"README.md": "index.md", "recipes/README.md": "recipes.md", "CHANGELOG.md": "changelog.md",
           "CONTRIBUTING.md": "contributing.md"}  # a file of the repository: its page of the site
LINK = re.compile(r"\[([^\]\[]*)\]\(([^)\s:#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links work in the repository as they are written; here they lead to pages, and what is no page is named only."""
    site = page.file.src_uri
    home = next((source for source, name in OUTSIDE.items() if name == site), f"docs/{site}")

    def moved(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(home), target))
        inside = OUTSIDE.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if inside is not None:
            return f"[{text}]({posixpath.relpath(inside, posixpath.dirname(site) or '.')}{anchor})"
        return f"{text} (`{path}`)" if (ROOT / path).exists() else link[0]  # mkdocs refuses the latter

    return LINK.sub(moved, markdown)
