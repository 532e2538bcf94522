"""Faults in what a person wrote: found by pydantic, said in plain words, in their place."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping

import pydantic
import pydantic_core

from deliverybot import errors, places


def wrong(what: str, hint: str = "") -> pydantic_core.PydanticCustomError:
    """Return the error that a validator raises: what is wrong and what to do."""
    return pydantic_core.PydanticCustomError("deliverybot", "{what}", {"what": what, "hint": hint})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What was read and from where, to say a fault in its place."""

    #: The file, as the person names it, and its text.
    file: str
    text: str
    #: All values, from wherever they came.
    data: Mapping[str, object]
    #: The model that they must fit.
    model: type[pydantic.BaseModel]
    #: What this version does not have: path ("*" for any name or position, last the value or the
    #: key itself) -> what to do instead.
    later: Mapping[places.Path, str] = dataclasses.field(default_factory=dict)
    #: places.Paths whose value came from somewhere else than `file`, and the place's name.
    elsewhere: Mapping[places.Path, str] = dataclasses.field(default_factory=dict)
    #: Missing keys and sections that deserve more than "is missing": path -> (what, hint).
    missing: Mapping[places.Path, tuple[str, str]] = dataclasses.field(default_factory=dict)

    def fault(self, path: places.Path, what: str, hint: str = "") -> errors.Fault:
        """Return a fault at the place of `path`."""
        place = next((self.elsewhere[p] for p in _ancestors(path) if p in self.elsewhere), None)
        if not place and path and not places.stands_in(self.text, path):
            within = (self.elsewhere[p] for p in self.elsewhere if p[: len(path)] == path)
            place = next(within, None)
        line = None if place or not self.text else places.locate(self.text, path)
        return errors.Fault(level="fault", what=what, hint=hint, file=place or self.file, line=line)


def _ancestors(path: places.Path) -> Iterator[places.Path]:
    return (path[:n] for n in range(len(path), 0, -1))


def to_faults(error: pydantic.ValidationError, origin: Origin) -> list[errors.Fault]:
    """Return every fault that pydantic found, in the order of the file, without its inputs."""
    found = []
    for detail in error.errors(include_url=False, include_input=False):
        path = _untagged(detail["loc"], origin.data)
        if detail["type"] == "too_short" and places.value_at(origin.data, path):
            continue  # its entries are wrong, and each has its own fault
        if detail["type"] == "string_type" and _is_secret(path, origin):
            continue  # it stands in the open, which is said; a hint would repeat it
        what, hint, path = _words(detail, path, origin)
        found.append(origin.fault(path, what, hint))
    # Several entries of one list may be wrong in the same way.
    return in_order(dict.fromkeys(found))


def _is_secret(path: places.Path, origin: Origin) -> bool:
    """Tell whether the value at `path` is a secret as `secret_places.secrets_in` finds them."""
    found = annotation_at(origin.model, path, origin.data) is pydantic.SecretStr
    return found and not isinstance(places.value_at(origin.data, path), Mapping)


def _untagged(loc: places.Path, data: object) -> places.Path:
    """Return pydantic's path without the tags of unions and the "[key]" of mappings."""
    path: list[str | int] = []
    tagged = False
    for part in loc:
        if not tagged and isinstance(data, Mapping) and data.get("kind") == part:
            tagged = True
            continue
        if part == "[key]":
            continue
        path.append(part)
        tagged = False
        data = places.step(data, part)
    return tuple(path)


_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
    "string": 'a text in "quotes"',
    "tuple": "a list in [ ]",
    "dict": "a section",
    "model": "a section",
    "date": "a day such as 2027-01-31",
    "datetime": "a date and time such as 2026-12-01T09:00:00",
}
_LIMITS = {
    "greater_than": "more than {gt:.10g}",
    "greater_than_equal": "{ge:.10g} or more",
    "less_than": "less than {lt:.10g}",
    "less_than_equal": "at most {le:.10g}",
}


_Said = tuple[str, str, places.Path]


