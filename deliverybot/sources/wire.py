"""Connections that cannot outlast a reading: each wait is short, and looks at clock and stop.

No socket here ever blocks.  So a host that drips a byte a second, that sends
headers without end or that says nothing at all ends with the deadline, and a
stop of the process ends a reading wherever it hangs.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import queue
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import h11

from deliverybot.sources import hosts

_T = TypeVar("_T")

#: Seconds between two looks at the clock and at whether we are to stop.
SLICE = 0.25
#: Seconds that the other side may say nothing.
SILENCE = 30.0
#: Seconds until one of the host's numbers must have answered.
CONNECTING = 10.0
#: Bytes taken from a connection at once.
PIECE = 65_536
#: Bytes of all headers together, and their number.
HEADERS, MOST_HEADERS = 65_536, 100
#: Answers that only announce the answer.
ANNOUNCED = 10
#: How every answer begins.
_GREETING = b"HTTP/"
_NO_HTTP = "what came is not HTTP, or has headers without end"


class Broken(Exception):
    """The connection was not made, or ended before its time; trying again may help."""


class Refused(Exception):
    """What came is not taken; trying again would bring the same."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        #: What a person can do about it.
        self.hint = hint


class Late(Exception):
    """The reading has used up its time."""


class Budget:
    """The time that a reading has, and whether the process is to stop."""

    def __init__(
        self,
        seconds: float,
        pause: Callable[[], None],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._clock = clock
        self._pause = pause
        self._sleep = sleep
        self._end = clock() + seconds

    def now(self) -> float:
        """Return the time of the clock that the budget goes by, in seconds."""
        return self._clock()

    def left(self) -> float:
        """Return the seconds that are left."""
        return max(0.0, self._end - self._clock())

    def check(self) -> None:
        """Raise `Late`, or what the stop of the process raises."""
        self._pause()
        if self._clock() >= self._end:
            raise Late

    def sleep(self, seconds: float) -> None:
        """Wait before the next try."""
        while seconds > 0:
            self.check()
            self._sleep(min(seconds, SLICE))
            seconds -= SLICE


class Head(NamedTuple):
    """How an answer begins."""

    status: int
    #: Names in small letters; what came several times is joined with commas.
    headers: dict[str, str]


class Line:
    """One connection to one host, and the conversation on it."""

    def __init__(
        self, place: hosts.Place, budget: Budget, *, own: bool, tls: Callable[[], ssl.SSLContext]
    ) -> None:
        """Connect; `own` allows numbers that are not of the public network.

        Raises:
            Broken: Nobody answers there.
            Refused: The name leads to a number that is not asked.
        """
        self._budget = budget
        self._socket = _connect(place, budget, own=own)
        self._talk = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADERS)
        self._begin = b""
        #: Whether an answer came over it: it may have been closed since, which is no fault.
        self.used = False
        if place.scheme == "https":
            try:
                self._secure(place.host, tls())
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Head:
        """Send a request and return the head of the answer."""
        try:
            words = list(headers.items())
            request = self._talk.send(h11.Request(method=method, target=target, headers=words))
        except h11.LocalProtocolError:
            # Not in its own words: they hold the header, and that may be a secret.
            what = "this cannot be asked: a header or a secret has a character that none may have"
            raise Refused(what) from None
        self._begin = b""
        self._send((request or b"") + (self._talk.send(h11.Data(data=body)) or b""))
        self._talk.send(h11.EndOfMessage())
        for _ in range(ANNOUNCED):
            event = self._next()
            if isinstance(event, h11.Response):
                return _head(event)
            if not isinstance(event, h11.InformationalResponse):
                raise Broken("the connection ended before the answer")
        raise Refused("the answer is announced again and again, and does not come")

    def body(self) -> Iterator[bytes]:
        """Give the answer's bytes as they come; it is whole when this ends without an error."""
        while True:
            event = self._next()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                raise Broken("the answer was cut off")
        self.used = True
        is_done = self._talk.our_state is h11.DONE and self._talk.their_state is h11.DONE
        # What stands behind the answer would be taken for the answer to the next request.
        if is_done and not self._talk.trailing_data[0]:
            self._talk.start_next_cycle()

    @property
    def is_free(self) -> bool:
        """Whether another request may be sent."""
        return self._talk.our_state is h11.IDLE

    def _next(self) -> object:
        try:
            while (event := self._talk.next_event()) is h11.NEED_DATA:
                data = self._receive()
                if len(self._begin) < len(_GREETING):
                    self._begin = (self._begin + data)[: len(_GREETING)]
                    if not _GREETING.startswith(self._begin):
                        raise Refused(_NO_HTTP)
                self._talk.receive_data(data)
        except h11.RemoteProtocolError:
            if self._talk.trailing_data[1]:
                raise Broken("the answer was cut off") from None
            raise Refused(_NO_HTTP) from None
        return event

    def _secure(self, host: str, context: ssl.SSLContext) -> None:
        """Shake hands; the certificate is checked against the host."""
        try:
            tls = context.wrap_socket(
                self._socket, server_hostname=host,
                do_handshake_on_connect=False, suppress_ragged_eofs=False,
            )  # fmt: skip
            self._socket = tls
            self._patiently(tls.do_handshake)
        except ssl.SSLCertVerificationError as error:
            what = f"its certificate is not to be trusted: {error.verify_message}"
            hint = "see whether this machine's date is right; an authority of your own is told in "
            raise Refused(what, hint + "the environment as SSL_CERT_FILE") from None

    def _receive(self) -> bytes:
        self._budget.check()
        return self._patiently(functools.partial(self._socket.recv, PIECE))

    def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._budget.check()
            rest = rest[self._patiently(functools.partial(self._socket.send, rest)) :]

    def _patiently(self, act: Callable[[], _T]) -> _T:
        while True:
            try:
                return act()
            except (BlockingIOError, ssl.SSLWantReadError):
                _wait(self._socket, select.POLLIN, self._budget, SILENCE)
            except ssl.SSLWantWriteError:
                _wait(self._socket, select.POLLOUT, self._budget, SILENCE)
            except ssl.SSLCertVerificationError:
                raise
            except OSError as error:
                raise Broken(f"the connection broke: {_why(error)}") from None


