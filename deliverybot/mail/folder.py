"""The transport "folder": letters as .eml files under state_dir/outbox/mail."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from deliverybot import config, disk, errors, model
from deliverybot.mail import built


class Folder:
    """One file a message; a file once there is never changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def hand_over(
        self,
        message: built.Built,
        *,
        sender: str,  # noqa: ARG002 - the file has it
        recipient: str,  # noqa: ARG002 - as above
        token: str,  # noqa: ARG002 - nothing comes back from a folder
        on_handing_over: Callable[[], None],
    ) -> model.Reply:
        """Write the message under a name made of its Message-ID.

        1. Write it under a passing name, on disk.
        2. Call `on_handing_over`.
        3. Give it its own name, on disk.

        A crash before 3 leaves a hidden ``.part`` file, which nobody takes for mail.
        """
        path = self._folder / _name(message.message_id)
        with contextlib.ExitStack() as stack:
            try:
                handle, part = stack.enter_context(disk.part(self._folder))
            except OSError as error:
                return _reply(model.Outcome.LATER, "connect", error)
            try:
                await asyncio.to_thread(disk.pour, handle, message.chunks())
            except OSError as error:
                return _reply(model.Outcome.LATER, "body", error)
            on_handing_over()
            return _name_it(part, path, message)

    async def check(self) -> list[errors.Fault]:
        """Try whether the folder can be written."""
        return disk.check(self._folder, "letters")

    async def close(self) -> None:
        """Nothing is open between two letters."""


def place(settings: config.Settings) -> Path:
    """Return the folder that the letters go to."""
    return settings.root / settings.state_dir / "outbox" / "mail"


def find(folder: Path, message_id: str) -> Path | None:
    """Return the file of a message that was handed over."""
    path = folder / _name(message_id)
    return path if path.is_file() else None


def _name(message_id: str) -> str:
    """Return a file name: what can be read of the id, and its hash."""
    readable = "-".join(re.findall(r"[A-Za-z0-9.]+", message_id))[:80].strip(".-")
    return f"{readable}.{hashlib.sha256(message_id.encode()).hexdigest()[:16]}.eml"


def _name_it(part: Path, path: Path, message: built.Built) -> model.Reply:
    try:
        disk.name(part, path)
    except FileExistsError:
        return _compare(path, message)
    except OSError as error:
        there = path.exists()
        return _reply(model.Outcome.UNSURE if there else model.Outcome.LATER, "dot", error)
    return model.Reply(outcome=model.Outcome.DONE, phase="file", text=str(path))


def _compare(path: Path, message: built.Built) -> model.Reply:
    try:
        same = disk.sha256(path) == message.sha256
    except OSError as error:
        return _reply(model.Outcome.UNSURE, "dot", error)
    if same:
        return model.Reply(outcome=model.Outcome.DONE, phase="file", text=str(path))
    text = f"another message with this Message-ID is already at {path}"
    return model.Reply(outcome=model.Outcome.HUMAN, phase="dot", text=text)


def _reply(outcome: model.Outcome, phase: str, error: OSError) -> model.Reply:
    text = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
    return model.Reply(outcome=outcome, phase=phase, text=text)
