"""Letters, mails and posts from templates and facts: one way for all of them."""

from __future__ import annotations

import pathlib

from deliverybot import errors
from deliverybot.render import card as cards
from deliverybot.render import digest, facts, message, page, shelf, words

Facts = facts.Facts
Page = page.Page
Mail = message.Mail
Text = message.Text

Part = facts.Part
Card = cards.Card
Digest = digest.Facts
Section = digest.Section

letter = page.letter
card = cards.card
cover = page.cover
CARD = cards.NAMES
listing = page.listing
mail = message.mail
part = message.part
subject = words.of_several
post = message.post
together = digest.mail
fingerprint = shelf.fingerprint
group = words.group
require = page.require

#: The folder of the built-in theme.
THEME = shelf.THEME


def check(
    folder: pathlib.Path | None, names: tuple[str, ...] = ("letter", "mail", "post.txt")
) -> list[errors.Fault]:
    """Name everything that is wrong with a letter's files, without any facts.

    ``letter`` is letter.html or letter.md with its style, ``mail`` is mail.txt
    with its HTML page and part.txt, ``digest`` the mail of several letters,
    anything else a template of plain text.
    """
    files = shelf.Shelf(folder=folder)
    faults = []
    for name in names:
        if name == "digest":
            faults += digest.check(folder)
            continue
        if name == "letter":
            faults += page.check(files)
        elif name == "mail":
            for one in ("mail.txt", "mail.html", "part.txt"):
                faults += message.check(files, one)
        else:
            faults += message.check(files, name) + message.marked(files, name)
    return faults


def english(folder: pathlib.Path, names: tuple[str, ...], language: str) -> list[errors.Fault]:
    """Warn where a letter in another language has built-in words, which are English."""
    files = shelf.Shelf(folder=folder)
    built_in = [name for name in dict.fromkeys(names) if not files.inside(name)]
    if not built_in or words.locale(language).language == "en":
        return []
    what = f"the letter is in {language!r}, and the built-in {', '.join(built_in)} in English"
    hint = "write your own beside letter.md; headings of the list are yours with a letter.html"
    return [errors.Fault(level="warning", what=what, hint=hint, file=files.shown)]


def built_in(folder: pathlib.Path, names: tuple[str, ...]) -> list[errors.Fault]:
    """Tell of the posts' templates that are not in the letter's folder, but in the theme."""
    files = shelf.Shelf(folder=folder)
    what = "posts have the built-in words, title, count and link: there is no {} in this folder"
    return [
        errors.Fault(level="ok", what=what.format(name), file=files.shown)
        for name in dict.fromkeys(names)
        if files.find(name) == shelf.THEME / name
    ]


def addressed(
    folder: pathlib.Path, names: tuple[str, ...], hidden: frozenset[str], first: str
) -> list[errors.Fault]:
    """Warn where posts and cards name one of several targets: see `message.addressed`."""
    files = shelf.Shelf(folder=folder)
    faults = [message.addressed(files, name, hidden, first) for name in dict.fromkeys(names)]
    return list(dict.fromkeys(fault for each in faults for fault in each))


def absent(folder: pathlib.Path | None, name: str) -> errors.Fault | None:
    """Say that a template is neither in the folder nor in the theme; None where it is."""
    return message.absent(shelf.Shelf(folder=folder), name)
