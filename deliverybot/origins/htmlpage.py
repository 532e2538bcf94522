"""The section of signatures that stand on a web page."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import Annotated, Literal, Self

import pydantic
import typing_extensions

from deliverybot import faults, values
from deliverybot.origins import base, selecting

_NUMBER = "{page}"

#: What a preset says of a page; what stands in the section wins.
_PRESETS: Mapping[str, Mapping[str, str]] = {
    # The list and pager of WordPress petition pages, the pager that of WP-PageNavi.
    "wordpress": {
        "count": ".signature-count",
        "pattern": r"^(\S[^A-Za-z]*?)\s*[Ss]ignatures?$",
        "signers": "ul.signatures > li",
        "next": ".wp-pagenavi .current + a",
    }
}


class HtmlSource(base.Fetched):
    """Signatures that stand on a web page: their number, a list of names, or both."""

    #: The kind of source.
    kind: Literal["http-html"]
    #: Address of the page, of the first one where the list goes over several.
    url: values.Url | None = None
    #: A page that was saved as a file, relative to the campaign's own file; instead of `url`.
    path: Annotated[str, pydantic.Field(min_length=1)] | None = None
    #: wordpress: `count`, `signers` and `next` as petition pages on WordPress have them; what
    #: you write beside it wins.
    preset: Literal["wordpress"] | None = None
    #: CSS selector of the element that shows the number of signatures.
    count: selecting.Selector | None = None
    #: Regular expression whose one group is the number, looked for in the elements of `count`, or
    #: in the whole page where there is no `count`.
    pattern: selecting.Pattern | None = None
    #: CSS selector of the elements that are one signer each.
    signers: selecting.Selector | None = None
    #: Our field = where it stands inside a signer's element: a selector, "selector@attribute" or
    #: "@attribute"; without a name here, the name is all of the element's text.
    columns: dict[base.SignerField, selecting.Place] = pydantic.Field(default={})
    #: Which of two numbers is the month where a time is written like 11/05/2026; without it such
    #: a time is left out, since it can be two days.
    dates: Literal["month-first", "day-first"] | None = None
    #: CSS selector of the link to the next page of the list.
    next: selecting.Selector | None = None
    #: Address of one page of the list with {page} for its number, from 1; instead of `next`.
    page: str | None = None
    #: Which signers the list shows first; with "oldest" each reading looks at all its pages.
    order: Literal["newest", "oldest"] = "newest"
    #: Pages that one reading looks at, at most.
    most_pages: Annotated[int, pydantic.Field(ge=1, le=100_000)] = 500
    #: Time between two pages.
    between: values.Delay = "1s"
    #: Write another text here, such as today's date, after the page was rebuilt: whoever stands
    #: on it then counts as known.
    anew: values.Words = ""

    @property
    @typing_extensions.override
    def counts(self) -> bool:
        return bool(self.rule("count") or self.rule("pattern"))

    @property
    @typing_extensions.override
    def lists(self) -> bool:
        return bool(self.rule("signers"))

    @property
    def between_seconds(self) -> int:
        """`between` in seconds."""
        return values.delay(self.between)

    def rule(self, name: str) -> str:
        """Return a selector or pattern of this section, or else of its preset; or nothing."""
        said = getattr(self, name)
        # Who names another place for the count does not mean the preset's words there.
        if said is None and name == "pattern" and self.count is not None:
            return ""
        if said is None and name == "next" and self.page is not None:
            return ""
        return str(said if said is not None else _PRESETS.get(self.preset or "", {}).get(name, ""))

    @pydantic.model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.url is None) == (self.path is None):
            raise faults.wrong(
                "a page needs either 'url' or 'path'", 'url = "https://example.org/petition/name"'
            )
        if not (self.counts or self.lists):
            raise faults.wrong(
                "nothing is said to be read on the page",
                "'count' or 'pattern' for the number, 'signers' for the names, or a preset",
            )
        if self.columns and not self.lists:
            raise faults.wrong("'columns' say what stands in the elements of 'signers'", "add it")
        if self.next is not None and self.page is not None:
            raise faults.wrong("'next' and 'page' cannot both be meant", "leave one out")
        self._check_page()
        return self

    def _check_page(self) -> None:
        if self.page is None:
            return
        if self.url is None or self.page.count(_NUMBER) != 1:
            hint = 'such as page = "https://example.org/petition/name?page={page}"'
            raise faults.wrong(f"'page' is an address beside 'url', with {_NUMBER} in it", hint)
        first = values.url(self.page_url(1))
        if urllib.parse.urlsplit(first)[:2] != urllib.parse.urlsplit(self.url)[:2]:
            raise faults.wrong("'page' leads to another host than 'url'", "the same host in both")

    def page_url(self, number: int) -> str:
        """Return the address of the page of this number."""
        return (self.page or "").replace(_NUMBER, str(number))
