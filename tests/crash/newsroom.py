"""A real HTTP server on loopback that takes posts as X does, and counts them."""

from __future__ import annotations

import http.server
import json
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Newsroom(http.server.ThreadingHTTPServer):
    """Takes every post, even one that it has had before: nothing here hides a second one."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Desk)
        self.posted: list[str] = []
        #: Asked at each whole request: True takes the post, False takes nothing and hangs up.
        self.on_post: Callable[[str], bool] = lambda _: True
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def by_text(self) -> Counter[str]:
        return Counter(self.posted)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Desk(http.server.BaseHTTPRequestHandler):
    server: Newsroom

    def do_POST(self) -> None:
        try:
            self._post()
        except ConnectionError:
            self.close_connection = True

    def _post(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        text = json.loads(content)["text"]
        if not self.server.on_post(text):
            self.close_connection = True
            return
        self.server.posted.append(text)
        answer = json.dumps({"data": {"id": str(len(self.server.posted)), "text": text}}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
        """Say nothing."""
