"""The comments of signers: a section of its own, each with who wrote it.

A comment is other people's text, so it goes round every parser: it is put in
when templates and markup have been read, escaped, one paragraph after another.
"""

from __future__ import annotations

import html
import re

from deliverybot import model
from deliverybot.render import facts as said
from deliverybot.render import signers, vault, words

#: Letters of the word before a signer's number.
LONGEST_WORD = 30
#: A comment of more lines is no verse but an endless column: it is set as running text.
MOST_LINES = 60
#: Left-to-right isolate, right-to-left isolate, and pop directional isolate.
_ISOLATES = {"ltr": "\u2066", "rtl": "\u2067"}
_CLOSE = "\u2069"


class Remarks:
    """The comments as a template asks for them: ``{{ remarks("No.") }}``."""

    def __init__(self, facts: said.Facts) -> None:
        """Nothing asked for yet."""
        self._facts = facts
        self._word: str | None = None
        # Unlike the piece of the names, which is late, too.
        self.piece = vault.Piece(html="remarks", late=True)

    def __call__(self, number: str) -> vault.Piece:
        """Print the comments here, with this word before a signer's number."""
        if self._word is not None:
            message = "the comments are printed twice"
            raise ValueError(message)
        if not isinstance(number, str) or len(number) > LONGEST_WORD:
            message = f"remarks() wants a word for a number, {LONGEST_WORD} letters at most"
            raise ValueError(message)
        self._word = vault.one_line(number)
        return self.piece

    def html(self) -> str:
        """Return all comments as HTML."""
        return "".join(map(self._remark, self._facts.comments))

    def _remark(self, comment: model.ApprovedComment) -> str:
        language = self._facts.language
        paragraphs = "".join(f"<p>{text}</p>\n" for text in _paragraphs(comment.text))
        number = words.number(comment.signer.number, language)
        # In brackets and kept together: a line that begins with it would pass for one of the list.
        number = f"({html.escape(self._word or '')}\u00a0{number})".replace("(\u00a0", "(")
        who = f"{signers.line(comment.signer, self._facts.fields)} {number}".strip()
        # On the side of the comment, and in the order of the list, whose line it is.
        who = f"{_ISOLATES[words.direction(language)]}{who}{_CLOSE}"
        # One without letters goes from left to right.
        way = words.way(comment.text, "en")
        return f'<div class="remark" dir="{way}">\n{paragraphs}<p class="who">{who}</p>\n</div>\n'


def _paragraphs(text: str) -> list[str]:
    """Part a comment at its empty lines, and escape it; its other line ends stay."""
    lines = text.split("\n")
    if len(lines) > MOST_LINES:
        return [_escaped(" ".join(lines))]
    parts = re.split(r"\n{2,}", text.strip("\n"))
    return ["<br>\n".join(map(_escaped, part.split("\n"))) for part in parts]


def _escaped(line: str) -> str:
    return html.escape(vault.one_line(line))
