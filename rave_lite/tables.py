"""Tables for the terminal."""

from collections.abc import Collection, Iterable

from rich.markup import escape
from rich.table import Table
from rich.text import Text


def make_table(columns: Iterable[str], rows: Iterable[Iterable[str | Text]], *, left: Collection[str] = (), title: str = "",
               caption: str = "") -> Table:
    """A table of text, shown as it is, brackets included; columns align right, but those of `left`, and long cells fold."""
    table = Table(title=escape(title), title_justify="left", caption=escape(caption), caption_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) if isinstance(cell, str) else cell for cell in row))
    return table
