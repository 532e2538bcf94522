"""What platforms send when somebody signs, each read into flat objects of named texts.

The shapes are those of the platforms' own documentation: Action Network's
webhooks, Typeform's and Tally's form responses.  A reader raises KeyError,
TypeError or their like where a body has another shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Object = Mapping[str, Any]
#: Reads a body; of another form than the one named, nothing is given.
Reader = Callable[[Any, str], Iterator[Object]]


def plain(content: Any, form: str) -> Iterator[Object]:  # noqa: ANN401 - JSON
    """Read one object or a list of objects of somebody's own site."""
    for one in content if isinstance(content, list) else [content]:
        # A list of pairs would do for dict(), and have keys that are no texts.
        if not isinstance(one, Mapping):
            raise TypeError
        if not form or str(one["form"]) == form:
            yield one


def action_network(content: Any, form: str) -> Iterator[Object]:  # noqa: ANN401 - JSON
    """Read the signatures among what Action Network tells of; donations and others are not ours."""
    for item in content:
        signature = item.get("osdi:signature")
        if signature is None:
            continue
        petition = signature["_links"]["osdi:petition"]["href"].rpartition("/")[2]
        if form and petition != form:
            continue
        yield {
            "id": next(
                one for one in signature["identifiers"] if one.startswith("action_network:")
            ),
            "signed_at": signature["created_date"],
            "comment": signature.get("comments"),
            **person(signature["person"]),
        }


def person(content: Object) -> Object:
    """Read an OSDI person: the names, the primary address and e-mail address, their own fields."""
    postal = _primary(content, "postal_addresses")
    email = _primary(content, "email_addresses")
    return {
        **(content.get("custom_fields") or {}),
        "first_name": content.get("given_name"),
        "last_name": content.get("family_name"),
        "email": email.get("address"),
        "city": postal.get("locality"),
        "region": postal.get("region"),
        "country": postal.get("country"),
        "postcode": postal.get("postal_code"),
    }


def _primary(content: Object, name: str) -> Object:
    """Return the primary one of somebody's addresses, or the first."""
    found: list[Object] = content.get(name) or [{}]
    return next((one for one in found if one.get("primary")), found[0])


def typeform(content: Any, form: str) -> Iterator[Object]:  # noqa: ANN401 - JSON
    """Read a Typeform response; its answers are named by the fields' refs, and by their titles."""
    response = content["form_response"]
    if form and response["form_id"] != form:
        return
    titles = {one["id"]: one["title"] for one in response.get("definition", {}).get("fields", ())}
    found: dict[str, Any] = {}
    for answer in response["answers"]:
        field, value = answer["field"], _typed(answer)
        found.setdefault(titles.get(field["id"], field["id"]), value)
        if field.get("ref"):
            found[field["ref"]] = value
    yield {
        **found,
        "id": f"typeform:{response['token']}",
        "signed_at": response["submitted_at"],
    }


def _typed(answer: Object) -> Any:  # noqa: ANN401 - JSON
    """Return an answer's value, which stands under the name of its type."""
    value = answer[answer["type"]]
    if isinstance(value, dict):
        labels = value.get("labels") or [value.get("label") or value.get("other")]
        return ", ".join(label for label in labels if label)
    return value


def tally(content: Any, form: str) -> Iterator[Object]:  # noqa: ANN401 - JSON
    """Read a Tally response; its answers are named by the questions, and by their keys."""
    data = content["data"]
    if content["eventType"] != "FORM_RESPONSE" or (form and data["formId"] != form):
        return
    found: dict[str, Any] = {}
    for field in data["fields"]:
        value = _chosen(field)
        if field.get("label"):
            found.setdefault(field["label"], value)
        found[field["key"]] = value
    yield {**found, "id": f"tally:{data['submissionId']}", "signed_at": data["createdAt"]}


def _chosen(field: Object) -> Any:  # noqa: ANN401 - JSON
    """Return an answer; of a choice, the words that were chosen."""
    value = field["value"]
    if not isinstance(value, list):
        return value
    words = {one["id"]: one["text"] for one in field.get("options") or ()}
    return ", ".join(str(words.get(one, one)) for one in value)


READERS: Mapping[str, Reader] = {
    "json": plain,
    "actionnetwork": action_network,
    "typeform": typeform,
    "tally": tally,
}
