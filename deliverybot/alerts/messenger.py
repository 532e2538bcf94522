"""The parent's side of `apprising`: a process for each message, ended in time."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Mapping, Sequence
from typing import Any

from deliverybot import inside
from deliverybot.alerts import things

#: Seconds for one message, fewer than `memory.CLAIM`; bytes of memory and seconds of processor time
#: that it may take.
DEADLINE, _MEMORY, _CPU = 60, 600_000_000, 30
#: What the process gets of our environment: the time zone, and whom to trust.
_ENVIRONMENT = ("TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
INSTALL = "pip install 'deliverybot[alerts]'"


class _Ended(Exception):
    """The process ended without an answer."""


def missing() -> bool:
    """Tell whether Apprise is not installed."""
    return importlib.util.find_spec("apprise") is None


def kind(url: str) -> str:
    """Return the part of an address that may be shown: before "://"."""
    return url.partition("://")[0].lower()


def named(number: int, url: str) -> str:
    """Return what may be shown of an address: its place in the settings, from 1, and its kind."""
    return f"address {number} ({kind(url)})"


async def known(urls: Sequence[str]) -> list[bool] | None:
    """Return of each address whether Apprise knows it, which asks nobody else; None: no answer."""
    try:
        answer = await _ask({"task": "known", "urls": list(urls)})
    except (TimeoutError, _Ended, OSError):
        return None
    return list(answer["known"])


async def send(url: str, message: things.Message) -> str:
    """Send a message to an address; say why it was not taken, empty where it was.

    Whoever waits no longer ends it; it may have arrived all the same.
    """
    if missing():
        return f"Apprise is not installed: {INSTALL}"
    job = {
        "task": "send", "url": url, "title": message.title, "body": message.body,
        "trouble": message.trouble,
    }  # fmt: skip
    try:
        return str((await _ask(job))["why"])
    except TimeoutError:
        return f"there was no answer within {DEADLINE} seconds"
    except _Ended:
        return "the process that sends it ended without an answer"
    except OSError as error:
        return f"no process could be started: {error.strerror}"


async def _ask(job: Mapping[str, object]) -> dict[str, Any]:
    """Let a process of its own do a job; return its answer.

    Raises TimeoutError where it takes too long, _Ended where it says nothing.
    """
    # No file of a person's, such as .netrc or a plug-in of Apprise's, is looked for.
    environment = inside.environment(*_ENVIRONMENT, HOME="/nonexistent")
    child = await asyncio.create_subprocess_exec(
        *inside.command("deliverybot.alerts.apprising"), env=environment, cwd="/",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(DEADLINE):
            answer, _ = await child.communicate(inside.order(job, cpu=_CPU, memory=_MEMORY))
    finally:
        if child.returncode is None:
            inside.end(child.pid)
            await child.wait()
    try:
        found = json.loads(answer.splitlines()[-1])
    except (ValueError, IndexError):
        raise _Ended from None
    if child.returncode or not isinstance(found, dict):
        raise _Ended
    return found
