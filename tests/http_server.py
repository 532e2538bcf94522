"""A real HTTP server on loopback that answers as a test says.

::

    with http_server.running({"/count.json": http_server.json({"count": 12})}) as server:
        server.url("/count.json")
        server.requests[0].headers["user-agent"]

An answer is an `Answer`, or a callable that is given the `Request` and returns
one.  Instead of a mapping from path to answer, one callable for all paths may
be given.  `raw` hands the socket itself to the test, for what no honest server
does.
"""

# ruff: noqa: ANN401, N815 - JSON is anything, and the names are http.server's

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json as json_module
import select
import socket
import ssl
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What a client asked."""

    method: str
    #: Without the query.
    path: str
    query: dict[str, str]
    #: Names in small letters.
    headers: dict[str, str]
    body: bytes
    #: Which connection it came over, from 1.
    connection: int

    def json(self) -> Any:
        return json_module.loads(self.body)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What is sent back; the length is added where no header says it."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Raw:
    """A function that is given the socket once the request has been read."""

    play: Callable[[Wire], None]


@dataclasses.dataclass(frozen=True)
class Wire:
    """The socket of one connection, and the end of the test."""

    socket: socket.socket
    request: Request
    #: Set when the server is to end: whoever waits, waits for this.
    over: threading.Event

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def drip(self, data: bytes, seconds: float = 0.05) -> None:
        """Send a byte at a time, until the client has gone or the test is over."""
        for byte in data:
            if self.over.wait(seconds):
                return
            self.socket.sendall(bytes([byte]))

    def forever(self, data: bytes, pause: float = 0.0) -> None:
        """Send the same again and again, until the client has gone or the test is over."""
        while not self.over.wait(pause):
            self.socket.sendall(data)

    def hang(self) -> None:
        """Say nothing until the client has gone or the test is over."""
        self.socket.settimeout(0.05)
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                if not self.socket.recv(4096):
                    return


Reply = Answer | Raw
Handler = Callable[[Request], Reply]


def text(body: str, content_type: str = "text/html; charset=utf-8", **more: Any) -> Answer:
    headers = {"Content-Type": content_type, **more.pop("headers", {})}
    return Answer(body=body.encode(), headers=headers, **more)


def json(value: object, **more: Any) -> Answer:
    return text(json_module.dumps(value), "application/json", **more)


def raw(play: Callable[[Wire], None]) -> Raw:
    return Raw(play)


def sends(data: bytes) -> Raw:
    """Send these bytes as they are and close the connection."""
    return Raw(lambda wire: wire.send(data))


def stalls(data: bytes) -> Raw:
    """Send these bytes as they are, and nothing more while the client waits."""

    def play(wire: Wire) -> None:
        wire.send(data)
        wire.hang()

    return Raw(play)


@contextlib.contextmanager
def deaf(calls: int = 3) -> Iterator[socket.socket]:
    """A port whose queue is full: a call there is neither answered nor refused.

    `calls` of ours fill it; all but the first of them wait, too.
    """
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for n in range(calls):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(server.getsockname())
            if not n:  # the kernel may let in two that come at once
                select.select([server], [], [])
        yield server


@contextlib.contextmanager
def nobody() -> Iterator[int]:
    """A port where every call is refused; it is held, so that nobody else listens there soon."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


