"""The one door to HTTP: polite to those it asks, and distrustful of what they answer.

It asks conditionally, waits as long as it is told to, tries again a few times,
and says who it is.  It follows no redirect to another kind of host, connects to
no private number unless the campaign names it, unpacks nothing beyond a size,
takes nothing whose end was not seen, and ends with the deadline of the reading.
Credentials go to the host of their [access.NAME] and nowhere else.

h11 parses the protocol and does nothing besides, so that the connections are
our own: see wire.py.  No proxy is used, whatever the environment says: a proxy
looks names up itself, and what it connects to could not be checked here.
"""

from __future__ import annotations

import dataclasses
import io
import random
import ssl
from collections.abc import Mapping
from typing import BinaryIO, Self

from deliverybot import errors, origins
from deliverybot.sources import answers, asking, hosts, kinds, unpack, wire

Answer = answers.Answer

#: Redirects that one request follows.
HOPS = 5
#: How often one thing is asked for, and seconds before the second time; then it is three times.
TRIES, BACKOFF = 3, 1.0
#: Seconds that a host may make us wait within one reading; a longer wait ends the reading.
PATIENCE = 10.0
_MOVED = frozenset({301, 302, 303, 307, 308})
_GOOD = frozenset({200, 201, 202, 203, 204})
_EMPTY, _UNCHANGED, _OFTEN, _ERROR = 204, 304, 429, 500
_DICE = random.SystemRandom()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """One thing to ask for."""

    method: str
    headers: Mapping[str, str]
    body: bytes = b""
    into: BinaryIO
    state: str = ""
    #: Whether it may be asked a second time.
    again: bool = True


class _Busy(Exception):
    """The host answered that it cannot answer now."""

    def __init__(self, status: int, place: hosts.Place, seconds: float | None) -> None:
        super().__init__(status)
        self.status = status
        self.place = place
        self.seconds = seconds


