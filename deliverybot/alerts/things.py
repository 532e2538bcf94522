"""What an operator is told of, and the message that says it."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Collection, Iterator, Sequence

from deliverybot import overview, reasons

#: Things in one message; the rest are counted.
MOST = 10
#: Letters of one thing, and of a title: what a telephone shows.
_LONG, _TITLE = 400, 100
#: Letters of all things together: Discord refuses a message of more than 2,000, its title and
#: all, for good.
_BODY = 1_500


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One thing that waits or went wrong."""

    reason: reasons.Reason
    #: Short name and title of its campaign; empty where it concerns all of them.
    campaign: str = ""
    title: str = ""

    @property
    def key(self) -> str:
        """Tells it from all others."""
        return f"{self.campaign}/{self.reason.key}"

    @property
    def waits(self) -> bool:
        """Whether a person must do something."""
        return self.reason.waits or (self.reason.passing and not self.reason.trouble)

    @property
    def passing(self) -> bool:
        """Whether it comes and goes in the course of a day."""
        return self.reason.passing

    @property
    def text(self) -> str:
        """What it is and what to do, in one line, without addresses of people."""
        return cut(plain(self.reason.outside or self.reason.text), _LONG)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent."""

    title: str
    body: str
    #: Whether something went wrong; some services show that in another colour.
    trouble: bool = False


def collect(state: overview.Status, about: Collection[str]) -> list[Thing]:
    """Return all that waits or went wrong, as far as it is asked for, the gravest first."""
    found = [Thing(reason=one) for one in state.causes]
    for standing in state.campaigns:
        found += [
            Thing(reason=one, campaign=standing.slug, title=standing.title)
            for one in standing.causes
        ]
    wanted = [one for one in found if _wanted(one, about)]
    return sorted(wanted, key=lambda one: not one.reason.trouble)


def _wanted(one: Thing, about: Collection[str]) -> bool:
    return ("waiting" in about and one.waits) or ("trouble" in about and one.reason.trouble)


def message(those: Sequence[Thing], sender: str) -> Message:
    """Return the message that tells these things, for the installation of `sender`."""
    listed, room = list[Thing](), _BODY
    for one in those[:MOST]:
        room -= len(one.text) + 3
        if one.campaign not in {other.campaign for other in listed}:
            room -= len(_heading(one)) + 2
        if room < 0 and listed:
            break
        listed.append(one)
    lines = list(_grouped(listed))
    if more := len(those) - len(listed):
        lines += ["", f"and {more} more"]
    lines += ["", "`deliverybot status` says all of it", f"({cut(plain(sender), _TITLE)})"]
    trouble = any(one.reason.trouble for one in those)
    return Message(title=_title(those), body="\n".join(lines), trouble=trouble)


def trial(sender: str) -> Message:
    """Return a message that tries an address out."""
    said = "This is a test: alerts arrive here. Nothing waits, and nothing went wrong."
    return Message(title="deliverybot: a test", body=f"{said}\n\n{plain(sender)}")


def _grouped(those: Sequence[Thing]) -> Iterator[str]:
    """Yield a line for each thing, under the title of its campaign."""
    groups = collections.defaultdict[str, list[Thing]](list)
    for one in those:
        groups[one.campaign].append(one)
    for n, members in enumerate(groups.values()):
        yield from [""] if n else []
        yield _heading(members[0])
        yield from (f"- {one.text}" for one in members)


def _heading(one: Thing) -> str:
    """Return the line above the things of a campaign."""
    return f"{cut(plain(one.title), _TITLE)} ({one.campaign})" if one.campaign else "All campaigns"


def _title(those: Sequence[Thing]) -> str:
    """Say in one line what it is about, and for which campaign."""
    names = list(dict.fromkeys(one.campaign or "all campaigns" for one in those))
    about = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004 - as many as a line holds
    if len(those) == 1:
        return cut(f"{about}: {re.split(': |; |, ', those[0].text)[0]}", _TITLE)
    wrong = sum(one.reason.trouble for one in those)
    waits = len(those) - wrong
    parts = [f"{waits} {'things wait' if waits > 1 else 'thing waits'} for you"] if waits else []
    parts += [f"{wrong} {'things' if wrong > 1 else 'thing'} went wrong"] if wrong else []
    return cut(f"{about}: {', '.join(parts)}", _TITLE)


def plain(text: str) -> str:
    """Return a text in one line that names nobody's address, wakes nobody and hides no link.

    What others said stands in it, and Discord and Mattermost read Markdown: "@everyone",
    "<!channel>", "[your bank](https://...)" and "<https://...|your bank>" are but words.
    """
    said = re.sub(r"[^\s@]+(?:@|%40)[^\s@]+", "[…]", " ".join(text.split()))
    return said.translate(_BARE).replace("](", "] (")


_BARE = str.maketrans({"@": "", "<": "(", ">": ")"})


def cut(text: str, limit: int) -> str:
    """Return a text of so many letters at most, cut between words."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    return f"{kept.rpartition(' ')[0] or kept} …"
