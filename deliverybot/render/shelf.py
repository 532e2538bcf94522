"""Where templates lie: the letter's folder, then the built-in theme."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import re

from deliverybot import disk

THEME = pathlib.Path(__file__).parent.parent / "theme"

#: A template is a page or two; more than this is a mistake or an attack.
MOST_BYTES = 250_000
#: A larger file is given to no letter (`pdf.plate`), so its bytes do not matter.
_MOST_HASHED = 50_000_000
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


class Unreadable(ValueError):
    """A template that is there cannot be read."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file as it was read."""

    name: str
    path: pathlib.Path
    text: str

    @property
    def shown(self) -> str:
        """The file as a person would name it."""
        return f"built-in theme/{self.name}" if self.path.is_relative_to(THEME) else str(self.path)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The files of one letter."""

    folder: pathlib.Path | None

    @property
    def shown(self) -> str | None:
        """The folder as a person would name it."""
        return str(self.folder) if self.folder else None

    def inside(self, name: str) -> pathlib.Path | None:
        """Return the letter folder's own file, or None; links that lead out count as none."""
        return within(self.folder, name) if self.folder else None

    def find(self, name: str) -> pathlib.Path | None:
        """Return the file of that name; ``theme:NAME`` passes the letter's folder by."""
        if name.startswith("theme:"):
            return within(THEME, name.removeprefix("theme:"))
        return self.inside(name) or self.no_file(name) or within(THEME, name)

    def no_file(self, name: str) -> pathlib.Path | None:
        """Return what stands in a file's place in the letter's folder: a folder, a link out."""
        there = bool(self.folder and _NAME.fullmatch(name) and os.path.lexists(self.folder / name))
        return self.folder / name if self.folder and there and not self.inside(name) else None

    def readable(self, name: str) -> Source | None:
        """Return the file's text, or None where there is none that can be read."""
        try:
            return self.read(name)
        except Unreadable:
            return None

    def read(self, name: str) -> Source | None:
        """Return the file's text, or None where there is no such file.

        Raises Unreadable for a file that is too big, not UTF-8 or not ours to read.
        """
        path = self.find(name)
        if path is None:
            return None
        if path == self.no_file(name):
            what = "this is a folder" if path.is_dir() else "this is no file of the letter's folder"
            raise Unreadable(what, hint="put a file in its place, or take it away")
        try:
            if path.stat().st_size > MOST_BYTES:
                message = f"the file is larger than {MOST_BYTES:,} bytes"
                raise Unreadable(message)
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            message = f"line {line} is not UTF-8 text"
            raise Unreadable(message, hint="save it as UTF-8") from error
        except OSError as error:
            message = f"the file cannot be read: {error.strerror}"
            raise Unreadable(message) from error
        return Source(name=name.removeprefix("theme:"), path=path, text=text)


def within(folder: pathlib.Path, name: str) -> pathlib.Path | None:
    """Return the file of that name if it really lies in the folder."""
    return folder / name if _NAME.fullmatch(name) and _lies_in(folder, folder / name) else None


def _lies_in(folder: pathlib.Path, path: pathlib.Path) -> bool:
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())


def fingerprint(folder: pathlib.Path | None) -> str:
    """Return the SHA-256 over the names and bytes of the letter's folder and the theme."""
    digest = hashlib.sha256()
    for root in (folder, THEME):
        files = sorted(root.rglob("*")) if root else []
        for path in files:
            name = path.relative_to(root or THEME).as_posix()
            if _lies_in(root or THEME, path):
                content = _content(path)
                digest.update(f"{len(name)}:{name}:{content}\n".encode("utf-8", "replace"))
        digest.update(b"--\n")
    return digest.hexdigest()


def _content(path: pathlib.Path) -> str:
    """Hash one file, whatever its name: a style sheet may ask for it."""
    try:
        if path.stat().st_size > _MOST_HASHED:
            return "too large"
        return disk.sha256(path)
    except OSError:
        return "unreadable"