@contextlib.contextmanager
def held_ports(count: int) -> Iterator[list[int]]:
    """Give ports on loopback for servers that set SO_REUSEADDR; nobody else is given them."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", 0))
        yield [int(one.getsockname()[1]) for one in sockets]


def redirect(target: str, status: int = 302) -> Answer:
    return Answer(status=status, headers={"Location": target})


def in_turn(*replies: Reply | Handler) -> Handler:
    """Answer with each in turn; the last one stays."""
    left, lock = list(replies), threading.Lock()

    def answer(request: Request) -> Reply:
        with lock:
            found = left.pop(0) if len(left) > 1 else left[0]
        return _resolve(found, request)

    return answer


def _resolve(found: Reply | Handler, request: Request) -> Reply:
    return found if isinstance(found, Answer | Raw) else found(request)


class Server:
    """A running server and all that it was asked."""

    def __init__(
        self, answers: Handler | Mapping[str, Reply | Handler], tls: ssl.SSLContext | None
    ) -> None:
        self.tls = tls
        #: May be changed while it runs.
        self.answers = answers
        self.requests: list[Request] = []
        #: What went wrong in the server itself; a client that has gone is nothing wrong.
        self.troubles: list[BaseException] = []
        self.connections = 0
        self.over = threading.Event()
        self._came = threading.Condition()
        self._http = _Http(self)
        self.port = int(self._http.server_address[1])

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{host}:{self.port}{path}"

    def asked(self, path: str) -> Sequence[Request]:
        """The requests for one path."""
        return [request for request in self.requests if request.path == path]

    def reply(self, request: Request) -> Reply:
        if callable(self.answers):
            return _resolve(self.answers, request)
        found = self.answers.get(request.path)
        return Answer(status=404) if found is None else _resolve(found, request)

    def wait_for(self, count: int, seconds: float = 60) -> None:
        """Wait until so many requests have come."""
        with self._came:
            if not self._came.wait_for(lambda: len(self.requests) >= count, seconds):
                raise TimeoutError(f"{len(self.requests)} requests came, not {count}")

    def connected(self) -> int:
        """Count a connection; return its number."""
        with self._came:
            self.connections += 1
            return self.connections

    def note(self, request: Request) -> None:
        with self._came:
            self.requests.append(request)
            self._came.notify_all()


@contextlib.contextmanager
def running(
    answers: Handler | Mapping[str, Reply | Handler], *, tls: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """Start a server, one that speaks TLS if wanted; what went wrong in it is raised at the end."""
    server = Server(answers, tls)
    thread = threading.Thread(target=server._http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server._http.shutdown()
        thread.join()
        server._http.server_close()
    if server.troubles:
        raise server.troubles[0]


class _Http(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True
    request_queue_size = 64

    def __init__(self, server: Server) -> None:
        self.ours = server
        super().__init__(("127.0.0.1", 0), _Connection)

    def server_bind(self) -> None:
        # Without the look-up of our own name, which may take seconds.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", int(self.server_address[1])

    def shutdown_request(self, request: Any) -> None:
        # A connection that holds unread bytes would be reset, and the answer lost.
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_WR)
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        trouble = sys.exception()
        if trouble is not None and not isinstance(trouble, OSError):
            self.ours.troubles.append(trouble)


class _Connection(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    #: Head and body are sent apart; the second would wait 40 ms for the client's delayed answer.
    disable_nagle_algorithm = True
    server: _Http
    #: Between two requests: a client that has gone is noticed by then.
    timeout = 30

    def setup(self) -> None:
        self._number = self.server.ours.connected()
        if self.server.ours.tls is not None:
            self.request = self.server.ours.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            if self.server.ours.tls is not None:
                # The server itself knows only the socket below this one.
                self.request.close()

    def do_GET(self) -> None:
        parts, size = urllib.parse.urlsplit(self.path), int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        if len(body) < size:  # its client was killed: nobody takes a half
            self.close_connection = True
            return
        request = Request(
            method=self.command,
            path=parts.path,
            query=dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            connection=self._number,
        )
        self.server.ours.note(request)
        reply = self.server.ours.reply(request)
        if isinstance(reply, Raw):
            self.close_connection = True
            reply.play(Wire(self.connection, request, self.server.ours.over))
            return
        self.send_response(reply.status)
        headers = {name.title(): value for name, value in reply.headers.items()}
        if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
            headers["Content-Length"] = str(len(reply.body))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and reply.status not in {204, 304}:
            self.wfile.write(reply.body)

    do_POST = do_HEAD = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        pass
