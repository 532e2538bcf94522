"""Templates: what they may say, what is wrong with them, and filling them in.

Who writes a template is trusted with words, not with this machine.  The first
wall is a list of what a template may contain (prints, ``if``, ``for`` at most
two deep, a few filters, ``include`` one deep); all else is refused with file
and line before anything runs.  Nothing on that list can grow faster than the
product of a template's length and the square of the letter's targets, so no run
is endless.  Jinja's sandbox is the second wall, the third counts what comes out.
"""

from __future__ import annotations

import datetime as dt
import difflib
import functools
import pathlib
import types
from collections.abc import Callable, Iterable, Iterator, Mapping

import jinja2
import jinja2.nodes
import jinja2.sandbox

from deliverybot import errors, places
from deliverybot.render import shelf, vault, words

#: Values printed by one document; a letter prints some dozens.
MOST_PRINTS = 20_000
MOST_LOOPS = 2
MOST_INCLUDES = 20
#: Letters of one document and of one value; a long letter has some ten thousand.
MOST_TEXT = 500_000
MOST_VALUE = 100_000

_FILTERS = (
    "default", "upper", "lower", "capitalize", "title", "trim", "length", "count",
    "first", "last", "map",
)  # fmt: skip
_NODES = (
    "Template", "Output", "TemplateData", "Name", "Const", "Getattr", "Getitem", "Filter", "Test",
    "If", "CondExpr", "For", "Compare", "Operand", "And", "Or", "Not", "Neg", "Add", "Sub",
    "Concat", "Tuple", "List", "Call", "Keyword", "Include",
)  # fmt: skip
_SAID = {
    "Assign": "{% set %}",
    "AssignBlock": "{% set %}",
    "ScopedEvalContextModifier": "autoescape",
}

#: What is meant by most of Jinja's complaints about the writing.
_CLOSED = "each {{ ends with }} and each {% with %}; between {{ and }} stands one value"

#: What stands behind a dot.
RECORDS: Mapping[str, tuple[str, ...]] = {
    "target": ("name", "role", "organisation", "salutation"),
    "sender": ("name", "address", "reply_to"),
}
#: What every template may print.
VARIABLES = frozenset(
    {
        "title", "ask", "url", "goal", "language", "voice", "sender", "target", "targets",
        "milestone", "signatures", "listed", "withheld", "as_of", "date", "public_url", "named",
        "direction", "volumes", "order", "comments", "signers_url", "signers_until",
    }
)  # fmt: skip
#: What a card may print besides.
CARD = frozenset(
    {
        "bar", "percent", "reached", "card_theme", "signatures_word", "goal_word",
        "title_direction", "sender_direction",
    }
)  # fmt: skip
#: What a letter may show besides; a mail or a post has no room for it.
FIGURES = frozenset({"growth", "places"})
#: What a template may call, with what: first what must be given, then what may.
CALLS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "growth": (("caption",), ("goal",)),
    "names": (("withheld",), ()),
    "places": (("caption", "rest"), ("by",)),
    "remarks": (("number",), ()),
}
#: What a mail may print besides.
MAIL = frozenset({"parts"})
#: What the first page of a later part, and the mail that carries it, may print besides.
PART = frozenset({"part", "parts", "numbers", "first_volume", "last_volume"})
#: What a digest may print; nothing of a single letter has a meaning there.
DIGEST = frozenset({"count", "letters", "language", "direction", "sender", "target"})
#: What a loop may go through.
_LISTS = ("targets", "letters")
#: What pages of the theme's kind may print besides.
FRAME = frozenset({"body", "signed", "names", "remarks", "salutation", "subject"})


class _Unprintable(ValueError):
    """A value that has no words."""


