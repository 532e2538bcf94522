"""Mails and posts: plain text, and the same text as HTML."""

from __future__ import annotations

import dataclasses
import html
import pathlib
import re
from collections.abc import Mapping

from deliverybot import errors, places
from deliverybot.render import facts as said
from deliverybot.render import lint, shelf, templates, vault

#: Longer subjects are cut by mail programs, and no campaign needs them.
LONGEST_SUBJECT = 200

_LINK = re.compile(r"https?://[^\s<>\"']*[^\s<>\"'.,;:!?)\]]", re.IGNORECASE)
_SUBJECT = re.compile(r"subject:[ \t]*(.*)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """The words of a mail; text and HTML say the same."""

    faults: list[errors.Fault]
    subject: str = ""
    text: str = ""
    html: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The words of a post."""

    faults: list[errors.Fault]
    text: str = ""


def mail(folder: pathlib.Path | None, facts: said.Facts, *, parts: int = 1) -> Mail:
    """Render ``mail.txt``: a ``Subject:`` line, an empty line, the text.

    `parts` is in how many mails the letter goes; this is the first of them.
    """
    return _mail("mail.txt", folder, facts, {"parts": parts})


def part(folder: pathlib.Path | None, facts: said.Facts, which: said.Part, subject: str) -> Mail:
    """Render ``part.txt``, the text of a letter's second or later mail."""
    return _mail("part.txt", folder, facts, said.of_part(facts, which), subject)


def _mail(
    name: str,
    folder: pathlib.Path | None,
    facts: said.Facts,
    more: Mapping[str, object],
    subject: str = "",
) -> Mail:
    """Render a template as a mail; without a `subject` its first line has one."""
    files = shelf.Shelf(folder=folder)
    faults = [*check(files, name), *check(files, "mail.html"), *said.faults(facts)]
    if any(fault.level == "fault" for fault in faults):
        return Mail(faults=faults)
    kept = vault.Vault()
    filler = templates.Templates(files, facts.language)
    known = {**said.values(facts), **more}
    try:
        body = filler.fill(name, known, kept).lstrip("\n")
        if not subject:
            first, _, body = body.partition("\n")
            subject = kept.plain(after_subject(first)).strip()
            faults += subject_faults(subject, files)
        parts = paragraphs(body.strip("\n"), kept)
        frame = known | {"subject": subject, "body": vault.Piece(html=parts)}
        page = kept.markup(filler.fill("mail.html", frame, kept))
    except errors.LetterError as error:
        return Mail(faults=[*faults, *error.faults])
    return Mail(subject=subject, text=kept.plain(body).strip("\n") + "\n", html=page, faults=faults)


def post(folder: pathlib.Path | None, template: str, facts: said.Facts) -> Text:
    """Render the text of a post; no target's own address gets into it."""
    facts = dataclasses.replace(facts, signers_url="", signers_until=None)
    files = shelf.Shelf(folder=folder)
    faults = [*check(files, template), *said.faults(facts)]
    if any(fault.level == "fault" for fault in faults):
        return Text(faults=faults)
    kept = vault.Vault()
    filler = templates.Templates(files, facts.language)
    try:
        text = kept.plain(filler.fill(template, said.values(facts), kept)).strip()
    except errors.LetterError as error:
        return Text(faults=[*faults, *error.faults])
    if not text:
        # Some networks would take it, and post nothing but a picture.
        source = files.readable(template)
        hint = f"write what is to be posted into {template}"
        faults.append(
            errors.Fault(
                level="fault", what="the post has no words", hint=hint,
                file=source.shown if source else files.shown,
            )
        )  # fmt: skip
    return Text(text=text, faults=faults)


def check(files: shelf.Shelf, name: str) -> list[errors.Fault]:
    """Name what is wrong with one template of plain text, or with the mail's page."""
    if gone := absent(files, name):
        return [gone]
    known = templates.VARIABLES
    if name in {"mail.txt", "mail.html"}:
        known |= templates.MAIL
    if name == "mail.html":
        known |= {"subject", "body"}
    if name == "part.txt":
        known |= templates.PART
    checker = templates.Templates(files)
    faults = checker.faults(name, known)
    source = files.readable(name)
    if source is None:
        return faults
    lines = checker.data(source)
    faults += lint.placeholders(source, lines, signed=False)
    if name == "mail.html":
        faults += lint.page(lint.with_blanks(lines), source, files)
    return faults + (without_subject(source) if name == "mail.txt" else [])


def absent(files: shelf.Shelf, name: str) -> errors.Fault | None:
    """Say that there is no such template; None where there is one."""
    if files.find(name) is not None:
        return None
    what = f"the template {name!r} is neither in the letter's folder nor in the theme"
    there = files.folder.iterdir() if files.folder and files.folder.is_dir() else ()
    near = places.nearest(name, (one.name for one in there))
    hint = f"did you mean '{near}'? " if near else ""
    hint += "write the file, or name another template"
    return errors.Fault(level="fault", what=what, hint=hint, file=files.shown)


def marked(files: shelf.Shelf, name: str) -> list[errors.Fault]:
    """Warn of HTML and Markdown in a post's template: networks print the signs as they are."""
    source = files.readable(name) if files.find(name) else None
    if source is None:
        return []
    lines = templates.Templates(files).data(source)
    return [
        errors.Fault(
            level="warning",
            what=f"posts are plain text, and {sign!r} would be posted as it stands",
            hint="take it out",
            file=source.shown,
            line=line,
        )
        for line, sign in lint.signs(lines)
    ]


def addressed(
    files: shelf.Shelf, name: str, hidden: frozenset[str], first: str
) -> list[errors.Fault]:
    """Warn where a template that is told once names one of several targets, the `first`.

    `hidden` are the variables that know no other.
    """
    known = templates.VARIABLES | templates.CARD
    checker = templates.Templates(files)
    sound = checker.faults(name, known)
    return [
        dataclasses.replace(
            fault,
            level="warning",
            what=f"one post goes out for all targets, and this names only the first: {first}",
            hint="write in your own words whom it is about",
        )
        for fault in checker.faults(name, known - hidden)
        if fault not in sound
    ]


def without_subject(source: shelf.Source) -> list[errors.Fault]:
    """Say where a mail's template does not start with its subject."""
    first = source.text.lstrip("\n").partition("\n")
    if _SUBJECT.match(first[0]) and first[2].startswith("\n"):
        return []
    what = "the mail starts with a line 'Subject: ...' and an empty line"
    return [errors.Fault(level="fault", what=what, file=source.shown, line=1)]


def after_subject(line: str) -> str:
    """Return what the first line of a mail's template says behind ``Subject:``."""
    found = _SUBJECT.match(line)
    return found[1] if found else line


def subject_faults(subject: str, files: shelf.Shelf, name: str = "mail.txt") -> list[errors.Fault]:
    """Name what no mail header may say (CVE-2024-6923: an encoded word can forge headers)."""
    source = files.read(name)
    shown = source.shown if source else None
    found = []
    if not subject:
        found.append("the subject is empty")
    if "=?" in subject or any(ord(letter) < ord(" ") for letter in subject):
        found.append("the subject holds '=?' or a control character")
    if len(subject) > LONGEST_SUBJECT:
        found.append(f"the subject has {len(subject)} characters; {LONGEST_SUBJECT} are the most")
    return [errors.Fault(level="fault", what=what, file=shown, line=1) for what in found]


def paragraphs(text: str, kept: vault.Vault) -> str:
    """Set plain text as paragraphs with live links; values stay behind tokens.

    A paragraph whose values are all empty, such as a salutation, is none.
    """
    parts = [part for part in re.split(r"\n[ \t]*\n", text) if kept.plain(part).strip()]
    return "\n".join(f"<p>{_lines(part, kept)}</p>" for part in parts)


def _lines(part: str, kept: vault.Vault) -> str:
    return "<br>\n".join(_linked(line, kept) for line in part.strip("\n").split("\n"))


def _linked(line: str, kept: vault.Vault) -> str:
    """Escape one line; make addresses links, whether written out or printed from a value."""
    out = []
    at = 0
    for found in kept.spans(line, _LINK):
        start, end = found
        address = line[start:end]
        out += [html.escape(line[at:start], quote=False)]
        shown = html.escape(address)
        out.append(f'<a href="{shown}">{shown}</a>')
        at = end
    return "".join([*out, html.escape(line[at:], quote=False)])
