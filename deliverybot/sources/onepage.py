"""One web page: the number that it shows, the signers on it, and where the next page is."""

from __future__ import annotations

import email.message
import hashlib
from typing import Any, NamedTuple, cast

from deliverybot import errors, screen
from deliverybot.origins import htmlpage as sections
from deliverybot.origins import selecting
from deliverybot.sources import columns, counting, fetch, files, hosts, htmltree, kinds

#: Where comments stand: on WordPress, and where pages say so for machines.
COMMENTS = (
    "#comments, #respond, .commentlist, .comment-list, .comments-area, .comments-list, "
    ".wp-block-comments, .wp-block-comment-template, #disqus_thread, .fb-comments, "
    '[id^="comment-"], [itemtype$="/Comment"]'
)
#: Seconds that taking a page apart may take.
PATIENCE = 30.0
_KINDS = frozenset({"", "text/html", "application/xhtml+xml"})
_NAMES = ("name", "first_name", "last_name")


class Name(NamedTuple):
    """One signer as the page shows them."""

    #: Stands for the name, or the id; the same again for the same one.
    mark: int
    #: In the order of `columns.FIELDS`.
    values: tuple[str, ...]


class Seen(NamedTuple):
    """One page of the list."""

    url: str
    #: For people.
    name: str
    signers: list[Name]
    #: Address of the page after it; empty where it is the last one.
    next: str
    #: Text for the next conditional request.
    state: str
    #: Elements that were passed over: they stand among comments.
    comments: int

    @property
    def marks(self) -> list[int]:
        """The marks of its signers."""
        return [one.mark for one in self.signers]


class Raw(NamedTuple):
    """A page as it came."""

    url: str
    name: str
    body: bytes
    charset: str
    state: str
    #: Where its links begin from.
    base: str


