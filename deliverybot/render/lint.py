"""What is wrong with a letter's words and markup: placeholders, images, addresses."""

from __future__ import annotations

import html.parser
import re
from collections.abc import Callable, Iterable, Iterator

from deliverybot import errors
from deliverybot.render import shelf

#: A line that says only this is where the signer's name goes.
SIGNATURE = re.compile(
    r"^[ \t>]*\[(?:your (?:full )?name(?: here)?|name)\][ \t\\]*$", re.IGNORECASE | re.MULTILINE
)

_LEFT = re.compile(
    r"""
    \[ (?: x{2,} | \.{3} | … | [A-Z][A-Z _/-]{2,40} ) \] (?![(\[:])
    | \{\{ [^{}\n]* \}\}
    | \$\{ \w+ \} | (?<!\{) \{ \ ? [A-Za-z][A-Za-z_.]+ (?:\|\w+)? \ ? \} (?!\})
    | << [^<>\n]{1,40} >> | < (?:your|insert)\ [^<>\n]{1,40} >
    | % [A-Z][A-Z_]{2,} % | \*\| [^|\n]{1,40} \|\*
    | \b (?:TODO|FIXME|TBD|XXX+) \b
    | (?i: \b lorem \s+ ipsum \b )
    """,
    re.VERBOSE,
)
_BRACKET = re.compile(
    r"\[\s*(?:your|insert|enter|fill in|recipient|target|first name|last name|full name|name)\b"
    r"[^\]\n]{0,80}\](?![(\[:])",
    re.IGNORECASE,
)
# Each of these reads on and never back: half a megabyte of `url(` must not take an hour.
_CSS_URL = re.compile(
    r"""(?:url\(\s*+|@import\s++(?=["']))(?:"([^"\n]*+)|'([^'\n]*+)|([^\s"'()]*+))""", re.IGNORECASE
)
_CSS_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])")
_TAG = re.compile(
    r"""<!--(?!-?>)(?:(?!--!?>).)*+--> | <!doctype\ [^<>]*+> | </[A-Za-z][^<>]*+>
    | <[A-Za-z](?:"[^"]*+"|'[^']*+'|[^'"<>])*+>""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
#: A tag, an entity, a link or strong words of Markdown; "<3" and "a < b" are none.
_SIGN = re.compile(
    r"""</?[A-Za-z][A-Za-z0-9]{0,9}(?:\s[^<>]{0,200}|\s?/)?> | &(?:[a-z]{2,8}|\#\d{1,6});
    | \]\( | \*\*(?=\S) | __(?=\w)""",
    re.VERBOSE,
)
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_FETCHED = {"src", "srcset", "poster", "background", "data", "xlink:href", "action", "formaction"}
#: Stands for a value where a template is read without any.
_VALUE = "zqvaluezq"
_REFUSED = {"script", "iframe", "object", "embed", "base", "form", "video", "audio", "frame"}
#: A picture inside the text itself; more belongs in a file.
MOST_DATA = 100_000


def placeholder(text: str) -> str | None:
    """Return the first placeholder that somebody forgot to fill in."""
    found = [match for match in (_LEFT.search(text), _BRACKET.search(text)) if match]
    return min(found, key=lambda match: match.start())[0] if found else None


def placeholders(
    source: shelf.Source, lines: Iterable[tuple[int, str]], *, signed: bool
) -> Iterator[errors.Fault]:
    """Name the placeholders left in a template's own text.

    Where ``signed`` is true a line ``[Your Name Here]`` is the signer's place.
    """
    for line, text in lines:
        if signed and SIGNATURE.match(text):
            continue
        if left := placeholder(text):
            yield errors.Fault(
                level="fault",
                what=f"the placeholder {left} was never filled in",
                hint="write what belongs there, or print a value such as {{ target.name }}",
                file=source.shown,
                line=line,
            )


def signs(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yield line and sign of HTML and Markdown, which say nothing where text is plain."""
    for line, text in lines:
        if match := _SIGN.search(text):
            yield line, match[0]


class _Reader(html.parser.HTMLParser):
    """Collects what a page would fetch and where its markup is broken by a value."""

    def __init__(self, holds: Callable[[str], bool], plain: Callable[[str], str]) -> None:
        super().__init__(convert_charrefs=True)
        self.holds = holds
        self.plain = plain
        #: (what, the words to look for in the source, hint).
        self.found: list[tuple[str, str, str]] = []
        self.files: list[str] = []
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one tag."""
        whole = self.get_starttag_text() or ""
        if self.holds(_QUOTED.sub("", whole)):
            hint = "put the value in quotes, or write [words]({{ url }}) for a link"
            self.found.append(("a value stands inside a tag without quotes", f"<{tag[:2]}", hint))
            return
        self._style = tag == "style"
        if tag in _REFUSED:
            self.found.append((f"<{tag}> is not allowed in a letter", f"<{tag}", ""))
        for name, value in attrs:
            self._attribute(tag, name, value or "")

    def _attribute(self, tag: str, name: str, value: str) -> None:
        if name == "style" or name.startswith("on"):
            if self.holds(value):
                self.found.append(("a value stands inside a style", name, "use a class instead"))
            self.css(value)
        elif name in _FETCHED or (name == "href" and tag not in {"a", "area"}):
            if self.holds(value):
                what = f"the file of <{tag}> comes from a value"
                self.found.append((what, f"<{tag}", "name a file of the letter's folder"))
            else:
                self.files.append(value)
        elif name == "href":
            self._link(value)
        elif name == "rel" and "attachment" in value.lower():
            self.found.append(("a letter attaches no files of its own", "attachment", ""))

    def _link(self, value: str) -> None:
        target = self.plain(value).strip()
        if not target.lower().startswith(("https://", "http://", "mailto:", "#")):
            what = f"the link {target[:60]!r} leads nowhere outside this machine"
            self.found.append((what, value, "links start with https:// or mailto:"))

    def handle_endtag(self, tag: str) -> None:
        """Leave the style sheet."""
        self._style = self._style and tag != "style"

    def handle_data(self, data: str) -> None:
        """Read a style sheet inside the page."""
        if self._style:
            if self.holds(data):
                self.found.append(("a value stands inside <style>", "<style", "use a class"))
            self.css(data)

    def css(self, text: str) -> None:
        """Collect the files that a style sheet names."""
        for match in _CSS_URL.finditer(_CSS_COMMENT.sub("", text)):
            self.files.append((match[1] or match[2] or match[3] or "").strip())


def markup(
    page: str,
    sources: list[shelf.Source],
    files: shelf.Shelf,
    holds: Callable[[str], bool] = lambda _: False,
    plain: Callable[[str], str] = lambda text: text,
) -> list[errors.Fault]:
    """Name what a page may not fetch, what it misses, and values in dangerous places.

    ``sources`` are the files the page came from, to find the line to blame.
    """
    if broken := _unclosed(page):
        hint = "close it with >, or write &lt; for the sign itself"
        return [_blame(f"this tag is broken: {plain(broken)}", broken, hint, sources)]
    reader = _Reader(holds, plain)
    reader.feed(page)
    reader.close()
    faults = [_blame(what, words, hint, sources) for what, words, hint in reader.found]
    return faults + _missing(reader.files, sources, files)


def with_blanks(lines: Iterable[tuple[int, str]]) -> str:
    """Return a template's own text with one word for each value."""
    return "\n".join(line for _, line in lines).replace("\x1a", _VALUE)


def page(text: str, source: shelf.Source, files: shelf.Shelf) -> list[errors.Fault]:
    """Do as `markup` for a template that is read without any value."""
    return markup(
        text,
        [source],
        files,
        lambda part: _VALUE in part,
        lambda part: part.replace(_VALUE, "https://x.invalid/"),
    )


def _unclosed(page: str) -> str:
    """Return the begin of the first tag or comment that readers of HTML would disagree on."""
    at = 0
    while found := _MARKUP.search(page, at):
        tag = _TAG.match(page, found.start())
        if tag is None:
            return page[found.start() :].partition("\n")[0][:40]
        at = tag.end()
    return ""


def style(files: shelf.Shelf, name: str) -> list[errors.Fault]:
    """Name what a style sheet of the letter's folder may not fetch and misses; it need not be."""
    own = files.inside(name)
    if own is None:
        return []
    source = files.readable(name)
    if source is None:
        what = "the style sheet is too large or not UTF-8 text"
        return [errors.Fault(level="fault", what=what, file=str(own))]
    reader = _Reader(lambda _: False, lambda text: text)
    reader.css(source.text)
    return _missing(reader.files, [source], files)


def _missing(
    names: list[str], sources: list[shelf.Source], files: shelf.Shelf
) -> list[errors.Fault]:
    faults = []
    for name in dict.fromkeys(names):
        if name.startswith("#"):
            continue
        if name.lower().startswith("data:image/"):
            if len(name) > MOST_DATA:
                what = "a picture inside the text is larger than 100 kB"
                faults.append(_blame(what, name[:40], "save it as a file", sources))
        elif re.match(r"[a-z][a-z0-9+.-]*:|//|/|\\", name, re.IGNORECASE):
            what = f"{name[:80]!r} is not a file of the letter's folder; nothing else is fetched"
            faults.append(_blame(what, name, "save it there and name it without a path", sources))
        elif files.inside(name) is None:
            what = f"the file {name!r} is missing in the letter's folder"
            faults.append(_blame(what, name, "save it there, or mend the name", sources))
    return faults


def _blame(what: str, words: str, hint: str, sources: list[shelf.Source]) -> errors.Fault:
    """Find the file and line where the words stand."""
    for source in sources:
        at = source.text.find(words)
        if at >= 0:
            line = source.text.count("\n", 0, at) + 1
            return errors.Fault(level="fault", what=what, hint=hint, file=source.shown, line=line)
    shown = sources[0].shown if sources else None
    return errors.Fault(level="fault", what=what, hint=hint, file=shown)
