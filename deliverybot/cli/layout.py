"""How tables and pairs are laid out: for a terminal of some width, or for a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

#: A table needs this many columns of the terminal; below, each row becomes a block.
NARROW = 60
#: What a table's last column must be left with, or the rows become blocks.
LEAST = 24
#: Between two columns.
GAP = "  "
#: These hold numbers, which stand to the right.
NUMBERS = frozenset({"count", "goal", "id", "listed", "pages", "signatures", "tries"})

_Row = Sequence[str]


def table(
    columns: _Row, rows: Sequence[_Row], *, width: int | None, heading: Callable[[str], str] = str
) -> Iterator[str]:
    """Yield the lines of a table, its heading first.

    `width` None is a pipe: each row is one line.  On a terminal the last column
    folds into what is left beside the others; where that is too little, each
    row is a block of names and values.  Nothing is cut.
    """
    widths = [max(map(cells, column)) for column in zip(columns, *rows, strict=True)]
    before = sum(widths[:-1]) + len(GAP) * (len(columns) - 1)
    if width is None or before + widths[-1] <= width:
        yield heading(_line(columns, columns, widths))
        yield from (_line(columns, row, widths) for row in rows)
    elif width >= NARROW and width - before >= LEAST:
        yield heading(_line(columns, columns, widths))
        for row in rows:
            first, *rest = fold(row[-1], width - before)
            yield _line(columns, [*row[:-1], first], [*widths[:-1], 0])
            yield from (" " * before + line for line in rest)
    else:
        for n, row in enumerate(rows):
            yield from [""] if n else []
            yield from pairs(list(zip(columns, row, strict=True)), width=width)


def pairs(shown: Sequence[tuple[str, str]], *, width: int | None) -> Iterator[str]:
    """Yield lines of names and values; what is empty is left out."""
    shown = [(name, value) for name, value in shown if value]
    indent = max((cells(name) for name, _ in shown), default=0) + len(GAP)
    for name, value in shown:
        folded = (line for part in value.split("\n") for line in fold(part, width, indent))
        for n, line in enumerate(folded):
            yield (" " * indent if n else _padded(name, indent)) + line


def fold(text: str, width: int | None, indent: int = 0) -> list[str]:
    """Break a line between words so that it fits beside an indent; no word is broken."""
    if width is None or cells(text) <= width - indent:
        return [text]
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and cells(longer) > width - indent:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def cells(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich import cells as measure

    return measure.cell_len(text)


def _line(columns: _Row, row: _Row, widths: Sequence[int]) -> str:
    parts = (
        _padded(cell, width, right=name in NUMBERS)
        for name, cell, width in zip(columns, row, widths, strict=True)
    )
    return GAP.join(parts).rstrip()


def _padded(text: str, width: int, *, right: bool = False) -> str:
    space = " " * (width - cells(text))
    return space + text if right else text + space
