"""Digests: one mail with the words of several letters, a section for each."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Sequence

from deliverybot import errors, model
from deliverybot.render import facts as said
from deliverybot.render import lint, message, shelf, templates, vault, words


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One letter of a digest."""

    title: str
    language: str
    #: Its own mail's text.
    text: str
    #: The file name of its PDF.
    pdf: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a digest may say."""

    #: Of the letter that carries it.
    language: str
    target: model.Target
    sender_name: str
    sender_address: str
    reply_to: str
    letters: Sequence[Section]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Letter:
    """What templates know of a section; `body` is its text as HTML."""

    title: str
    language: str
    direction: str
    text: vault.Lines
    body: vault.Piece
    pdf: str


def mail(folder: pathlib.Path | None, facts: Facts) -> message.Mail:
    """Render ``digest.txt`` and ``digest.html``.

    What the text says above the first letter stands at the head of the page, too.
    """
    files = shelf.Shelf(folder=folder)
    name = _named(files, facts.language)
    faults = [*_check(files, name), *_check(files, "digest.html")]
    if any(fault.level == "fault" for fault in faults):
        return message.Mail(faults=faults)
    try:
        known = _values(facts)
        whole = _filled(files, name, known, facts.language)
        bare = _filled(files, name, known | {"letters": []}, facts.language)
        lines = zip(whole.split("\n"), bare.split("\n"), strict=False)
        same = [one for one, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], lines)]
        subject, text = message.after_subject(whole.partition("\n")[0]).strip(), whole
        kept = vault.Vault()
        head = vault.Piece(html=message.paragraphs("\n".join(same[1:]).strip("\n"), kept))
        frame = known | {"subject": subject, "head": head}
        filler = templates.Templates(files, facts.language)
        page = kept.markup(filler.fill("digest.html", frame, kept))
    except errors.LetterError as error:
        return message.Mail(faults=[*faults, *error.faults])
    faults += message.subject_faults(subject, files, name)
    body = text.partition("\n")[2].strip("\n") + "\n"
    return message.Mail(subject=subject, text=body, html=page, faults=faults)


def check(folder: pathlib.Path | None) -> list[errors.Fault]:
    """Name everything that is wrong with the templates of digests, without any facts."""
    files = shelf.Shelf(folder=folder)
    own = sorted(file.name for file in folder.glob("digest.*.txt")) if folder else []
    names = dict.fromkeys(("digest.txt", "digest.html", *own))
    return [fault for name in names for fault in _check(files, name)]


def _named(files: shelf.Shelf, language: str) -> str:
    """Return the template in a language: ``digest.de.txt`` where there is one."""
    wanted = (f"digest.{language}.txt", f"digest.{language.partition('-')[0]}.txt")
    return next((name for name in wanted if files.find(name)), "digest.txt")


def _check(files: shelf.Shelf, name: str) -> list[errors.Fault]:
    page = name == "digest.html"
    checker = templates.Templates(files)
    faults = checker.faults(name, templates.DIGEST | ({"subject", "head"} if page else set()))
    source = files.readable(name)
    if source is None:
        return faults
    lines = checker.data(source)
    faults += lint.placeholders(source, lines, signed=False)
    if page:
        faults += lint.page(lint.with_blanks(lines), source, files)
    else:
        faults += message.without_subject(source)
    return faults


def _values(facts: Facts) -> dict[str, object]:
    kept = vault.Vault()
    return {
        "count": len(facts.letters),
        "language": facts.language,
        "direction": words.direction(facts.language),
        "target": said.person(facts.target),
        "sender": said.sender(facts.sender_name, facts.sender_address, facts.reply_to),
        "letters": [
            _Letter(
                title=one.title,
                language=one.language,
                direction=words.direction(one.language),
                text=vault.Lines(one.text.strip("\n")),
                body=vault.Piece(html=message.paragraphs(one.text, kept)),
                pdf=one.pdf,
            )
            for one in facts.letters
        ],
    }


def _filled(files: shelf.Shelf, name: str, known: dict[str, object], language: str) -> str:
    kept = vault.Vault()
    filled = templates.Templates(files, language).fill(name, known, kept)
    return kept.plain(filled).lstrip("\n")
