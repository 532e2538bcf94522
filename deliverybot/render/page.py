"""The letter itself: one page of HTML for the press."""

from __future__ import annotations

import dataclasses
import html
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence

from deliverybot import errors
from deliverybot.render import facts as said
from deliverybot.render import figures, lint, remarks, shelf, signers, templates, vault, words
from deliverybot.render import markdown as md

#: The two places that a page may fetch from.  They are no addresses: the press
#: maps each to a folder and refuses everything else.
LETTER_URL = "https://letter.invalid/"
THEME_URL = "https://theme.invalid/"

#: What the first page of a list may print.
_LISTING = templates.VARIABLES | templates.PART | {"names"}
_HEAD = re.compile(r"<head(\s[^>]*)?>", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A letter as HTML; the list of names is read while it is written out, once."""

    faults: list[errors.Fault]
    before: str = ""
    names: Iterator[str] | None = None
    after: str = ""
    #: What stands where a name is withheld; None where the letter lists nobody.
    withheld: str | None = None

    def pieces(self) -> Iterator[str]:
        """Yield the page in pieces; raises LetterError where it has faults."""
        require(self.faults)
        yield self.before
        yield from self.names or ()
        yield self.after

    def write(self, path: pathlib.Path) -> None:
        """Write the page to a file."""
        require(self.faults)
        with path.open("w", encoding="utf-8") as file:
            file.writelines(self.pieces())

    def html(self) -> str:
        """Return the whole page; for lists that fit into memory."""
        return "".join(self.pieces())


def require(faults: Iterable[errors.Fault]) -> None:
    """Raise LetterError if one of the faults stops the work."""
    stops = [fault for fault in faults if fault.level == "fault"]
    if stops:
        raise errors.LetterError(stops)


def letter(folder: pathlib.Path | None, facts: said.Facts) -> Page:
    """Render the letter as a page of HTML for the press.

    ``letter.md`` is set into the theme's page; a ``letter.html`` of the
    folder is preferred, and is a whole page if it has an ``<html>`` tag.
    """
    files = shelf.Shelf(folder=folder)
    faults = [*check(files), *said.faults(facts)]
    if any(fault.level == "fault" for fault in faults):
        return Page(faults=faults)
    kept = vault.Vault()
    names, remarked = said.Names(facts), remarks.Remarks(facts)
    try:
        text = kept.expand(_fill(files, facts, kept, {"names": names, "remarks": remarked}))
    except errors.LetterError as error:
        return Page(faults=[*faults, *error.faults])
    sources = [source for name in _parts(files) if (source := files.readable(name))]
    faults += lint.markup(text, sources, files, kept.holds, kept.plain)
    whole = _with_head(kept.markup(text), files, facts)
    if kept.keeps(remarked.piece):
        whole = whole.replace(kept.token_of(remarked.piece), remarked.html())
    elif facts.comments:
        hint = 'print {{ remarks("No.") }} where they belong, or set comments = "none"'
        faults.append(_unprinted("comments", hint, sources))
    printed = kept.keeps(names.piece)
    if facts.volumes and printed:
        return Page(faults=faults, before=whole, withheld=names.withheld)
    if not facts.volumes and (facts.signers is None or not (printed or facts.figures.listed)):
        return Page(faults=faults, before=whole)
    if not printed:
        hint = 'print {{ names("Name withheld") }} where the list belongs'
        return Page(faults=[*faults, _unprinted("names", hint, sources)])
    before, _, after = whole.partition(kept.token_of(names.piece))
    words = names.withheld or ""
    listing = signers.paragraphs(facts.signers or (), facts.fields, words)
    return Page(faults=faults, before=before, names=listing, after=after, withheld=words)


def _unprinted(what: str, hint: str, sources: Sequence[shelf.Source]) -> errors.Fault:
    said = f"the letter never prints the {what} of its signers"
    return errors.Fault(level="fault", what=said, hint=hint, file=sources[0].shown)


def cover(folder: pathlib.Path | None, facts: said.Facts, part: said.Part) -> Page:
    """Render the first page of a letter's second or later part."""
    files = shelf.Shelf(folder=folder)
    checker = templates.Templates(files, facts.language)
    known = templates.VARIABLES | templates.PART
    faults = [*checker.faults("part.html", known), *said.faults(facts)]
    if any(fault.level == "fault" for fault in faults):
        return Page(faults=faults)
    kept = vault.Vault()
    text = checker.fill("part.html", said.values(facts) | said.of_part(facts, part), kept)
    return Page(faults=faults, before=_with_head(kept.markup(text), files, facts))


def listing(folder: pathlib.Path | None, facts: said.Facts, whole: said.Part) -> Page:
    """Render the first page of a list that lies behind a link."""
    files = shelf.Shelf(folder=folder)
    checker = templates.Templates(files, facts.language)
    faults = [*checker.faults("list.html", _LISTING), *said.faults(facts)]
    if any(fault.level == "fault" for fault in faults):
        return Page(faults=faults)
    kept, names = vault.Vault(), said.Names(facts)
    known = said.values(facts) | said.of_part(facts, whole) | {"names": names}
    try:
        text = kept.expand(checker.fill("list.html", known, kept))
    except errors.LetterError as error:
        return Page(faults=[*faults, *error.faults])
    if not kept.keeps(names.piece):
        hint = 'print {{ names("Name withheld") }}: its words stand where a name is withheld'
        sources = [source for source in [files.readable("list.html")] if source]
        faults.append(_unprinted("names", hint, sources))
    before = _with_head(kept.markup(text), files, facts)
    return Page(faults=faults, before=before, withheld=names.withheld)


def check(files: shelf.Shelf) -> list[errors.Fault]:
    """Name what is wrong with the letter's own files."""
    body = _body(files)
    if body is None:
        what = "the letter has no text: neither letter.md nor letter.html is there"
        hint = "write letter.md in the letter's folder"
        return [errors.Fault(level="fault", what=what, hint=hint, file=files.shown)]
    checker = templates.Templates(files)
    faults = []
    for name in (*_parts(files)[:-1], "part.html", "list.html"):
        known = templates.VARIABLES | templates.FRAME | templates.FIGURES
        if name == "part.html":
            known = templates.VARIABLES | templates.PART
        elif name == "list.html":
            known = _LISTING
        elif name == "signed.txt":
            known = templates.VARIABLES | {"signed"}
        elif name == body == "letter.md":
            known = templates.VARIABLES | templates.FIGURES | {"signed"}
        faults += checker.faults(name, known)
        if source := files.readable(name):
            faults += _words(checker, source, files, signed=name == body)
    return faults + lint.style(files, "letter.css")


def _words(
    checker: templates.Templates, source: shelf.Source, files: shelf.Shelf, *, signed: bool
) -> list[errors.Fault]:
    """Check what the template says itself, with a blank for each value."""
    lines = checker.data(source)
    faults = list(lint.placeholders(source, lines, signed=signed))
    text = lint.with_blanks(lines)
    if source.name.endswith(".md"):
        if line := md.endless(text):
            return [*faults, _endless(source.shown, line)]
        text = md.to_html(text)
    if source.name.endswith((".md", ".html")):
        faults += lint.page(text, source, files)
    return faults


def _endless(shown: str | None, line: int | None) -> errors.Fault:
    what = f"a paragraph has more than {md.MOST_IN_A_PARAGRAPH:,} letters"
    hint = "part it with empty lines"
    return errors.Fault(level="fault", what=what, hint=hint, file=shown, line=line)


def _body(files: shelf.Shelf) -> str | None:
    return next((name for name in ("letter.html", "letter.md") if files.inside(name)), None)


def _parts(files: shelf.Shelf) -> tuple[str, ...]:
    return (_body(files) or "letter.md", "signed.txt", "theme:letter.html", "letter.css")


def _fill(files: shelf.Shelf, facts: said.Facts, kept: vault.Vault, late: dict[str, object]) -> str:
    """Fill in the letter and set it into its page; values stay behind tokens.

    `late` is what a page may call for that is printed when all else is done.
    """
    filler = templates.Templates(files, facts.language)
    known = said.values(facts)
    sentence = filler.fill("signed.txt", known, kept).strip()
    lines = "<br>\n".join(html.escape(line, quote=False) for line in sentence.splitlines())
    way = words.way(sentence, facts.language)
    signed = vault.Piece(html=f'<p class="signed" dir="{way}">{lines}</p>\n')
    drawn = figures.Figures(facts, kept)
    known |= {"signed": signed, "growth": drawn.growth, "places": drawn.places}
    one = facts.targets[0].salutation if len(facts.targets) == 1 else ""
    frame = known | late | {"salutation": one}
    name = _body(files) or "letter.md"
    text = filler.fill(name, frame if name.endswith(".html") else known, kept)
    text = lint.SIGNATURE.sub(lambda _: f"\n\n{kept.put(signed)}\n\n", text)
    if name.endswith(".md"):
        if md.endless(text):
            raise errors.LetterError([_endless(files.shown, None)])
        text = md.to_html(text)
    if "<html" in text.lower():
        return text
    if kept.keeps(signed):
        frame["signed"] = vault.Piece(html="")
    frame["body"] = vault.Piece(html=text)
    return filler.fill("theme:letter.html", frame, kept)


def _with_head(page: str, files: shelf.Shelf, facts: said.Facts) -> str:
    """Put what every letter needs into its head: style sheets, paper, title and author."""
    paper = {"A4": "A4", "Letter": "letter"}[facts.paper]
    head = (
        f"<title>{html.escape(vault.one_line(facts.title))}</title>\n"
        f'<meta name="author" content="{html.escape(vault.one_line(facts.sender_name))}">\n'
        f'<link rel="stylesheet" href="{THEME_URL}letter.css">\n'
        f"<style>@page {{ size: {paper} }}</style>\n"
    )
    if files.inside("letter.css"):
        head += f'<link rel="stylesheet" href="{LETTER_URL}letter.css">\n'
    return with_head(page, head)


def with_head(page: str, head: str) -> str:
    """Put something at the start of a page's head."""
    found = _HEAD.search(page)
    at = found.end() if found else 0
    return page[:at] + "\n" + head + page[at:]
