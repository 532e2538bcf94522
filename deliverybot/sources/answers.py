"""What a host answered, and how it is read: nothing in it is taken for what it may not be."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

from deliverybot import errors
from deliverybot.sources import plain

#: Values of one JSON answer; more fill the memory long before the bytes do.
MOST_VALUES = 1_000_000
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
#: Bytes that tell a web page.
_BEGIN = 512


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A good answer: its status is 2xx and its end was seen, or `is_whole` says that it was not."""

    status: int
    #: Names in small letters.
    headers: Mapping[str, str]
    #: Where it came from, for people: without what may be secret in the address.
    url: str
    #: Text for the next conditional request for the same; empty where it cannot be one.
    state: str = ""
    #: The bytes, unpacked; empty after `download`.
    raw: bytes = dataclasses.field(default=b"", repr=False)
    #: Whether the answer said where it ends.  If not, the closed connection may have cut it.
    is_whole: bool = True

    @property
    def kind(self) -> str:
        """Its content type in small letters, without what follows, such as "text/html"."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> object:
        """Return the JSON value: strictly, without NaN, keys given twice or text behind it."""
        if not self.raw.strip():
            raise self.error("the answer is empty, not JSON")
        if sum(map(self.raw.count, (b",", b"[", b"{"))) > MOST_VALUES:
            what = f"the JSON holds more than {MOST_VALUES:,} values"
            raise self.error(what, "let it be given in pages, or as a file of JSON lines")
        try:
            value = json.loads(
                self.raw.decode("utf-8-sig"),
                parse_constant=plain.no_number,
                object_pairs_hook=_once,
            )
        except UnicodeDecodeError:
            self.refuse_page("JSON")
            raise self.error("the answer is not JSON: it is not UTF-8") from None
        except json.JSONDecodeError as error:
            self.refuse_page("JSON")
            what = f"the answer is not JSON: {error.msg.lower()} in line {error.lineno}"
            raise self.error(what) from None
        except _Twice as error:
            raise self.error(f"the JSON has the key {str(error)[:40]!r} twice") from None
        except (ValueError, RecursionError):
            raise self.error("the JSON has a number or a depth beyond reason") from None
        # A number that was cut off is another number.
        if not self.is_whole and not isinstance(value, dict | list):
            raise self.error("the answer does not say where it ends, so it may be cut off")
        return value

    def refuse_page(self, wanted: str, begin: bytes = b"") -> None:
        """Raise where this is a web page in place of what is wanted; `begin` are its first bytes.

        That is what a host answers, with 200, to who is not logged in.
        """
        begin = (begin or self.raw[:_BEGIN]).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
        is_page = begin.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<!--"))
        if is_page or (self.kind in _PAGES and begin.startswith(b"<")):
            what = f"the answer is a web page, not {wanted}; it may be one to log in at"
            raise self.error(what, "open the address yourself, without being logged in")

    def error(self, what: str, hint: str = "") -> errors.SourceError:
        """Make an error that names where this came from."""
        return errors.SourceError(what, hint=hint, file=self.url)


class _Twice(ValueError):
    pass


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        raise _Twice(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return found