def _words(detail: pydantic_core.ErrorDetails, path: places.Path, origin: Origin) -> _Said:
    """Return what is wrong, the hint, and the path to blame."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return (*_missing(path, origin), path[:-1] or path)
    if kind == "extra_forbidden" or detail["loc"][-1:] == ("[key]",):
        known = _options(context["expected"]) if kind == "literal_error" else None
        if kind != "deliverybot":
            return (*_unknown(path, known, origin), path)
    if kind.startswith("union_tag"):
        options = _kinds(_written_at(origin.model, path, origin.data))
        return (*_not_one_of((*path, "kind"), options, origin), (*path, "kind"))
    if kind == "literal_error":
        return (*_not_one_of(path, _options(context["expected"]), origin), path)
    return (*_plain(detail, path, origin), path)


def _plain(
    detail: pydantic_core.ErrorDetails, path: places.Path, origin: Origin
) -> tuple[str, str]:
    kind, context = detail["type"], detail.get("ctx", {})
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    value = places.value_at(origin.data, path)
    if kind == "deliverybot":
        named = name and not isinstance(value, Mapping | tuple | types.NoneType)
        return (f"'{name}': " if named else "") + context["what"], context["hint"]
    if kind.endswith("too_short"):
        return f"'{name}' is empty", ""
    if kind in _LIMITS:
        return f"'{name}' must be {_LIMITS[kind].format(**context)}", ""
    expected = _EXPECTED.get(kind.partition("_")[0])
    if expected is None:
        return f"'{name}': {detail['msg']}", ""
    return f"'{name}' must be {expected}, not {_given(value)}", _rewrite(expected, value, name)


#: What was expected, what was given, and how to write it.
_REWRITTEN: tuple[tuple[str, tuple[type, ...], str], ...] = (
    ("int", (str, float), "digits alone, without quotes, dots or commas, such as 1000"),
    ("float", (str,), "without quotes, with a point, such as 0.20"),
    ("datetime", (str,), "without quotes"),
    ("bool", (str,), "without quotes"),
    ("string", (int,), 'in quotes, such as "{value}"; a time with its unit, such as "5m"'),
    ("string", (float,), 'in quotes, such as "{value}"'),
    ("dict", (tuple,), "write its name in single brackets"),
    ("tuple", (Mapping,), "write the section's name in double brackets: [[{name}]]"),
    ("tuple", (str,), "in brackets: [{listed}]"),
    ("tuple", (int, float), "in brackets: [{value}]"),
)


def _rewrite(expected: str, value: object, name: str) -> str:
    """Say how to write what was meant, where that is easily seen."""
    if isinstance(value, bool):
        return ""
    for kind, given, hint in _REWRITTEN:
        if expected == _EXPECTED[kind] and isinstance(value, given):
            return hint.format(value=value, name=name, listed=_listed(str(value)))
    return ""


def _listed(text: str) -> str:
    """Write the parts of a text as those of a list: numbers as they are, words in quotes."""
    parts = (part.strip() for part in text.split(","))
    return ", ".join(
        part if part.isdecimal() else json.dumps(part, ensure_ascii=False) for part in parts
    )


def _section(path: places.Path) -> str:
    """Return a section as it is written: ``[mail.timeouts]``, ``[[targets]] number 2``."""
    names = ".".join(str(part) for part in path if isinstance(part, str))
    if path and isinstance(path[-1], int):
        return f"[[{names}]] number {path[-1] + 1}"
    return f"[{names}]"


def _missing(path: places.Path, origin: Origin) -> tuple[str, str]:
    if path in origin.missing:
        return origin.missing[path]
    name, around = path[-1], path[:-1]
    field = model_at(origin.model, around, origin.data).model_fields.get(str(name))
    if field is not None and _submodel(field.annotation, None) is not None:
        return f"the section [{'.'.join(map(str, path))}] is missing", ""
    return f"'{name}' is missing" + (f" in {_section(around)}" if around else ""), ""


def _unknown(path: places.Path, known: list[str] | None, origin: Origin) -> tuple[str, str]:
    """Say what an unknown key was probably meant to be, or that it is not in this version."""
    name = str(path[-1])
    if later := _later(path, origin):
        return f"'{name}' is not in this version", later
    known = known or known_keys(model_at(origin.model, path[:-1], origin.data))
    close = places.nearest(name, known)
    listed = f"known keys here: {', '.join(known)}"
    place = f" in {_section(path[:-1])}" if path[:-1] else ""
    what = f"unknown key '{name}'{place}"
    if close:
        return what, f"did you mean '{close}'? {listed}"
    if path[:-1] and name in known_keys(origin.model):
        return what, f"it belongs to the top, above the first section; {listed}"
    other = " or ".join(_sections_with(name, origin.model))
    return what, f"it belongs into {other}; {listed}" if other else listed


def _sections_with(name: str, model: type[pydantic.BaseModel]) -> Iterator[str]:
    """Yield the sections of a file that have a key of that name."""
    for key, field in model.model_fields.items():
        annotation, shown = field.annotation, f"[{key}]"
        if typing.get_origin(annotation) in {dict, tuple}:
            many = typing.get_origin(annotation) is tuple
            shown = f"[[{key}]]" if many else f"[{key}.NAME]"
            annotation = typing.get_args(annotation)[0 if many else -1]
        if any(name in known_keys(one) for one in _options_of(annotation)):
            yield shown


def _not_one_of(path: places.Path, options: list[str], origin: Origin) -> tuple[str, str]:
    value = places.value_at(origin.data, path)
    name = next(part for part in reversed(path) if isinstance(part, str))
    if value is None and isinstance(places.value_at(origin.data, path[:-1]), tuple):
        return f"{_section(path[:-1])} must not be a list", "write its name in single brackets"
    if value is None:
        return f"'{name}' is missing in {_section(path[:-1])}", f"one of: {', '.join(options)}"
    if later := _later((*path, str(value)), origin):
        return f'{name} = "{value}" is not in this version', later
    close = places.nearest(str(value), options)
    either = " or ".join(filter(None, [", ".join(options[:-1]), options[-1]]))
    given = str(value).lower() if isinstance(value, bool) else repr(value)
    what = f"'{name}' must be {either}, not {given}"
    return what, f"did you mean '{close}'?" if close else ""


def _options(expected: str) -> list[str]:
    """Read pydantic's ``'a', 'b' or 'c'``."""
    return re.findall(r"'([^']*)'", expected)


