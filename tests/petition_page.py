"""A petition's page as a real server gives it: the newest signers first, on several pages.

The markup is that of tests/fixtures/sources/wordpress_petition.html.
"""

# ruff: noqa: ANN401 - hands on any field

from __future__ import annotations

import dataclasses
import hashlib
import html
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import build
import http_server
from deliverybot import campaign as campaigns

PAGE = """<!doctype html><meta charset="utf-8"><title>Petition</title>
<article><h1>Stop</h1><p>Dear Ms. Doe, 3 Signatures are no joke.</p></article>
<ol class="commentlist"><li>Customer support spam comment</li>
<li id="comment-7"><ul class="signatures"><li>Buy Shoes</li></ul></li></ol>
<h3 class="signature-count">{count} Signatures</h3>
<ul class="signatures">
{names}</ul>
<div class="wp-pagenavi"><span class="pages">{number} of {last}</span>{links}</div>
"""


@dataclasses.dataclass
class Site:
    """The list behind a page."""

    #: The newest first.
    names: list[str] = dataclasses.field(default_factory=list)
    size: int = 10
    #: The number that it shows, where that is another than there are names.
    count: str | None = None
    #: Whether it tells what a page was at.
    tags: bool = False
    #: Whether it shows the oldest first.
    oldest: bool = False
    #: Called before each answer with the number of requests so far.
    before: Callable[[int], None] = lambda _: None
    #: Answers in place of a page, by the number of the request from 1.
    instead: dict[int, http_server.Reply] = dataclasses.field(default_factory=dict)
    requests: int = 0
    #: The numbers of the pages that were asked for.
    asked: list[int] = dataclasses.field(default_factory=list)

    def sign(self, *names: str) -> None:
        for name in names:
            self.names.insert(0, name)

    def grow(self, count: int) -> None:
        first = len(self.names) + 1
        self.sign(*(f"Person {n}" for n in range(first, first + count)))

    @property
    def last(self) -> int:
        return max(1, -(-len(self.names) // self.size))

    def __call__(self, request: http_server.Request) -> http_server.Reply:
        self.requests += 1
        self.before(self.requests)
        if self.requests in self.instead:
            return self.instead[self.requests]
        number = int(request.query.get("sigs", 1))
        self.asked.append(number)
        body = self.page(number)
        tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:16]}"'
        if self.tags and request.headers.get("if-none-match") == tag:
            return http_server.Answer(status=304, headers={"ETag": tag})
        return http_server.text(body, headers={"ETag": tag} if self.tags else {})

    def page(self, number: int) -> str:
        begin = (number - 1) * self.size
        shown = self.names[::-1] if self.oldest else self.names
        names = shown[begin : begin + self.size]
        links = f'<span class="current">{number}</span>'
        for near in range(number + 1, min(number + 3, self.last + 1)):
            links += f'<a class="page larger" href="?sigs={near}">{near}</a>'
        return PAGE.format(
            count=f"{len(self.names):,}" if self.count is None else self.count,
            names="".join(f"  <li>{html.escape(name)}</li>\n" for name in names),
            number=number,
            last=self.last,
            links=links,
        )


def plan(
    folder: pathlib.Path,
    url: str,
    *lines: str,
    preset: bool = True,
    between: str = "0s",
    **more: Any,
) -> campaigns.Campaign:
    """A campaign with a page as its source; `lines` are further settings of it."""
    section = ["[source]", 'kind = "http-html"', 'every = "5m"', f'between = "{between}"']
    if url:
        section.append(f"url = {json.dumps(url)}")
    if preset:
        section.append('preset = "wordpress"')
    return build.campaign(folder, source="\n".join([*section, *lines]), **more)


def people(first: int, last: int) -> Sequence[str]:
    return [f"Person {n}" for n in range(first, last + 1)]
