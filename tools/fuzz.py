"""Throws made-up text at all that first meets other people's, and watches what it does.

``make fuzz MINUTES=5`` lets atheris (libFuzzer) look for text that makes
cleaning, suspicions, addresses or counts fail, or break what they promise.  It
learns from the names in tests/fixtures/.  What it finds is printed, in Base64
too, and ends the run with an error; no such thing is good.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
import unicodedata

import atheris

with atheris.instrument_imports(include=["deliverybot"]):
    from deliverybot import cautions, errors, look_alikes, screen, suspicions
    from deliverybot.sources import counting

_FIXTURES = pathlib.Path(__file__).parent.parent / "tests" / "fixtures"
#: Longer texts find nothing that these do not.
_LONGEST = 400


class Target:
    """Whom the letter is for."""

    def __init__(self, name: str, role: str) -> None:
        self.name, self.role, self.organisation = name, role, "Example Cloud"


WATCH = suspicions.watch([Target("Jordan Vale", "Chief Executive"), Target("王大力", "")])


def look(data: bytes) -> None:
    """Check every promise about a text: the bytes as UTF-8, and as UTF-16, which is any letter."""
    for text in (
        data.decode("utf-8", "surrogateescape"),
        data[: len(data) // 2 * 2].decode("utf-16-le", "surrogatepass"),
    ):
        cleaning(text)
        naming(text)
        writing(text)


def cleaning(text: str) -> None:
    """Cleaning comes to an end, and what is clean stays as it is."""
    for limit in (0, 1, 7, 255):
        for clean in (screen.clean, screen.clean_block):
            once = clean(text, limit)
            assert clean(once, limit) == once, (limit, text)
            assert len(once) <= limit
            assert unicodedata.is_normalized("NFC", once)
            once.encode()
    line = screen.clean(text)
    rest = line.replace("\u200c", "").replace("\u200d", "")
    assert rest.isprintable(), text
    assert "\x1b" not in screen.for_terminal(text)
    block = screen.clean_block(text)
    without = screen.without_private(block)
    assert not screen.has_private(without), text
    cautions.of(block, name=line, postcode=line[:9])


def naming(text: str) -> None:
    """A look at a name always comes to an answer, and twice to the same."""
    for name in (text, screen.clean(text)):
        once = suspicions.of(name, targets=WATCH)
        assert set(once) <= suspicions.KINDS.keys()
        assert suspicions.of(name, targets=WATCH) == once, name
    folded = look_alikes.fold(text)
    assert look_alikes.fold(folded) == folded, text
    suspicions.watch([Target(text, text)])
    for style in ("full", "initial", "first"):
        screen.shown_name(screen.clean(text), style)


def writing(text: str) -> None:
    """An address has one form; a number is read whole or refused."""
    plain = screen.normalise_email(text)
    if plain is not None:
        assert screen.normalise_email(plain) == plain, text
        assert screen.key(b"secret", "campaign", "email", plain)
        box = screen.mailbox(text)
        assert box is not None, text
        for form in (box.now, *box.before):
            other = screen.mailbox(form)
            assert other is not None, text
            assert other.now == box.now, text
    try:
        number = counting.written(text, "a fuzzed text")
    except errors.SourceError:
        return
    assert number >= 0, text


def main() -> None:
    """Run for as many minutes as are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as corpus:
        for file in ("real_names.txt", "odd_names.txt"):
            lines = (_FIXTURES / file).read_text(encoding="utf-8").splitlines()
            for number, line in enumerate(lines):
                name = line.rpartition("\t")[2]
                (pathlib.Path(corpus) / f"{file}{number}").write_bytes(name.encode())
                (pathlib.Path(corpus) / f"{file}{number}w").write_bytes(name.encode("utf-16-le"))
        options = [f"-max_total_time={minutes * 60:.0f}", f"-max_len={_LONGEST}"]
        options += ["-print_final_stats=1", f"-artifact_prefix={corpus}/", corpus]
        atheris.Setup([sys.argv[0], *options], look)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