def _later(path: places.Path, origin: Origin) -> str | None:
    for pattern, instead in origin.later.items():
        if len(pattern) == len(path) and all(
            want in ("*", part) for want, part in zip(pattern, path, strict=True)
        ):
            return instead
    return None


def _given(value: object) -> str:
    """Name the kind of a value, never the value: it may be a secret."""
    names: list[tuple[type | tuple[type, ...], str]] = [
        (bool, "true/false"),
        (str, "a text"),
        (int, "a whole number"),
        (float, "a number with a point"),
        (Mapping, "a section"),
        (tuple, "a list"),
        (dt.datetime, "a date and time"),
        (dt.date, "a date alone"),
    ]
    return next((name for kind, name in names if isinstance(value, kind)), "this")


def known_keys(model: type[pydantic.BaseModel]) -> list[str]:
    """Return the keys that a person may write."""
    return [name for name, field in model.model_fields.items() if not field.exclude]


def model_at(
    model: type[pydantic.BaseModel], path: places.Path, data: object
) -> type[pydantic.BaseModel]:
    """Return the model of the section at `path`, or of the nearest one around it."""
    for n in range(len(path), 0, -1):
        found = annotation_at(model, path[:n], data)
        if isinstance(found, type) and issubclass(found, pydantic.BaseModel):
            return found
    return model


def knows(model: type[pydantic.BaseModel], path: places.Path, data: object) -> bool:
    """Tell whether `path` leads to a setting."""
    return annotation_at(model, path, data) is not None


def annotation_at(model: type[pydantic.BaseModel], path: places.Path, data: object) -> object:
    """Return the type, or the model of a section, at `path`; None where there is none."""
    written = _written_at(model, path, data)
    return _submodel(written, places.value_at(data, path)) or written


def _written_at(model: type[pydantic.BaseModel], path: places.Path, data: object) -> object:
    """Return the annotation at `path` as it is written, unions of sections unresolved."""
    annotation: object = model
    for part in path:
        annotation = _submodel(annotation, data) or annotation
        if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
            field = annotation.model_fields.get(str(part))
            annotation = field.annotation if field else None
        elif typing.get_origin(annotation) in {dict, tuple}:
            annotation = typing.get_args(annotation)[-1 if isinstance(part, str) else 0]
        else:
            return None
        data = places.step(data, part)
    return annotation


def _options_of(annotation: object) -> list[type[pydantic.BaseModel]]:
    """Return the models that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        arguments = arguments[:1]
    elif not isinstance(annotation, types.UnionType) and (
        typing.get_origin(annotation) is not typing.Union
    ):
        return []
    return [model for argument in arguments for model in _options_of(argument)]


def _kinds(annotation: object) -> list[str]:
    return [kind for model in _options_of(annotation) for kind in _own_kinds(model)]


def _own_kinds(model: type[pydantic.BaseModel]) -> tuple[str, ...]:
    field = model.model_fields.get("kind")
    return typing.get_args(field.annotation) if field else ()


def _submodel(annotation: object, data: object) -> type[pydantic.BaseModel] | None:
    """Return the model that an annotation names; of a union, the one whose `kind` fits."""
    models = _options_of(annotation)
    kind = data.get("kind") if isinstance(data, Mapping) else None
    fitting = [model for model in models if kind in _own_kinds(model)]
    return next(iter(fitting or models), None)


def reserved(data: Mapping[str, object], origin: Origin) -> list[errors.Fault]:
    """Return faults for keys that only the loader sets."""
    names = [name for name in data if origin.model.model_fields.get(name)]
    return [
        origin.fault((name,), *_unknown((name,), None, origin))
        for name in names
        if origin.model.model_fields[name].exclude
    ]


def in_order(faults: Iterable[errors.Fault]) -> list[errors.Fault]:
    """Return faults in the order of their file."""
    return sorted(faults, key=lambda fault: (fault.file or "", fault.line or 0))
