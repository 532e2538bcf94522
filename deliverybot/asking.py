"""Asking an outlet, whoever wrote it: an error, silence or rubbish is an answer, too.

Outlets are found by entry point, so their code may be anybody's.  It runs in
this process, and what it breaks on purpose stays broken; but its accidents end
here: none stops another outlet, or leaves a post in `sending`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import pathlib
import traceback
from collections.abc import Awaitable, Callable

from deliverybot import errors, model, networks, outlets, screen
from deliverybot.outlets import wire

#: Seconds for a post with all that belongs to it, and for a look; both together, and a look
#: before them, stay below `publishing.LEASE`.
ATTEMPT, LOOK = wire.OPEN, 120.0
#: Seconds for a check, which a person waits for.
CHECK = 120.0
#: Seconds that a network may ask for: about 30 years, which fit into every clock.
_PAUSE_MAX = 1e9
#: Letters of a file's address: those of the longest path, each written with three.
_PATH_MAX = 3 * 4096
#: Letters of a phase that the ledger has room for; and the largest status of HTTP.
_WORD_MAX, _STATUS_MAX = 20, 999
_NONE = "gave an answer that is none"
_HINT = "mend its package, or take it out of config.toml"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a post is to its network, before it goes there."""

    length: int
    #: None where there is none.
    limit: int | None
    links: list[str]
    #: Millionths of a dollar.
    cost: int


async def publish(outlet: outlets.Outlet, post: outlets.Draft) -> model.Reply:
    """Post it; whatever is no clean answer leaves the post unsure."""
    reply, trouble = await _asked(lambda: outlet.publish(post), ATTEMPT)
    if not trouble and isinstance(reply, model.Reply) and _is_whole(reply):
        secrets = list(networks.secrets(outlet.section))
        return dataclasses.replace(
            reply,
            phase=wire.clean(reply.phase, secrets)[:_WORD_MAX],
            enhanced=wire.clean(reply.enhanced, secrets)[:_WORD_MAX],
            text=wire.clean(reply.text, secrets),
            url=_address(outlet, reply.url),
            retry_after=_pause(reply.retry_after),
        )
    text = f"the outlet {trouble or _NONE}"
    return model.Reply(outcome=model.Outcome.UNSURE, phase="post", text=text)


async def find(outlet: outlets.Outlet, post: outlets.Draft) -> tuple[outlets.Evidence, str]:
    """Look for a post; where the outlet fails at that nothing is known, and why stands beside."""
    found, trouble = await _asked(lambda: outlet.find(post), LOOK)
    whole = (
        isinstance(found, outlets.Evidence)
        and (found.there is None or isinstance(found.there, bool))
        and isinstance(found.harmless, bool)
    )
    if trouble or not whole:
        return outlets.Evidence(there=None), trouble or _NONE
    assert isinstance(found, outlets.Evidence)  # noqa: S101 - for mypy: `whole` says it
    return dataclasses.replace(found, url=_address(outlet, found.url)), ""


async def check(outlet: outlets.Outlet) -> list[errors.Fault]:
    """Ask what a post would fail on; an outlet that fails at that is a fault."""
    found, trouble = await _asked(outlet.check, CHECK)
    if isinstance(found, list) and all(isinstance(fault, errors.Fault) for fault in found):
        return found
    what = f"outlet {outlet.name} cannot be checked: it {trouble or _NONE}"
    return [errors.Fault(level="fault", what=what, hint=_HINT)]


def measure(outlet: outlets.Outlet, post: outlets.Draft) -> Measured:
    """Count a post as its network does; raise errors.OutgoingError where the outlet cannot."""
    try:
        found = Measured(
            length=outlet.length(post.text), limit=outlet.limit, links=outlet.links(post.text),
            cost=outlet.cost(post),
        )  # fmt: skip
        whole = (
            all(isinstance(n, int) and n >= 0 for n in (found.length, found.cost))
            and (found.limit is None or isinstance(found.limit, int))
            and isinstance(found.links, list)
            and all(isinstance(link, str) for link in found.links)
        )
        trouble = "" if whole else _NONE
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code
        trouble = _failed(error)
    if trouble:
        message = f"outlet {outlet.name} cannot count a text: it {trouble}"
        raise errors.OutgoingError(message, hint=_HINT)
    return found


async def _asked(ask: Callable[[], Awaitable[object]], seconds: float) -> tuple[object, str]:
    """Return what was answered, and what went wrong in place of an answer."""
    try:
        async with asyncio.timeout(seconds):
            return await ask(), ""
    except TimeoutError:
        return None, "gave no answer in time"
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return None, _failed(error)  # it has cancelled something of its own
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code
        return None, _failed(error)


def _failed(error: BaseException) -> str:
    """Say what was raised and where; not its words, in which a token may stand."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {pathlib.Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"failed: {type(error).__name__}{place}"


def _is_whole(reply: model.Reply) -> bool:
    """Tell whether each part is what it should be, and fits into the ledger.

    One that the ledger never takes would stand in the way of all later answers.
    """
    words = (reply.phase, reply.enhanced, reply.text)
    status = isinstance(reply.code, int) and 0 <= reply.code <= _STATUS_MAX
    kinds = isinstance(reply.outcome, model.Outcome) and isinstance(reply.account, bool)
    return status and kinds and all(isinstance(word, str) for word in words)


def _address(outlet: outlets.Outlet, url: object) -> str:
    """Return the address of a post, or of a file; empty where it is none."""
    if isinstance(url, str) and url.startswith("file:///") and len(url) <= _PATH_MAX:
        return url if screen.clean(url, _PATH_MAX) == url else ""
    return wire.address(url, networks.secrets(outlet.section))


def _pause(seconds: object) -> float | None:
    """Return the seconds that a network asks for, where they are some."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds != seconds:  # noqa: PLR0124 - NaN
        return None
    return float(min(max(0, seconds), _PAUSE_MAX))
