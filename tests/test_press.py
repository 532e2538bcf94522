"""The press: what a page may read and cost, and what comes out."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable

import pypdfium2
import pytest

from deliverybot import errors, render
from deliverybot.pdf import child, glyphs, press

#: WeasyPrint does not come to an end with this; it is cut off by a limit.
ENDLESS = "<table><tr><td colspan=1000000>x</td></tr></table>" * 50
LIMITS = child.Limits(cpu=60, memory=4_000_000_000, time=110)


async def pressed(
    page: str,
    tmp_path: pathlib.Path,
    limits: child.Limits = LIMITS,
    folder: pathlib.Path | None = None,
) -> press.Pressed:
    out = tmp_path / "out" / "letter.pdf"
    out.parent.mkdir(exist_ok=True)
    return await press.press(
        page, folder=folder or tmp_path, theme=render.THEME, out=out, limits=limits
    )


def text_of(tmp_path: pathlib.Path) -> str:
    document = pypdfium2.PdfDocument(tmp_path / "out" / "letter.pdf")
    with contextlib.closing(document):
        return "\n".join(page.get_textpage().get_text_range() for page in document)


async def test_a_page_becomes_a_pdf(tmp_path: pathlib.Path) -> None:
    page = "<html lang=en><title>A letter</title><meta name=author content=Us><p>Héllo"
    done = await pressed(page, tmp_path)
    content = (tmp_path / "out" / "letter.pdf").read_bytes()
    assert done.pages == 1
    assert done.faults == []
    assert done.size == len(content)
    assert done.sha256 == hashlib.sha256(content).hexdigest()
    assert done.seconds > 0
    assert done.peak_memory > 1_000_000
    document = pypdfium2.PdfDocument(content)
    with contextlib.closing(document):
        told = document.get_metadata_dict()
    assert told["Title"] == "A letter"
    assert told["Author"] == "Us"
    assert told["CreationDate"] == ""
    assert "Héllo" in text_of(tmp_path)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["letter.pdf"]


async def test_same_page_same_bytes_in_two_processes(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>',
        encoding="utf-8",
    )
    page = "<h1>A</h1><p>B <b>c</b> <a href='https://x.example/'>d</a> <img src=a.svg>"
    one = await pressed(page, tmp_path)
    two = await pressed(page, tmp_path)
    assert one.sha256 == two.sha256


async def test_every_signer_is_on_paper(tmp_path: pathlib.Path) -> None:
    css = (render.THEME / "letter.css").read_text(encoding="utf-8")
    names = "".join(
        "<p>" + "\n".join(f"{n}\u2002Nom{n}x, Ort" for n in range(start, start + 100)) + "</p>"
        for start in range(1, 1201, 100)
    )
    page = f"<style>{css}</style><section class=signers><div class=names>{names}</div></section>"
    done = await pressed(page, tmp_path)
    assert done.pages > 3
    found = re.findall(r"Nom([0-9]+)x", text_of(tmp_path))
    assert sorted(map(int, found)) == list(range(1, 1201))


async def test_long_names_break_no_page(tmp_path: pathlib.Path) -> None:
    css = (render.THEME / "letter.css").read_text(encoding="utf-8")
    names = ["W" * 255, "漢" * 255, "a\u0301" * 127, "ab " * 85]
    rows = "\n".join(f"{n}\u2002{name}, Ort" for n, name in enumerate(names, 1))
    page = (
        f"<style>{css}</style><section class=signers><div class=names><p>{rows}\n"
        "5\u2002Ada</p></div></section>"
    )
    done = await pressed(page, tmp_path)
    assert done.pages == 1
    document = pypdfium2.PdfDocument(tmp_path / "out" / "letter.pdf")
    with contextlib.closing(document):
        margin = 15 / 25.4 * 72
        right = document[0].get_width() - margin
        assert max(item.get_bounds()[2] for item in document[0].get_objects()) <= right + 1
    found = text_of(tmp_path)
    assert "Ada" in found
    assert found.count("W") == 255


async def test_theme_and_folder_can_be_read(tmp_path: pathlib.Path) -> None:
    (tmp_path / "own.css").write_text("p { color: red }", encoding="utf-8")
    page = (
        '<link rel=stylesheet href="https://theme.invalid/letter.css">'
        '<link rel=stylesheet href="own.css"><p>x'
    )
    assert (await pressed(page, tmp_path)).faults == []


#: Markup, and the words of the fault it must give.
REFUSED = (
    ("<img src='file:///etc/passwd?1'>", "passwd?1"),
    ("<img src='/etc/passwd?2'>", "passwd?2"),
    ("<img src='../secret.svg?3'>", "secret.svg?3"),
    ("<img src='link.svg'>", "link.svg"),
    ("<img src='http://127.0.0.1:9/4.png'>", "http://127.0.0.1:9/4.png"),
    ("<img src='//127.0.0.1:9/5.png'>", "https://127.0.0.1:9/5.png"),
    ("<img src='https://theme.invalid/../../secret.svg?6'>", "secret.svg?6"),
    ("<img src='https://theme.invalid/%2e%2e/%2e%2e/secret.svg?7'>", "secret.svg?7"),
    ("<img src='ftp://127.0.0.1/8'>", "ftp://127.0.0.1/8"),
    ("<img src='gone.png'>", "gone.png"),
    ("<img src='data:text/html,9'>", "data:text/html,9"),
    ("<style>p { background: url(file:///etc/passwd?10) }</style>", "passwd?10"),
    ("<style>@import 'file:///etc/passwd?11';</style>", "passwd?11"),
    (
        "<style>@font-face { font-family: x; src: url(file:///etc/passwd?12) }</style>",
        "passwd?12",
    ),
    ("<link rel=stylesheet href='http://127.0.0.1:9/13.css'>", "http://127.0.0.1:9/13.css"),
    ("<svg><image href='file:///etc/passwd?14' width='9' height='9'/></svg>", "passwd?14"),
    ("<object data='file:///etc/passwd?15'></object>", "passwd?15"),
    ("<embed src='file:///etc/passwd?16'>", "passwd?16"),
    ("<link rel=attachment href='file:///etc/passwd?17'>", "passwd?17"),
    ("<a rel=attachment href='file:///etc/passwd?18'>x</a>", "passwd?18"),
)


async def test_nothing_else_is_read(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "letter"
    folder.mkdir()
    (tmp_path / "secret.svg").write_text("<svg/>", encoding="utf-8")
    (folder / "link.svg").symlink_to(tmp_path / "secret.svg")
    page = "<p>ok</p>" + "".join(markup for markup, _ in REFUSED)
    done = await pressed(page, tmp_path, folder=folder)
    stops = [fault.what for fault in done.faults if fault.level == "fault"]
    for markup, words in REFUSED:
        assert any(f"{words}'" in what for what in stops), markup
    content = (tmp_path / "out" / "letter.pdf").read_bytes()
    assert b"root:" not in content
    assert b"/EmbeddedFile" not in content


async def test_base_moves_nothing_into_reach(tmp_path: pathlib.Path) -> None:
    done = await pressed("<base href='file:///etc/'><img src='passwd'>", tmp_path)
    assert [fault for fault in done.faults if fault.level == "fault"]


async def test_missing_glyph_is_named(tmp_path: pathlib.Path) -> None:
    done = await pressed("<p>the name Ada \U0010fffd Lov</p>", tmp_path)
    [fault] = done.faults
    assert fault.level == "fault"
    assert "U+10FFFD" in fault.what
    assert "the name Ada" in fault.what


@pytest.mark.parametrize(
    ("letter", "script", "package"),
    [
        ("漢", "Chinese or Japanese", "fonts-noto-cjk"),
        ("한", "Korean", "fonts-noto-cjk"),
        ("प", "Devanagari", "fonts-noto-core"),
        ("🌻", "emoji", "fonts-noto-color-emoji"),
    ],
)
def test_missing_glyph_says_what_to_install(letter: str, script: str, package: str) -> None:
    [fault] = glyphs.faults([ord(letter)], f"<p>&amp; Ada {letter}</p>")
    assert script in fault.what
    assert f"“& Ada {letter}”" in fault.what
    assert fault.hint == f"install {package}"


async def test_style_that_is_not_understood_is_a_warning(tmp_path: pathlib.Path) -> None:
    (tmp_path / "own.css").write_text("p {\n  colour: red;\n}\n", encoding="utf-8")
    done = await pressed('<link rel=stylesheet href="own.css"><p>x', tmp_path)
    [fault] = done.faults
    assert (fault.level, fault.line) == ("warning", 2)
    assert fault.file == str(tmp_path / "own.css")
    assert "colour" in fault.what


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (child.Limits(cpu=2, time=110), "2 seconds of processor time"),
        (child.Limits(cpu=60, time=1), "1 second of time"),
        (child.Limits(cpu=60, time=110, memory=90_000_000), "90,000,000 bytes"),
    ],
)
async def test_limits(tmp_path: pathlib.Path, limits: child.Limits, said: str) -> None:
    with pytest.raises(errors.LetterError) as caught:
        await pressed(ENDLESS, tmp_path, limits)
    [fault] = caught.value.faults
    assert said in fault.what
    assert "[pdf] in config.toml" in fault.hint
    assert list((tmp_path / "out").iterdir()) == []


async def test_deep_markup_is_a_fault(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.LetterError):
        await pressed("<div>" * 3000 + "x", tmp_path)


async def test_no_secret_reaches_the_child(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELIVERYBOT_MAIL__PASSWORD", "hunter2")
    async with running(tmp_path) as pid:
        environment = await asyncio.to_thread(pathlib.Path(f"/proc/{pid}/environ").read_bytes)
    assert b"hunter2" not in environment
    assert b"LC_ALL=C.UTF-8" in environment


async def test_cancelled_press_leaves_nothing(tmp_path: pathlib.Path) -> None:
    async with running(tmp_path) as pid:
        pass
    assert not alive(pid)
    assert list((tmp_path / "out").iterdir()) == []


def test_child_dies_with_its_parent(tmp_path: pathlib.Path) -> None:
    (tmp_path / "page.html").write_text(ENDLESS, encoding="utf-8")
    script = textwrap.dedent("""
        import asyncio, pathlib, sys
        from deliverybot import render
        from deliverybot.pdf import child, press
        here = pathlib.Path(sys.argv[1])
        asyncio.run(press.press(here / "page.html", folder=here, theme=render.THEME,
                                out=here / "x.pdf", limits=child.Limits(cpu=100)))
    """)
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    pid = confined_child(parent.pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    until(lambda: not alive(pid))


@contextlib.asynccontextmanager
async def running(tmp_path: pathlib.Path) -> AsyncIterator[int]:
    """Give the number of a child that works on an endless page; cancel it at the end."""
    task = asyncio.create_task(pressed(ENDLESS, tmp_path))
    pid = await asyncio.to_thread(confined_child, os.getpid())
    yield pid
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def confined_child(parent: int) -> int:
    """Wait for the parent's press child to have limited itself and begun its work."""
    found: list[int] = []

    def ready() -> bool:
        children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        found[:] = [int(pid) for pid in children if b"plate" in commandline(int(pid))]
        return any("pango" in maps(pid) for pid in found)

    until(ready)
    return found[0]


def commandline(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def maps(pid: int) -> str:
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/maps").read_text()
    return ""


def alive(pid: int) -> bool:
    """Say whether the process is there and no zombie."""
    with contextlib.suppress(OSError):
        return ") Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text()
    return False


def until(done: Callable[[], bool]) -> None:
    """Look again and again until it is so; the time-out of the test is the limit."""
    while not done():
        time.sleep(0.02)