class Templates:
    """The templates of one letter."""

    def __init__(self, files: shelf.Shelf, language: str = "en") -> None:
        """Read templates from these files and write numbers and dates in this language."""
        self.files = files
        self.language = language
        self._vault = vault.Vault()

        @jinja2.pass_context
        def finalize(_: jinja2.runtime.Context, value: object) -> str:
            # Asking for the context keeps Jinja from printing constants while compiling.
            return self._print(value)

        env = jinja2.sandbox.ImmutableSandboxedEnvironment(
            undefined=jinja2.StrictUndefined,
            autoescape=True,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=finalize,
            loader=jinja2.FunctionLoader(self._load),
            cache_size=50,
            # Working constants out while compiling is where `9 ** 9999999` would hang.
            optimized=False,
        )
        env.globals.clear()
        env.filters = {name: env.filters[name] for name in _FILTERS} | {
            "join": _join,
            "number": functools.partial(_number, language=language),
            "day": functools.partial(_day, language=language),
            "plural": functools.partial(words.plural, language=language),
        }
        self._env = env

    def _load(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        source = self.files.read(name)
        return (source.text, str(source.path), lambda: True) if source else None

    def _print(self, value: object) -> str:
        """Put a value into the vault and print its token."""
        if isinstance(value, vault.Piece | vault.Lines):
            return self._vault.put(value)
        if isinstance(value, jinja2.Undefined):
            return str(value)
        if isinstance(value, bool) or value is None:
            message = "there is nothing to print here: the value is empty"
            raise _Unprintable(message)
        if isinstance(value, dt.date):
            value = words.day(value, self.language)
        if callable(value):
            message = "this needs brackets and words: " + ", ".join(map(_called, CALLS))
            raise _Unprintable(message)
        if not isinstance(value, str | int | float):
            message = "this prints a whole record: name one of its parts, such as target.name"
            raise _Unprintable(message)
        if len(self._vault) >= MOST_PRINTS:
            message = f"the template prints more than {MOST_PRINTS:,} values"
            raise _Unprintable(message)
        return self._vault.put(_bounded(str(value)))

    def fill(self, name: str, values: Mapping[str, object], into: vault.Vault) -> str:
        """Fill a template in; its values stay behind the tokens of the vault.

        Raises errors.LetterError with file and line.
        """
        self._vault = into
        source = self.files.read(name)
        try:
            return _whole(self._env.get_template(name).generate(values))
        except jinja2.TemplateSyntaxError as error:
            fault = _fault(source, error.lineno, f"{error.message}", _CLOSED)
        except jinja2.UndefinedError as error:
            fault = _fault(source, _line(error, source), _undefined(str(error)))
        except Exception as error:  # noqa: BLE001 - what a template provokes is said in its line
            fault = _fault(source, _line(error, source), str(error) or type(error).__name__)
        raise errors.LetterError([fault])

    def faults(self, name: str, known: frozenset[str] = VARIABLES) -> list[errors.Fault]:
        """Name everything that is wrong with a template, without running it."""
        try:
            source = self.files.read(name)
        except shelf.Unreadable as error:
            file = str(self.files.find(name))
            return [errors.Fault(level="fault", what=str(error), hint=error.hint, file=file)]
        if source is None:
            return []
        try:
            tree = self._env.parse(source.text)
            found = [*self._refused(tree, source), *_unknown(tree, source, known)]
            if not found:
                self._env.compile(tree)
        except jinja2.TemplateSyntaxError as error:
            what = error.message or "this is not a template"
            found = [_fault(source, error.lineno, what, _CLOSED)]
        except (RecursionError, SyntaxError):
            # Python's own: of Jinja's translation, where brackets or blocks go too deep.
            found = [_fault(source, 1, "the template is nested too deeply")]
        except ValueError:
            found = [_fault(source, 1, "the template holds a number beyond reason")]
        for included in _included(tree, self.files) if not found else ():
            found += self.faults(included, known)
        return sorted(found, key=lambda fault: fault.line or 0)

    def _refused(self, tree: jinja2.nodes.Template, source: shelf.Source) -> Iterator[errors.Fault]:
        """Name the constructs that a template may not contain."""
        includes = 0
        for node in _walk(tree):
            kind = type(node).__name__
            if kind not in _NODES:
                said = _SAID.get(kind, kind.lower())
                hint = "templates may print, and use if, for and include"
                yield _fault(source, node.lineno, f"{said} is not allowed in a template", hint)
            elif isinstance(node, jinja2.nodes.Filter) and node.name not in self._env.filters:
                known = sorted(self._env.filters)
                near = places.nearest(node.name, known)
                hint = f"did you mean '{near}'? " if near else ""
                what = f"the filter '{node.name}' is not known"
                yield _fault(source, node.lineno, what, f"{hint}the filters are {', '.join(known)}")
            elif isinstance(node, jinja2.nodes.Call):
                yield from _call(node, source)
            elif isinstance(node, jinja2.nodes.Getattr | jinja2.nodes.Name):
                word = node.attr if isinstance(node, jinja2.nodes.Getattr) else node.name
                if word.startswith("_"):
                    yield _fault(source, node.lineno, f"'{word}' is not for templates")
            elif isinstance(node, jinja2.nodes.For):
                yield from _loop(node, source)
            elif isinstance(node, jinja2.nodes.Include):
                includes += 1
                if includes > MOST_INCLUDES:
                    what = f"a template includes {MOST_INCLUDES} files at most"
                    yield _fault(source, node.lineno, what)
                    return
                yield from self._include(node, source)

    def _include(self, node: jinja2.nodes.Include, source: shelf.Source) -> Iterator[errors.Fault]:
        name = node.template.value if isinstance(node.template, jinja2.nodes.Const) else None
        other = self.files.readable(name) if isinstance(name, str) else None
        if other is None:
            what = f"the file {name!r} to include is neither in the letter's folder nor the theme"
            yield _fault(source, node.lineno, what, "include names a file of the letter's folder")
        elif any(True for _ in self._env.parse(other.text).find_all(jinja2.nodes.Include)):
            yield _fault(source, node.lineno, f"{name} includes a file itself", "one level only")

    def data(self, source: shelf.Source) -> list[tuple[int, str]]:
        """Return the template's own text, line by line; what it prints stands as a blank."""
        lines = [""] * (source.text.count("\n") + 2)
        try:
            tokens = list(self._env.lex(source.text))
        except jinja2.TemplateSyntaxError:
            return []
        for lineno, kind, value in tokens:
            if kind == "variable_begin":
                lines[lineno] += "\x1a"
            if kind not in {"data", "string"}:
                continue
            for offset, text in enumerate(value.split("\n")):
                if lineno + offset < len(lines):
                    lines[lineno + offset] += text
        return list(enumerate(lines))[1:]


def _whole(parts: Iterable[str]) -> str:
    """Join what a template gives, up to `MOST_TEXT`."""
    out, size = [], 0
    for part in parts:
        out.append(part)
        size += len(part)
        if size > MOST_TEXT:
            message = f"the template gives more than {MOST_TEXT:,} letters"
            raise _Unprintable(message)
    return "".join(out)


def _bounded(value: str) -> str:
    if len(value) > MOST_VALUE:
        message = f"a value has more than {MOST_VALUE:,} letters"
        raise _Unprintable(message)
    return value


def _join(value: Iterable[object], between: object = "") -> str:
    """Join a list as Jinja's own filter does; joins of joins would grow without end."""
    out, size = [], 0
    for part in value:
        if isinstance(part, jinja2.Undefined) or not isinstance(part, str | int | float):
            message = "'join' is for a list of words, such as targets|map(attribute=\"name\")"
            raise _Unprintable(message)
        out.append(str(part))
        size += len(out[-1]) + len(str(between))
        if size > MOST_VALUE:
            message = f"'join' gives more than {MOST_VALUE:,} letters"
            raise _Unprintable(message)
    return str(between).join(out)


def _number(value: object, language: str) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        message = "there is no number here: a milestone set by date has none, nor has an open goal"
        raise _Unprintable(message)
    return words.number(value, language)


def _day(value: object, language: str) -> str:
    if not isinstance(value, dt.date):
        message = "'day' writes dates only"
        raise _Unprintable(message)
    return words.day(value, language)


def _walk(node: jinja2.nodes.Node) -> Iterator[jinja2.nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _walk(child)


def _call(node: jinja2.nodes.Call, source: shelf.Source) -> Iterator[errors.Fault]:
    """Name what is wrong with a call: what is called, and what with."""
    name = node.node.name if isinstance(node.node, jinja2.nodes.Name) else ""
    if name not in CALLS:
        what = f"a template may call nothing but {', '.join(f'{known}()' for known in CALLS)}"
        yield _fault(source, node.lineno, what)
        return
    needed, more = CALLS[name]
    takes = needed + more
    given = [*takes[: len(node.args)], *(word.key for word in node.kwargs)]
    fits = len(node.args) <= len(takes) and set(needed) <= set(given) <= set(takes)
    if not fits or node.dyn_args or node.dyn_kwargs:
        what = f"{name}() is written with other words between its brackets"
        yield _fault(source, node.lineno, what, f"write {_called(name)}")


def _called(name: str) -> str:
    """Show how something is called: ``growth("caption", goal="goal")``."""
    needed, more = CALLS[name]
    words_ = [f'"{word}"' for word in needed] + [f'{word}="{word}"' for word in more]
    return f"{name}({', '.join(words_)})"


def _loop(node: jinja2.nodes.For, source: shelf.Source) -> Iterator[errors.Fault]:
    """Name what keeps a loop from being short: what it goes through, and how deep it lies."""
    if not any(_is_name(node.iter, name) for name in _LISTS):
        hint = "write {% for person in targets %}"
        yield _fault(source, node.lineno, "a loop goes through 'targets' and nothing else", hint)
    if _depth(node) > MOST_LOOPS:
        yield _fault(source, node.lineno, f"loops may be nested {MOST_LOOPS} deep")


def _depth(node: jinja2.nodes.Node) -> int:
    inner = max((_depth(child) for child in node.iter_child_nodes()), default=0)
    return inner + isinstance(node, jinja2.nodes.For)


def _is_name(node: jinja2.nodes.Node, name: str) -> bool:
    return isinstance(node, jinja2.nodes.Name) and node.name == name


def _included(tree: jinja2.nodes.Template, files: shelf.Shelf) -> Iterator[str]:
    for node in tree.find_all(jinja2.nodes.Include):
        if isinstance(node.template, jinja2.nodes.Const) and files.find(node.template.value):
            yield node.template.value


def _unknown(
    tree: jinja2.nodes.Template, source: shelf.Source, known: frozenset[str]
) -> Iterator[errors.Fault]:
    """Name the variables, and the parts of records, that nobody fills in."""
    bound = {name.name for name in tree.find_all(jinja2.nodes.Name) if name.ctx == "store"}
    for name in tree.find_all(jinja2.nodes.Name):
        if name.ctx == "load" and name.name not in known | bound | {"loop"}:
            near = difflib.get_close_matches(name.name, known, 1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            hint += f"known are {', '.join(sorted(known))}"
            yield _fault(source, name.lineno, f"nothing is known as '{name.name}'", hint)
    for part in tree.find_all(jinja2.nodes.Getattr):
        if not isinstance(part.node, jinja2.nodes.Name) or part.node.name not in RECORDS:
            continue
        if part.attr not in (parts := RECORDS[part.node.name]):
            what = f"'{part.node.name}' has no '{part.attr}'"
            yield _fault(source, part.lineno, what, f"it has {', '.join(parts)}")


def _undefined(message: str) -> str:
    return message.replace("is undefined", "is not known").replace("has no attribute", "has no")


def _fault(source: shelf.Source | None, line: int, what: str, hint: str = "") -> errors.Fault:
    shown = source.shown if source else None
    return errors.Fault(level="fault", what=what.rstrip("."), hint=hint, file=shown, line=line)


def _line(error: BaseException, source: shelf.Source | None) -> int:
    """Find the template's line in the traceback, which Jinja rewrites to template lines."""
    line = 1
    trace: types.TracebackType | None = error.__traceback__
    while trace is not None:
        if source and pathlib.Path(trace.tb_frame.f_code.co_filename) == source.path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
