"""From an object of named values, as JSON, a database or a form gives it, to the texts of a row."""

from __future__ import annotations

from collections.abc import Mapping

from deliverybot.sources import columns

#: Shapes of objects whose keys are matched once only.
_SHAPES = 1000
_NAMES = ("name", "first_name", "last_name")


class Objects:
    """Turns objects into the texts of rows."""

    def __init__(self, layout: columns.Layout) -> None:
        self._layout = layout
        self._shapes: dict[tuple[str, ...], columns.Found] = {}
        #: The consent fields met so far.  Exporters leave out what is empty: once one signer of
        #: a source has such a field, another without it was asked and did not say yes.
        self.asked: frozenset[str] = frozenset(layout.columns) & set(columns.CONSENT)

    def match(self, content: Mapping[str, object]) -> columns.Found:
        """Match an object's keys to our fields; each shape once."""
        shape = tuple(content)
        found = self._shapes.get(shape)
        if found is None:
            found = columns.match(shape, self._layout)
            if len(self._shapes) < _SHAPES:
                self._shapes[shape] = found
        return found

    def values(self, content: Mapping[str, object]) -> tuple[str, ...] | str:
        """Return the object's texts in the order of `columns.FIELDS`.

        An empty tuple where the object does not count by the campaign's
        `only`; a text where it cannot be taken: the reason why.
        """
        found = self.match(content)
        if found.twice:
            return f"two of its keys mean the same: {columns.listed(found.twice)}"
        if self._layout.only and (found.unfound or not found.counts(tuple(content.values()))):
            return ()
        values = []
        for field in columns.FIELDS:
            if field not in found.at:
                values.append("")
                continue
            raw = content[found.header[found.at[field]]]
            value = text_of(raw)
            if field in columns.CONSENT and field not in self.asked:
                self.asked |= {field}
            if field in _NAMES and (value is None or isinstance(raw, bool)):
                return f"{field!r} is no text"
            values.append(value or "")
        return tuple(values)


def text_of(value: object) -> str | None:
    """Return a JSON value as text; None for what has parts of its own."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else None
