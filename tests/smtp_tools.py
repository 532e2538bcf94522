"""What the tests of the SMTP transport share: a letter, a courier, a clock that runs ahead."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

import build
import smtp_server
from deliverybot import config, mail, model
from deliverybot.mail import smtp

LETTER = b"Subject: one\r\nMessage-ID: <one@campaigns.example>\r\n\r\nDear Ms. Vale,\r\n.dot\r\n"
LARGE = LETTER + b"a line of a letter that is as long as others\r\n" * 230_000

LATER, HUMAN, REFUSED, DONE, UNSURE = (
    model.Outcome.LATER,
    model.Outcome.HUMAN,
    model.Outcome.REFUSED,
    model.Outcome.DONE,
    model.Outcome.UNSURE,
)


_Result = TypeVar("_Result")


@dataclasses.dataclass
class Handed:
    reply: model.Reply
    #: How often the dot was announced.
    announced: int


def mail_settings(port: int, **more: object) -> config.Mail:
    values: dict[str, object] = {"transport": "smtp", "host": "127.0.0.1", "port": port}
    return config.Mail.model_validate(values | {"security": "none"} | more)


async def hand_over(courier: mail.Transport, message: bytes = LETTER) -> Handed:
    announced: list[bool] = []
    reply = await courier.hand_over(
        build.mail(message),
        sender="letters@campaigns.example",
        recipient="ceo@cloud.example",
        token="d1.0.0123456789",
        on_handing_over=lambda: announced.append(True),
    )
    return Handed(reply, len(announced))


class Hurry:
    """Lets the loop's clock run ahead of the wall's once the server hangs."""

    def __init__(self, server: smtp_server.Server) -> None:
        self.loop = asyncio.get_running_loop()
        self.ahead = 0.0
        self._server = server
        real = self.loop.time
        self.loop.time = lambda: real() + self.ahead  # type: ignore[method-assign]

    async def until(self, done: Callable[[], bool], most: float = 1e9) -> None:
        """Run ahead, up to `most` seconds, until `done`."""
        while not self._server.hanging.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0)
        while not done() and self.ahead + 20 <= most:
            self.ahead += 20
            for _ in range(20):
                await asyncio.sleep(0)

    async def wait_for(self, work: Awaitable[_Result]) -> _Result:
        task = asyncio.ensure_future(work)
        await self.until(task.done)
        return await task


async def attempt(
    server: smtp_server.Server,
    *,
    message: bytes = LETTER,
    hangs: bool = False,
    context: ssl.SSLContext | None = None,
    **settings: object,
) -> Handed:
    hurry = Hurry(server)
    courier = smtp.Courier(
        mail_settings(server.port, **settings), context=context, clock=hurry.loop.time
    )
    work = hand_over(courier, message)
    handed = await (hurry.wait_for(work) if hangs else work)
    server.resume.set()
    await courier.close()
    return handed
