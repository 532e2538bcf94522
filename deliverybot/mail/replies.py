"""What an SMTP answer, or none, means for a letter."""

from __future__ import annotations

import dataclasses
import re

from deliverybot import model, screen

#: RFC 3463 status codes that say that the address does not exist or is closed.
DEAD = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")
_PAUSE = re.compile(r"\b(?:in|after|for)\s+(\d{1,5})\s*(second|sec|s|minute|min|m|hour|h)s?\b")
_UNIT = {"s": 1, "m": 60, "h": 3600}
_TEXT_MAX = 300
#: Too large (RFC 5321 section 4.2.3, RFC 3463 sections 3.3 and 3.4); 552 can mean a full
#: mailbox as well, and behind RCPT mostly does.
TOO_MUCH, TOO_LARGE, _MAILBOX_FULL = 552, frozenset({"5.3.4", "5.2.3"}), "5.2.2"
_SIZE_PHASES = frozenset({"mail", "data", "body", "dot"})
#: Bytes below which no mail is cut on a guess.
LEAST_ROOM = 1_000_000
#: RFC 5321 section 4.2: answers are 2xx to 5xx; all else is out of step.
_CLASSES = range(2, 6)
_POSITIVE, _TRANSIENT, _PERMANENT = 2, 4, 5


def answered(phase: str, code: int, text: str) -> model.Reply:
    """Return what an answer means that did not let the letter go on, or ended it well."""
    enhanced, words = _split(text)
    outcome = _outcome(phase, code // 100, enhanced)
    return model.Reply(
        outcome=outcome,
        phase=phase,
        code=code if code // 100 in _CLASSES else 0,
        enhanced=enhanced,
        text=words,
        retry_after=_pause(words) if outcome is model.Outcome.LATER else None,
    )


def unanswered(phase: str, text: str) -> model.Reply:
    """Return what no answer means; after the dot nobody can know."""
    outcome = model.Outcome.UNSURE if phase == "dot" else model.Outcome.LATER
    return model.Reply(outcome=outcome, phase=phase, text=one_line(text))


def impossible(phase: str, text: str) -> model.Reply:
    """Return a refusal of our own, before anything was sent: a person must change something."""
    return model.Reply(outcome=model.Outcome.HUMAN, phase=phase, text=one_line(text))


def stray(phase: str, data: str) -> model.Reply:
    """Return what an answer that nobody had asked for means before the dot."""
    line = data.partition("\n")[0]
    code = int(line[:3]) if re.match(r"[45]\d\d[ -]", line) else 0
    if code:
        return answered(phase, code, line[4:])
    return unanswered(phase, f"the relay spoke out of turn: {line}")


def too_large(size: int, limit: int, whose: str) -> model.Reply:
    """Return our own refusal of a message that is larger than it may be."""
    text = f"the mail has {size:,} bytes and {whose} {limit:,}"
    return model.Reply(
        outcome=model.Outcome.HUMAN, phase="mail", enhanced="5.3.4", text=text, room=limit
    )


def sized(reply: model.Reply, size: int, limit: int) -> model.Reply:
    """Return a reply with the room that it leaves, where it refuses a mail of `size` as too large.

    That is what the relay's EHLO allows (`limit`, 0 where it does not say), or
    half of the mail where that was no help.
    """
    large = reply.enhanced in TOO_LARGE or (
        reply.code == TOO_MUCH and reply.enhanced != _MAILBOX_FULL
    )
    if reply.room or not large or reply.phase not in _SIZE_PHASES:
        return reply
    room = limit if 0 < limit < size else max(size // 2, LEAST_ROOM)
    return dataclasses.replace(reply, room=room if room < size else 0)


def without(reply: model.Reply, user: str, password: str) -> model.Reply:
    """Return a reply in whose text neither user nor password is left, plain or in base64."""
    text = reply.text
    for secret in (user, password):
        text = screen.unsaid(text, user, secret)
    return dataclasses.replace(reply, text=text)


def one_line(text: str) -> str:
    """Return text that can do no harm in a log or on a terminal."""
    return screen.clean(text, _TEXT_MAX)


def _outcome(phase: str, kind: int, enhanced: str) -> model.Outcome:
    if kind == _TRANSIENT:
        return model.Outcome.LATER
    if kind == _PERMANENT:
        dead = phase == "rcpt" and enhanced in DEAD
        return model.Outcome.REFUSED if dead else model.Outcome.HUMAN
    if phase != "dot":
        return model.Outcome.LATER
    return model.Outcome.DONE if kind == _POSITIVE else model.Outcome.UNSURE


def _split(text: str) -> tuple[str, str]:
    """Return the enhanced status and the words, which repeat it on every line."""
    found = _ENHANCED.match(text)
    lines = [_ENHANCED.sub("", line, count=1) if found else line for line in text.splitlines()]
    return (found[1] if found else ""), one_line(" ".join(lines))


def _pause(text: str) -> float | None:
    found = _PAUSE.search(text.lower())
    return float(found[1]) * _UNIT[found[2][0]] if found else None