class Door:
    """All that one reading asks over the network; its connections are used again."""

    def __init__(
        self,
        errand: kinds.Errand,
        *,
        token_header: str = "Authorization",  # noqa: S107 - the name of a header
    ) -> None:
        """Begin a reading.

        The token of the section's account goes into `token_header`, behind
        "Bearer" where that is Authorization.
        """
        section = errand.section
        if not isinstance(section, origins.Fetched):
            raise TypeError(f"{type(section).__name__} is not asked over the network")
        self._section = section
        self._asker = asking.Asker(errand, section, token_header)
        means = errand.means
        self._budget = wire.Budget(
            section.deadline_seconds, errand.pause, clock=means.clock, sleep=means.sleep
        )
        self._lines: dict[tuple[str, str, int], wire.Line] = {}
        self._tls: ssl.SSLContext | None = None

    def __enter__(self) -> Self:
        """Nothing is opened before it is needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        for line in self._lines.values():
            line.close()
        self._lines.clear()

    def left(self) -> float:
        """Return the seconds that the reading may still take."""
        return self._budget.left()

    def get(self, url: str, *, headers: Mapping[str, str] = {}, state: str = "") -> Answer | None:
        """Ask for an address; None where it is as it was at `state`, that of an earlier answer.

        The first address of a door is the campaign's own; those that follow
        may come from its answers and must lead where a redirect may lead.

        Raises:
            errors.SourceError: There is no good answer, within the time and the size.
        """
        body = io.BytesIO()
        found = self._ask(url, _Request(method="GET", headers=headers, into=body, state=state))
        return found and dataclasses.replace(found, raw=body.getvalue())

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] = {}, again: bool = False
    ) -> Answer:
        """Send something to an address, once; `again` tells that it only asks and may be repeated.

        Raises:
            errors.SourceError: As above.
        """
        into = io.BytesIO()
        found = self._ask(
            url, _Request(method="POST", headers=headers, body=body, into=into, again=again)
        )
        if found is None:
            raise TypeError("nothing was asked conditionally")
        return dataclasses.replace(found, raw=into.getvalue())

    def download(self, url: str, into: BinaryIO, *, state: str = "") -> Answer | None:
        """Write what an address answers into a file; None where it is as it was at `state`.

        Raises:
            errors.SourceError: As above; what was written by then is not to be used.
        """
        return self._ask(url, _Request(method="GET", headers={}, into=into, state=state))

    def _ask(self, url: str, request: _Request) -> Answer | None:
        """Ask until there is an answer, as often as is decent."""
        place = hosts.Place.of(url)
        self._asker.begin(place)
        tries = TRIES if request.again else 1
        start = request.into.tell()
        for turn in range(1, tries + 1):
            request.into.seek(start)
            request.into.truncate()
            wait = BACKOFF * 3 ** (turn - 1) * _DICE.uniform(0.5, 1.5)
            try:
                return self._follow(place, request)
            except wire.Late:
                raise self._late(place) from None
            except wire.Refused as error:
                raise errors.SourceError(str(error), hint=error.hint, file=str(place)) from None
            except wire.Broken as error:
                if turn == tries:
                    hint = "the next reading tries again" if tries > 1 else ""
                    raise errors.SourceError(str(error), hint=hint, file=str(place)) from None
            except _Busy as error:
                wait = max(wait, error.seconds or 0.0)
                if turn == tries or wait > min(PATIENCE, self.left()):
                    raise _busy(error) from None
            self._rest(place, wait)
        raise AssertionError("the last try returns or raises")

    def _rest(self, place: hosts.Place, seconds: float) -> None:
        try:
            self._budget.sleep(seconds)
        except wire.Late:
            raise self._late(place) from None

    def _late(self, place: hosts.Place) -> errors.SourceError:
        return errors.SourceError(
            f"the reading was ended after {self._section.deadline}",
            hint='`deadline` in this section says how long one may take, such as "30m"',
            file=str(place),
        )

    def _follow(self, asked: hosts.Place, request: _Request) -> Answer | None:
        """Ask, and follow redirects that lead to no other kind of host."""
        place, has_left = asked, False
        for _ in range(HOPS + 1):
            conditions = self._asker.conditions(asked, place, request.state)
            headers = self._asker.headers(place, request.headers, conditions, has_left=has_left)
            if request.method == "POST":
                headers["Content-Length"] = str(len(request.body))
            try:
                line, head = self._head(place, request, headers)
                if head.status not in _MOVED:
                    self._check(head, place, is_conditional=bool(conditions))
                    answer = self._taken(line, head, place, request)
                    state = self._asker.state(asked, place, head.headers)
                    return answer and dataclasses.replace(answer, state=state)
            except BaseException:
                self._drop(place)
                raise
            self._drop(place)
            place = _moved(head, place, request)
            has_left = has_left or place.host != asked.host
        raise wire.Refused(f"it sends us on more than {HOPS} times")

    def _head(
        self, place: hosts.Place, request: _Request, headers: Mapping[str, str]
    ) -> tuple[wire.Line, wire.Head]:
        """Ask; a connection that was closed since the last answer is replaced once."""
        line = self._line(place)
        try:
            return line, line.ask(request.method, place.target, headers, request.body)
        except wire.Broken:
            if not line.used or not request.again:
                raise
        self._drop(place)
        line = self._line(place)
        return line, line.ask(request.method, place.target, headers, request.body)

    def _line(self, place: hosts.Place) -> wire.Line:
        """Return a connection to a host, one that is open where there is one."""
        line = self._lines.get(place.origin)
        if line is None or not line.is_free:
            self._drop(place)
            own = self._asker.is_own(place)
            line = wire.Line(place, self._budget, own=own, tls=self._context)
            self._lines[place.origin] = line
        return line

    def _drop(self, place: hosts.Place) -> None:
        line = self._lines.pop(place.origin, None)
        if line is not None:
            line.close()

    def _context(self) -> ssl.SSLContext:
        self._tls = self._tls or ssl.create_default_context()
        return self._tls

    def _check(self, head: wire.Head, place: hosts.Place, *, is_conditional: bool) -> None:
        """Raise what a status that is no good answer means for us."""
        status = head.status
        if status in _GOOD or (status == _UNCHANGED and is_conditional):
            return
        if status == _UNCHANGED:
            raise wire.Refused("it says that nothing has changed, though nobody asked that")
        seconds = self._asker.seconds(head.headers)
        if status == _OFTEN or status >= _ERROR:
            raise _Busy(status, place, seconds)
        what, hint = f"it answers {status}", ""
        if status in {401, 403}:
            what += ", which means that we may not read this"
            hint = self._asker.account_hint(place)
        elif status in {404, 410}:
            what += ", which means that nothing is there"
            hint = "open the address yourself; the petition may have moved"
        raise errors.SourceError(
            what, hint=hint, file=str(place), retry_after=seconds, status=status
        )

    def _taken(
        self, line: wire.Line, head: wire.Head, place: hosts.Place, request: _Request
    ) -> Answer | None:
        """Read an answer to its end; None where nothing has changed."""
        packing = head.headers.get("content-encoding", "")
        for piece in unpack.unpacked(line.body(), packing, self._section.most_bytes):
            request.into.write(piece)
        if head.status == _UNCHANGED:
            return None
        has_end = {"content-length", "transfer-encoding"} & head.headers.keys()
        return Answer(
            status=head.status,
            headers=head.headers,
            url=str(place),
            # A packed answer shows its own end, and so does one that has no content.
            is_whole=bool(has_end) or "gzip" in packing.lower() or head.status == _EMPTY,
        )


def _moved(head: wire.Head, place: hosts.Place, request: _Request) -> hosts.Place:
    """Return where a redirect leads, if we go there."""
    target = head.headers.get("location", "").encode("latin-1").decode("utf-8", "replace")
    if not target:
        raise wire.Refused(f"it answers {head.status} and does not say where to go")
    try:
        new = hosts.Place.of(place.joined(target))
        shown, why = str(new), hosts.may_lead(place, new)
    except hosts.NotAsked as error:
        new, shown, why = place, error.shown, error.why
    if not why and request.method != "GET":
        why = "what is sent goes to the campaign's own address only"
    if why:
        raise wire.Refused(f"it sends us to {shown}, which is not asked: {why}")
    return new


def _busy(error: _Busy) -> errors.SourceError:
    what = f"it answers {error.status}, which means that it cannot answer now"
    if error.status == _OFTEN:
        what = f"it answers {error.status}, which means that it is asked too often"
    hint = "the next reading tries again; if that lasts, ask whoever runs it"
    return errors.SourceError(
        what, hint=hint, file=str(error.place), retry_after=error.seconds, status=error.status
    )
