"""Posts as text files under state_dir/outbox/posts."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import typing_extensions

from deliverybot import disk, errors, model, networks, outlets

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")


class Folder(outlets.Outlet):
    """One file a post; a file once there is never changed."""

    Settings = networks.FolderOutlet

    @property
    def _folder(self) -> Path:
        return self.means.state / "outbox" / "posts"

    @typing_extensions.override
    async def publish(self, post: outlets.Draft) -> model.Reply:
        """Write the file whole or not at all; the same post again is the same file."""
        return await asyncio.to_thread(self._publish, post)

    @typing_extensions.override
    async def find(self, post: outlets.Draft) -> outlets.Evidence:
        """Look for the file."""
        path = self._path(post)
        if path is None or not path.is_file():
            return outlets.Evidence(there=False)
        return outlets.Evidence(there=True, url=path.absolute().as_uri())

    @typing_extensions.override
    async def check(self) -> list[errors.Fault]:
        """Try whether the folder can be written."""
        return disk.check(self._folder, "posts")

    def _path(self, post: outlets.Draft) -> Path | None:
        return self._folder / f"{post.key}.txt" if _KEY.fullmatch(post.key) else None

    def _publish(self, post: outlets.Draft) -> model.Reply:
        path = self._path(post)
        if path is None:
            return _reply(model.Outcome.REFUSED, f"{post.key!r} cannot be a file's name")
        content = post.text.encode("utf-8", "replace")
        try:
            disk.put(path, content)
        except FileExistsError:
            return _compare(path, content)
        except OSError as error:
            # The link is the last step but one: no file, no post.
            outcome = model.Outcome.UNSURE if path.exists() else model.Outcome.LATER
            return _reply(outcome, f"cannot write {path}: {error.strerror}")
        return _done(path)


def _compare(path: Path, content: bytes) -> model.Reply:
    try:
        same = path.read_bytes() == content
    except OSError as error:
        return _reply(model.Outcome.UNSURE, f"cannot read {path}: {error.strerror}")
    if same:
        return _done(path)
    return _reply(model.Outcome.REFUSED, f"another text is already at {path}")


def _done(path: Path) -> model.Reply:
    url = path.absolute().as_uri()
    return model.Reply(outcome=model.Outcome.DONE, phase="post", text=str(path), url=url)


def _reply(outcome: model.Outcome, text: str) -> model.Reply:
    return model.Reply(outcome=outcome, phase="post", text=text)
