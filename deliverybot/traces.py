"""What may show somebody in a text: the whole name, a comment, a word of the name."""

from __future__ import annotations

import re
import unicodedata

#: A shorter comment, such as "Stop it", may be anybody's.
_TELLING = 20
#: Of a longer one so much is looked for: who quotes may have cut it.
_ENOUGH = 60
#: A shorter word of a name is in half of all texts.
_WORD = 3


class Traces:
    """Looks for one signer in texts; holds the name, so it is never shown."""

    def __init__(self, name: str, comment: str = "") -> None:
        folded = _folded(name)
        self._words = [_word(word) for word in folded.split() if len(word) >= _WORD]
        self._name = _word(folded) if folded else None
        #: One word alone, such as "Rose", does not tell a person.
        self._telling = " " in folded
        said = _folded(comment)
        self._comment = said[:_ENOUGH] if len(said) >= _TELLING else ""

    def certain(self, text: str) -> bool:
        """Tell whether a text surely has the person in it: the name in full, or the comment."""
        return self._found(text, whole=self._telling)

    def likely(self, text: str) -> bool:
        """Tell whether a text has the name, even one of a single word, or the comment."""
        return self._found(text, whole=True)

    def possible(self, text: str) -> bool:
        """Tell whether a text has any word of the name."""
        folded = _folded(text)
        return self.likely(text) or any(word.search(folded) for word in self._words)

    def _found(self, text: str, *, whole: bool) -> bool:
        folded = _folded(text)
        named = whole and self._name is not None and self._name.search(folded)
        return bool(named) or bool(self._comment and self._comment in folded)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _word(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")