def _wait(sock: socket.socket, event: int, budget: Budget, silence: float) -> None:
    poll = select.poll()
    poll.register(sock, event)
    end = budget.now() + silence
    while True:
        budget.check()
        seconds = min(SLICE, budget.left(), max(0.0, end - budget.now()))
        if poll.poll(int(seconds * 1000) + 1):
            return
        if budget.now() >= end:
            raise Broken(f"the other side said nothing for {silence:.0f} seconds")


def _connect(place: hosts.Place, budget: Budget, *, own: bool) -> socket.socket:
    """Connect to the first of the host's numbers that may be asked and answers."""
    found = _look_up(place, budget)
    numbers = [one for one in found if own or hosts.is_global(one[1][0])]
    if not numbers:
        hint = "private = true in this section, if its host is meant to be in your own network"
        raise Refused("its name leads to a private address", hint)
    problem = "nobody answers there"
    for family, address in numbers:
        budget.check()
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)  # noqa: FBT003 - its only form
            code = sock.connect_ex(address)
            if code == errno.EINPROGRESS:
                _wait(sock, select.POLLOUT, budget, CONNECTING)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                return sock
            problem = f"there is no connection: {os.strerror(code)}"
        except (Broken, OSError) as error:
            problem = f"there is no connection: {_why(error)}"
        except BaseException:
            sock.close()
            raise
        sock.close()
    raise Broken(problem)


def _head(event: h11.Response) -> Head:
    headers: dict[str, str] = {}
    for raw_name, raw_value in event.headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    size = sum(len(name) + len(value) for name, value in event.headers)
    if len(event.headers) > MOST_HEADERS or size > HEADERS:
        raise Refused("the answer has more headers than any honest one")
    return Head(event.status_code, headers)


_Number = tuple[socket.AddressFamily, tuple[str, int]]


def _look_up(place: hosts.Place, budget: Budget) -> list[_Number]:
    """Ask for the host's numbers, in a thread: that call can hang and cannot be ended."""
    box: queue.SimpleQueue[list[_Number] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
            box.put([(answer[0], answer[4]) for answer in answers])  # type: ignore[misc]
        except OSError as error:
            box.put(error)

    threading.Thread(target=ask, daemon=True, name="look-up").start()
    while True:
        budget.check()
        try:
            found = box.get(timeout=SLICE)
        except queue.Empty:
            continue
        if isinstance(found, OSError):
            raise Broken(f"its name is not known: {_why(found)}")
        return found


def _why(error: Exception) -> str:
    """Return the reason without what libraries add to it."""
    return str(getattr(error, "strerror", "") or error)
