"""Posts as text files under state_dir/outbox/posts, each with its picture and alt text."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import typing_extensions

from deliverybot import disk, errors, model, networks, outlets

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")


class Folder(outlets.Outlet):
    """One text file a post, its picture and alt text beside it; none is ever changed once there."""

    Settings = networks.FolderOutlet

    @property
    def _folder(self) -> Path:
        return self.means.state / "outbox" / "posts"

    @typing_extensions.override
    async def publish(self, post: outlets.Draft) -> model.Reply:
        """Write the files, each whole or not at all; the same post again is the same files.

        The text is last: once it is there, the post is.
        """
        return await asyncio.to_thread(self._publish, post)

    @typing_extensions.override
    async def find(self, post: outlets.Draft) -> outlets.Evidence:
        """Look for the file; one that says something else is not the post."""
        return await asyncio.to_thread(self._find, post)

    def _find(self, post: outlets.Draft) -> outlets.Evidence:
        path = self._path(post)
        if path is None or not path.is_file():
            return outlets.Evidence(there=False)
        try:
            same = path.read_bytes() == _written(post.text)
        except OSError:
            return outlets.Evidence(there=None)
        url = path.absolute().as_uri() if same else ""
        return outlets.Evidence(there=same, url=url)

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
        parts = [(path, _written(post.text), "text")]
        if post.image:
            beside = path.with_name(f"{post.key}.alt.txt")
            parts.insert(0, (beside, _written(post.alt), "alt text"))
            parts.insert(0, (path.with_name(f"{post.key}.png"), post.image, "picture"))
        for file, content, what in parts:
            try:
                disk.put(file, content)
            except FileExistsError:
                if (trouble := _compare(file, content, what)) is not None:
                    return trouble
            except OSError as error:
                # The link is the last step but one: no text, no post.
                outcome = model.Outcome.UNSURE if path.exists() else model.Outcome.LATER
                return _reply(outcome, f"cannot write {file}: {error.strerror}")
        return _done(path)


def _written(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _compare(path: Path, content: bytes, what: str) -> model.Reply | None:
    """Return what is wrong with a file that is there already."""
    if not path.is_file():  # reading a pipe would never end
        return _reply(model.Outcome.REFUSED, f"what is at {path} is no file")
    try:
        same = path.read_bytes() == content
    except OSError as error:
        return _reply(model.Outcome.UNSURE, f"cannot read {path}: {error.strerror}")
    return None if same else _reply(model.Outcome.REFUSED, f"another {what} is already at {path}")


def _done(path: Path) -> model.Reply:
    url = path.absolute().as_uri()
    return model.Reply(outcome=model.Outcome.DONE, phase="post", text=str(path), url=url)


def _reply(outcome: model.Outcome, text: str) -> model.Reply:
    return model.Reply(outcome=outcome, phase="post", text=text)