class Reader:
    """Gets the pages of one section and takes them apart."""

    def __init__(self, errand: kinds.Errand, door: fetch.Door | None) -> None:
        """`door` is None where the page is a file."""
        self._errand = errand
        self._door = door
        self._section = cast("sections.HtmlSource", errand.section)

    def look(self, url: str, number: int, state: str = "") -> Seen | None:
        """Return the signers on a page; None where it is as it was at `state`.

        Raises:
            errors.SourceError: There is no such page, or it is no page of a list.
        """
        raw = self.raw(url, state)
        return None if raw is None else self.seen(raw, self.tree(raw), number)

    def seen(self, raw: Raw, tree: htmltree.Tree, number: int) -> Seen:
        """Return the signers on a page that is here, the `number`-th of the list; as `look`."""
        picked = tree.pick(self._section.rule("signers"))
        among = {id(one.etree_element) for one in tree.pick(COMMENTS)} if picked else set()
        own = [one for one in picked if not _is_among(one, among)]
        signers = [name for one in own if (name := self._signer(tree, one))]
        if not signers:
            self._check_empty(raw, tree, number, bool(picked))
        return Seen(
            raw.url, raw.name, signers, self._next(raw, tree, number), raw.state,
            len(picked) - len(own),
        )  # fmt: skip

    def _check_empty(self, raw: Raw, tree: htmltree.Tree, number: int, comments: bool) -> None:  # noqa: FBT001
        """Raise unless a page without signers is the end of a list, or nobody has signed."""
        if self._section.page is not None and number > 1:
            # Behind the last page many a site shows an empty one; a page of errors has no number.
            self.count(raw, tree, wanted=self._section.counts)
        elif comments:
            hint = "name the list of signers in `signers`, such as ul.signatures > li"
            raise _error(raw, "what `signers` picks are comments, and no signers", hint)
        elif self.count(raw, tree, wanted=False) != 0:
            hint = "look at the page in a browser, not logged in; its makers may have rebuilt it"
            raise _error(raw, "there is no signer on the page where `signers` says", hint)

    def raw(self, url: str, state: str = "") -> Raw | None:
        """Return a page as it comes; None where it is as it was at `state`."""
        if self._door is None:
            return self._saved(state)
        answer = self._door.get(url, headers={"Accept": "text/html"}, state=state)
        if answer is None:
            return None
        if answer.kind not in _KINDS:
            raise answer.error(f"the answer is no web page but {answer.kind[:60]!r}")
        if not answer.is_whole and not answer.raw.rstrip().lower().endswith(b"</html>"):
            raise answer.error("the answer was cut off")
        told = email.message.Message()
        told["Content-Type"] = answer.headers.get("content-type", "")
        # The address for people has no query, and links do not need one.
        base = answer.url.partition("?")[0]
        return Raw(
            url, answer.url, answer.raw, told.get_content_charset(""), answer.state,
            url if "…" in base else base,
        )  # fmt: skip

    def _saved(self, state: str) -> Raw | None:
        path = self._errand.campaign.file.parent / (self._section.path or "")
        with files.open_file(path, now=None) as file:
            body = file.raw.read(self._section.most_bytes + 1)
        if len(body) > self._section.most_bytes:
            what = f"the file is larger than {self._section.most}"
            raise errors.SourceError(what, hint="see `most`", file=str(path))
        now = hashlib.blake2b(body, key=self._key(), digest_size=16).hexdigest()
        return None if now == state else Raw("", str(path), body, "", now, "")

    def tree(self, raw: Raw) -> htmltree.Tree:
        """Return the elements of a page."""
        clock = self._errand.means.clock
        end = clock() + PATIENCE

        def tick() -> None:
            self._errand.pause()
            if clock() > end:
                raise _error(raw, "the page takes too long to take apart")

        try:
            return htmltree.Tree(htmltree.decoded(raw.body, raw.charset), tick)
        except htmltree.BadPageError as error:
            raise _error(raw, f"the page {error}") from None

    def count(self, raw: Raw, tree: htmltree.Tree, *, wanted: bool = True) -> int | None:
        """Return the number that a page shows; None where it is not `wanted` and not there.

        Raises:
            errors.SourceError: None stands there, more than one, or something else.
        """
        texts = self._count_texts(raw, tree)
        numbers = {counting.written(text, raw.name) for text in texts}
        if len(numbers) > 1:
            shown = " and ".join(map(str, sorted(numbers)[:3]))
            hint = "make `count` or `pattern` narrower, so that it finds the number of signatures"
            raise _error(raw, f"the page shows different numbers: {shown}", hint)
        if not numbers and wanted:
            hint = "look at the page in a browser, not logged in; its makers may have rebuilt it"
            raise _error(raw, f"there is no number on the page where {self._where} says", hint)
        return next(iter(numbers), None)

    @property
    def _where(self) -> str:
        rules = [f"`{name}`" for name in ("count", "pattern") if self._section.rule(name)]
        return " and ".join(rules)

    def _count_texts(self, raw: Raw, tree: htmltree.Tree) -> list[str]:
        """Return what stands in the places of the number."""
        selector, pattern = self._section.rule("count"), self._section.rule("pattern")
        if not (selector or pattern):
            return []
        texts = [tree.text]
        if selector:
            texts = [htmltree.text_of(one.etree_element) for one in tree.pick(selector)]
        if not pattern:
            return texts
        try:
            return [each for text in texts for each in selecting.found(pattern, text)]
        except TimeoutError:
            hint = "write it simpler: no repetition within a repetition"
            raise _error(raw, "`pattern` takes too long on this page", hint) from None

    def _signer(self, tree: htmltree.Tree, element: Any) -> Name | None:  # noqa: ANN401
        said = {
            str(field): self._text(tree, element, place)
            for field, place in self._section.columns.items()
        }
        if not any(field in said for field in _NAMES):
            said["name"] = htmltree.text_of(element.etree_element)
        shown = screen.clean(said.get("name") or " ".join(said.get(n, "") for n in _NAMES[1:]))
        recognised = said.get("id") or shown.casefold()
        if not recognised:
            return None
        key = screen.key(self._errand.secret, self._errand.campaign.slug, "page", recognised)
        return Name(int.from_bytes(key[:8]), tuple(said.get(field, "") for field in columns.FIELDS))

    def _text(self, tree: htmltree.Tree, element: Any, place: str) -> str:  # noqa: ANN401
        """Return what stands at a place inside a signer's element."""
        selector, attribute = selecting.parts(place)
        found = tree.inside(element, selector)[:1] if selector else [element]
        if not found:
            return ""
        inner = found[0].etree_element
        return inner.get(attribute.lower(), "") if attribute else htmltree.text_of(inner)

    def _next(self, raw: Raw, tree: htmltree.Tree, number: int) -> str:
        """Return the address of the page after this one; empty where it is the last one."""
        if self._door is None:
            return ""
        if self._section.page is not None:
            return self._section.page_url(number + 1)
        selector = self._section.rule("next")
        links = (
            [one.etree_element.get("href", "") for one in tree.pick(selector)] if selector else []
        )
        targets = {link.partition("#")[0].strip() for link in links} - {""}
        base = hosts.Place.of(raw.base)
        if tree.base:
            base = hosts.Place.of(base.joined(tree.base))
        found = sorted({base.joined(target) for target in targets})
        if len(found) > 1:
            hint = "make `next` narrower: it picks the link to the page after this one, no other"
            raise _error(raw, "`next` picks several links", hint)
        return found[0] if found else ""

    def _key(self) -> bytes:
        return hashlib.blake2b(self._errand.secret).digest()


def _is_among(element: Any, among: set[int]) -> bool:  # noqa: ANN401
    around = (element, *element.ancestors)
    return bool(among) and any(id(one.etree_element) in among for one in around)


def _error(raw: Raw, what: str, hint: str = "") -> errors.SourceError:
    return errors.SourceError(what, hint=hint, file=raw.name)
