"""A server that does what no honest platform does, and what each of its tricks must lead to.

`BEHAVIOURS` is the list; docs/sources/misbehaviour.md is made from it:
`python tests/hostile_source.py > docs/sources/misbehaviour.md`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import socket
import struct
import sys
import zlib
from collections.abc import Callable, Iterator

import http_server

#: What the source said before it began to misbehave; the campaign's milestones: the second one is
#: crossed as soon as one of the false numbers is believed.
GOOD, MILESTONES = 120, (100, 200)
#: The largest answer that the campaign takes, in bytes.
MOST = 1_000_000
#: Time of the tests, for a Retry-After that is a date.
NOW = dt.datetime(2026, 11, 23, 15, 0, tzinfo=dt.UTC)

Reply = http_server.Reply | http_server.Handler


@dataclasses.dataclass(frozen=True, kw_only=True)
class Behaviour:
    """One trick."""

    group: str
    #: What the source does, in words that end a sentence "It ...".
    does: str
    reply: Reply
    #: What `status` says; empty where the answer is taken.
    says: str = ""
    #: The number afterwards.
    count: int = GOOD
    #: What happens to it where it is taken; milestones that it crosses.
    taken: str = ""
    crosses: tuple[int, ...] = ()
    #: Seconds until it is asked again, where the source says so.
    retry_after: float | None = None
    #: The reading may take this long.
    deadline: str = "1m"
    #: The source's own lines in the campaign's file, and what it answered while it was honest.
    section: str = 'kind = "http-json"\ncount = "count"'
    honest: Reply = dataclasses.field(default_factory=lambda: said(f'{{"count": {GOOD}}}'))
    #: Whether the address begins with https, though the server speaks none.
    https: bool = False

    @property
    def name(self) -> str:
        return f"{self.group}: {self.does}"


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")


def body(data: bytes, *lines: str) -> http_server.Raw:
    """Send a body whose end is the end of the connection."""
    return http_server.sends(head("Content-Type: application/json", *lines) + data)


def sized(data: bytes, *lines: str, size: int | None = None) -> http_server.Raw:
    length = len(data) if size is None else size
    return body(data, f"Content-Length: {length}", *lines)


def packed(data: bytes, encoding: str = "gzip") -> http_server.Answer:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    return http_server.Answer(body=data, headers=headers)


def said(text: str | bytes, content_type: str = "application/json") -> http_server.Answer:
    data = text if isinstance(text, bytes) else text.encode()
    return http_server.Answer(body=data, headers={"Content-Type": content_type})


def _play(play: Callable[[http_server.Wire], None]) -> http_server.Raw:
    return http_server.raw(play)


def _reset(wire: http_server.Wire) -> None:
    """Close without a farewell: the client gets a reset."""
    wire.send(head("Content-Length: 100") + b"{")
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.socket.close()


def _zeros(size: int) -> bytes:
    """Pack so many zeros; a thousandth of their size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    parts = [packer.compress(bytes(1_000_000)) for _ in range(size // 1_000_000)]
    return b"".join([*parts, packer.flush()])


COUNT = b'{"count": 250}'
LOGIN = '<!DOCTYPE html><html><body><form action="/login">Please log in</form></body></html>'
CHUNKED = "Transfer-Encoding: chunked"
LATE = "the reading was ended after 1s"
CUT = "the answer was cut off"
LARGE = f"the answer is larger than {MOST:,} bytes"
NOT_HTTP = "what came is not HTTP, or has headers without end"
KIND = "it leads to a host of another kind"
SPELLING = "its host is a number in an unusual spelling"


def _connections() -> Iterator[Behaviour]:
    group = "The connection"
    for does, play, says in (
        ("says nothing at all", lambda wire: wire.hang(), LATE),
        ("sends the head of its answer a byte at a time",
         lambda wire: wire.drip(head("Content-Type: application/json") * 99), LATE),
        ("sends its answer a byte at a time",
         lambda wire: (wire.send(head(f"Content-Length: {MOST}")), wire.drip(b" " * MOST)), LATE),
    ):  # fmt: skip
        yield Behaviour(group=group, does=does, reply=_play(play), says=says, deadline="1s")  # type: ignore[arg-type]
    for does, reply, says in (
        ("closes the connection without an answer", http_server.sends(b""), CUT),
        ("breaks the connection in the middle", _play(_reset), "the connection broke"),
        ("stops within the first line", http_server.sends(b"HTTP/1.1 20"), CUT),
        ("stops within its headers", http_server.sends(head()[:-2] + b"Content-Le"), CUT),
        ("stops before the length it promised", sized(COUNT, size=99), CUT),
        ("stops in the middle of a chunk", body(b"%x\r\n" % len(COUNT) + COUNT[:9], CHUNKED), CUT),
        (
            "never sends the last chunk",
            body(b"%x\r\n" % len(COUNT) + COUNT + b"\r\n", CHUNKED),
            CUT,
        ),
        ("stops in the middle and promised no length", body(COUNT[:9]), "the answer is not JSON"),
    ):
        yield Behaviour(group=group, does=does, reply=reply, says=says)
    yield Behaviour(
        group=group, does="promises no length, and its JSON is whole", reply=body(COUNT),
        count=250, crosses=(200,), taken="taken: an object shows its own end",
    )  # fmt: skip
    yield Behaviour(
        group=group, does="speaks no TLS, though its address begins with https",
        reply=http_server.json({"count": 250}), says="the connection broke", https=True,
    )  # fmt: skip


def _protocol() -> Iterator[Behaviour]:
    group = "The protocol"
    many = [f"X-{n}: {n}" for n in range(150)]
    for does, reply, says in (
        ("greets like a mail server", http_server.sends(b"220 mail.example ESMTP\r\n"), NOT_HTTP),
        ("sends a page without any head", http_server.sends(LOGIN.encode()), NOT_HTTP),
        ("sends one header of 200,000 letters", sized(COUNT, "X: " + "x" * 200_000), NOT_HTTP),
        ("sends headers without end", _play(_endless_headers), NOT_HTTP),
        ("sends 150 headers", sized(COUNT, *many), "more headers than any honest one"),
        ("announces its answer again and again",
         http_server.sends(head(status="103 Early Hints") * 50), "announced again and again"),
        ("names two lengths", sized(COUNT, "Content-Length: 3"), NOT_HTTP),
        ("names a length below zero", sized(COUNT, size=-5), NOT_HTTP),
        ("names a length that is no number", body(COUNT, "Content-Length: many"), NOT_HTTP),
        ("sends a chunk whose size is no number", body(b"0x5\r\nhello\r\n", CHUNKED), NOT_HTTP),
        ("puts a line end into a header", sized(COUNT, "X: a\rSet-Cookie: b"), NOT_HTTP),
        ("promises less than it sends", sized(COUNT, size=9), "the answer is not JSON"),
    ):  # fmt: skip
        yield Behaviour(group=group, does=does, reply=reply, says=says)


def _endless_headers(wire: http_server.Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\n")
    wire.forever(b"X-More: and more\r\n" * 100)


def _endless_body(wire: http_server.Wire) -> None:
    wire.send(head())
    wire.forever(b" " * 10_000)


def _endless_chunks(wire: http_server.Wire) -> None:
    wire.send(head(CHUNKED))
    wire.forever(b"2710\r\n" + b" " * 10_000 + b"\r\n")


def _crumbs(wire: http_server.Wire) -> None:
    wire.send(head(CHUNKED))
    wire.forever(b"1\r\n \r\n" * 1000)


def _sizes() -> Iterator[Behaviour]:
    group = "Size and packing"
    zeros = _zeros(50_000_000)
    for does, reply, says in (
        ("sends a large answer", sized(b" " * (MOST + 1) + COUNT), LARGE),
        ("promises a length of terabytes, and sends", _play(_huge), LARGE),
        ("sends without end", _play(_endless_body), LARGE),
        ("sends chunks without end", _play(_endless_chunks), LARGE),
        ("sends chunks of one byte each", _play(_crumbs), "comes in crumbs"),
        ("packs 50 MB into 50 kB", packed(zeros), LARGE),
        ("packs them twice and says so", packed(gzip.compress(zeros), "gzip, gzip"),
         "which was not asked for"),
        ("packs in a way that nobody asked for", packed(COUNT, "br"), "which was not asked for"),
        ("packs with deflate, which nobody asked for", packed(zlib.compress(COUNT), "deflate"),
         "which was not asked for"),
        ("says that it packs, and does not", packed(COUNT), "not gzip, though it says so"),
        ("stops in the middle of what is packed", packed(gzip.compress(COUNT)[:-9]), CUT),
        ("sends a wrong checksum", packed(gzip.compress(COUNT)[:-8] + bytes(8)),
         "not gzip, though it says so"),
        ("appends something to what is packed", packed(gzip.compress(COUNT) + b"more"),
         "not gzip, though it says so"),
        ("sends a million empty lists", said(b'{"count":[' + b"[]," * 300_000 + b"[]]}"),
         "that is no certain count"),
    ):  # fmt: skip
        yield Behaviour(group=group, does=does, reply=reply, says=says)


def _huge(wire: http_server.Wire) -> None:
    wire.send(head(f"Content-Length: {10**13}"))
    wire.forever(b" " * 10_000)


def _redirects() -> Iterator[Behaviour]:
    group = "Redirects"
    http_only = "only http and https addresses are asked"
    for does, target, why in (
        ("sends us to a file", "file:///etc/passwd", http_only),
        ("sends us to a file of its own machine", "file://127.0.0.1/etc/passwd", http_only),
        ("sends us to another protocol", "gopher://127.0.0.1:70/1", http_only),
        ("sends us to data in the address", "data:application/json,250", ""),
        ("sends us to another port of its machine", "http://127.0.0.1:22/", "to another port"),
        ("sends us to `localhost`", "http://localhost/", KIND),
        ("sends us to a name below `localhost`", "http://a.localhost/", KIND),
        ("sends us to 127.2", "http://127.2/", SPELLING),
        ("sends us to 2130706434", "http://2130706434/", SPELLING),
        ("sends us to 0x7f000001", "http://0x7f000001/", SPELLING),
        ("sends us to 0177.0.0.1", "http://0177.0.0.1/", SPELLING),
        ("sends us to 0", "http://0/", SPELLING),
        ("sends us to full-width digits", "http://\uff11\uff12\uff17.\uff12/", SPELLING),
        ("sends us to [::1]", "http://[::1]/", KIND),
        ("sends us to [::ffff:127.0.0.1]", "http://[::ffff:127.0.0.1]/", KIND),
        ("sends us to [::ffff:7f00:1]", "http://[::ffff:7f00:1]/", KIND),
        ("sends us to 10.0.0.1", "http://10.0.0.1/", KIND),
        ("sends us to 192.168.1.1", "http://192.168.1.1/admin", KIND),
        ("sends us to 169.254.169.254, where clouds keep keys",
         "http://169.254.169.254/latest/meta-data/", KIND),
        ("sends us to 0.0.0.0", "http://0.0.0.0/", KIND),
        ("sends us to a name of a network inside", "http://router.lan/", KIND),
        ("sends us to another host", "https://elsewhere.example.org/", KIND),
        ("hides a host behind `user@`", "http://127.0.0.1@10.0.0.1/", "a user name or password"),
        ("hides a host behind a backslash", "http://127.0.0.1\\@10.0.0.1/", "a character that"),
        ("sends us to an address with a line end", "http://127.0.0.1/\tx", "a character that"),
        ("sends us to what is no address", "http://[::1/", "it is no web address"),
    ):  # fmt: skip
        encoded = target.encode().decode("latin-1")
        reply = http_server.redirect(encoded)
        yield Behaviour(group=group, does=does, reply=reply, says=why or http_only)
    loop = "it sends us on more than 5 times"
    yield Behaviour(
        group=group, does="sends us in a circle", says=loop,
        reply=lambda request: http_server.redirect(request.path),
    )  # fmt: skip
    yield Behaviour(
        group=group, does="sends us on and on", says=loop,
        reply=lambda request: http_server.redirect(f"{request.path}/on"),
    )  # fmt: skip
    yield Behaviour(
        group=group, does="sends us on and does not say where",
        reply=http_server.Answer(status=302), says="does not say where to go",
    )  # fmt: skip


def _statuses() -> Iterator[Behaviour]:
    group = "Refusals"
    date = (NOW + dt.timedelta(hours=2)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    for does, status, headers, says, wait in (
        ("says that we may not: 401", 401, {}, "we may not read this", None),
        ("says that we may not: 403", 403, {}, "we may not read this", None),
        ("says that there is nothing: 404", 404, {}, "nothing is there", None),
        ("says that there is nothing any more: 410", 410, {}, "nothing is there", None),
        ("asks for two hours of quiet, in seconds", 429, {"Retry-After": "7200"},
         "asked too often", 7200.0),
        ("asks for quiet until a time", 429, {"Retry-After": date}, "asked too often", 7200.0),
        ("asks for a hundred years of quiet", 503, {"Retry-After": "3153600000"},
         "cannot answer now", 86_400.0),
        ("asks for quiet in a way nobody understands", 503, {"Retry-After": "soon"},
         "cannot answer now", None),
        ("is out of order, and shows a page that holds a number", 503, {}, "cannot answer now",
         None),
        ("fails inside", 500, {}, "cannot answer now", None),
        ("sends a part that nobody asked for: 206", 206, {}, "it answers 206", None),
        ("says that nothing has changed, though nobody asked", 304, {}, "though nobody asked",
         None),
    ):  # fmt: skip
        page = b"<html><body>250 people have signed</body></html>"
        reply = http_server.Answer(status=status, headers=headers, body=page)
        yield Behaviour(group=group, does=does, reply=reply, says=says, retry_after=wait)
    yield Behaviour(
        group=group, does="answers with nothing: 204", reply=http_server.Answer(status=204),
        says="the answer is empty",
    )  # fmt: skip


def _contents() -> Iterator[Behaviour]:
    group = "The number"
    page, count = "the answer is a web page, not JSON", "that is no certain count"
    beyond = "a number or a depth beyond reason"
    for does, reply, says in (
        ("sends a page to log in at, with 200", said(LOGIN, "text/html"), page),
        ("calls that page JSON", said(LOGIN), page),
        ("sends nothing, with 200", said(b""), "the answer is empty"),
        ("sends UTF-16", said('{"count": 250}'.encode("utf-16")), "it is not UTF-8"),
        ("sends bytes that are no text", said(b'{"count": 250, "\xff": 1}'), "it is not UTF-8"),
        ("says NaN", said('{"count": NaN}'), beyond),
        ("says Infinity", said('{"count": Infinity}'), beyond),
        ("gives the count twice", said('{"count": 250, "count": 5}'), "the key 'count' twice"),
        ("sends two answers in one", said('{"count": 250}{"count": 5}'), "not JSON: extra data"),
        ("sends single quotes", said("{'count': 250}"), "the answer is not JSON"),
        ("nests 100,000 lists", said("[" * 100_000 + "]" * 100_000), beyond),
        ("sends a number of 10,000 digits", said('{"count": 1' + "0" * 10_000 + "}"), beyond),
        ("says that more have signed than live", said('{"count": 900000000000}'), count),
        ("says -5", said('{"count": -5}'), count),
        ("says true", said('{"count": true}'), count),
        ("says null", said('{"count": null}'), "finds nothing in the answer"),
        ("says 250.0", said('{"count": 250.0}'), count),
        ("says 25e1", said('{"count": 25e1}'), count),
        ('says "1.2k"', said('{"count": "1.2k"}'), count),
        ('says "1,250 people"', said('{"count": "1,250 people"}'), count),
        ("says a list", said('{"count": [250]}'), count),
        ("says nothing of a count", said('{"error": "later"}'), "finds nothing in the answer"),
        ("says that nobody has signed, after many had", said('{"count": 0}'),
         "nobody has signed, after 120 had"),
    ):  # fmt: skip
        yield Behaviour(group=group, does=does, reply=reply, says=says)
    for does, value, number, taken in (
        ("says a hundred times as many", b'{"count": 12000}', 12_000,
         "stored; milestones wait for a second reading and a person"),
        ("says a quarter as many", b'{"count": 30}', 30,
         "stored; milestones wait for a second reading and a person"),
        ("counts two down", b'{"count": 118}', 118,
         "taken: signatures are withdrawn; a milestone is crossed once only"),
    ):  # fmt: skip
        yield Behaviour(group=group, does=does, reply=said(value), count=number, taken=taken)
    yield Behaviour(
        group=group, does="calls JSON a web page", reply=said(COUNT, "text/html"), count=250,
        crosses=(200,), taken="taken: many a platform does, and it is JSON",
    )  # fmt: skip
    yield Behaviour(
        group=group, does="begins with a byte order mark", reply=said(b"\xef\xbb\xbf" + COUNT),
        count=250, crosses=(200,), taken="taken",
    )  # fmt: skip


LISTS = """\
kind = "http-json"
count = "count"
signers = "people"
next = "next"
order = "oldest"
columns = { id = "id", name = "name" }
"""


def _sheet(people: object, after: str = "") -> http_server.Answer:
    return http_server.json({"count": GOOD, "people": people, "next": after or None})


def _person(number: int) -> dict[str, str]:
    return {"id": f"p{number}", "name": f"Person {number}"}


def _endless_pages(request: http_server.Request) -> http_server.Answer:
    """Each page names somebody new, and the next page."""
    page = int(request.query.get("page", "1"))
    return _sheet([_person(page)], f"?page={page + 1}")


def _circle(request: http_server.Request) -> http_server.Answer:
    page = int(request.query.get("page", "1"))
    return _sheet([_person(page)], f"?page={page % 3 + 1}")


def _same_page(request: http_server.Request) -> http_server.Answer:
    page = int(request.query.get("page", "1"))
    return _sheet([_person(1), _person(2)], f"?page={page + 1}")


def _breaks_off(request: http_server.Request) -> http_server.Reply:
    if "page" in request.query:
        return sized(b'{"count": 120, "people": [{"id"', size=9999)
    return _sheet([_person(1)], "?page=2")


def _lists() -> Iterator[Behaviour]:
    group = "Lists"
    honest = _sheet([])
    again, elsewhere = "it gives the same page again", "which is not asked"
    for does, reply, says, deadline in (
        ("gives pages without end, each with somebody new", _endless_pages, LATE, "1s"),
        ("leads from page to page in a circle", _circle, again, "1m"),
        ("gives the same page under ever new addresses", _same_page, again, "1m"),
        ("stops in the middle of its second page", _breaks_off, CUT, "1m"),
        ("names a file as its next page", _sheet([_person(1)], "file:///etc/passwd"),
         "only http and https addresses are asked", "1m"),
        ("names a machine inside as its next page", _sheet([_person(1)], "http://10.0.0.1/"),
         elsewhere, "1m"),
        ("names another host as its next page",
         _sheet([_person(1)], "https://elsewhere.example.org/"), elsewhere, "1m"),
        ("gives a number in place of the list", _sheet(7), "finds something that is no list", "1m"),
        ("gives a list in place of the answer", http_server.json([1, 2]),
         "finds nothing in the answer", "1m"),
    ):  # fmt: skip
        yield Behaviour(
            group=group, does=does, reply=reply, says=says, deadline=deadline,
            section=LISTS, honest=honest,
        )  # fmt: skip


PAGES = 'kind = "http-html"\ncount = ".signed"'


def _page(*counts: str, more: str = "") -> http_server.Answer:
    """Return a petition page that shows these numbers."""
    shown = "".join(f'<p class="signed">{count}</p>' for count in counts)
    return http_server.text(f"<!DOCTYPE html><html><body>{shown}{more}</body></html>")


def _pages() -> Iterator[Behaviour]:
    group = "Web pages"
    count, none = "that is no certain count", "there is no number on the page"
    hidden = '<script>document.write("<p class=signed>250</p>")</script>'
    for does, reply, says in (
        ("shows two numbers", _page("250", "300"), "the page shows different numbers: 250 and 300"),
        ('shows "1.2k"', _page("1.2k"), count),
        ('shows "250+"', _page("250+"), count),
        ('shows "-250"', _page("-250"), count),
        ('shows "250 of 500"', _page("250 of 500"), count),
        ('shows "2,50"', _page("2,50"), count),
        ("shows no number", _page("Many have signed"), count),
        ("shows its number by a script only", _page(more=hidden), none),
        ("shows a page to log in at, with 200", http_server.text(LOGIN), none),
        ("stops in the middle and promised no length",
         http_server.sends(head("Content-Type: text/html") + b'<html><p class="signed">25'), CUT),
        ("nests 100,000 elements", _page(more="<div>" * 100_000 + '<p class="signed">250</p>'),
         "more than 400 deep"),
        ("sends JSON in place of the page", said(COUNT), "the answer is no web page"),
    ):  # fmt: skip
        yield Behaviour(
            group=group, does=does, reply=reply, says=says, section=PAGES,
            honest=_page(f"{GOOD}"),
        )  # fmt: skip


BEHAVIOURS: tuple[Behaviour, ...] = (
    *_connections(),
    *_protocol(),
    *_sizes(),
    *_redirects(),
    *_statuses(),
    *_contents(),
    *_lists(),
    *_pages(),
)

PAGE = """\
# What a source may do, and what happens then

This page is made by `python tests/hostile_source.py` from the tests.

Each line is a way of a platform, or of somebody who has taken it over, to answer wrongly.
The test for each line looks that the last good count stays, that no milestone is crossed,
that another campaign is read meanwhile, and that `status` says what stands on the right.
"""


def page() -> str:
    """Return the page of the documentation."""
    lines = [PAGE.rstrip()]
    group = ""
    for one in BEHAVIOURS:
        if one.group != group:
            group = one.group
            lines.append(f"\n## {group}\n\n| the source | what happens |\n|---|---|")
        outcome = one.taken or f'failed: "{one.says}"'
        if one.retry_after is not None:
            outcome += f"; left alone for {one.retry_after / 3600:.0f} hours"
        does = one.does.replace("|", "\\|")
        lines.append(f"| {does} | {outcome} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
