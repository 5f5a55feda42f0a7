"""Text as a value of Hydra's overrides."""

import re


def quoted(text: str) -> str:
    """As Hydra's grammar undoes it; what is in quotes already stays."""
    if len(text) > 1 and text[0] == text[-1] in "'\"":
        return text
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", text) + "'"
