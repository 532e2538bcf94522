"""Markdown to HTML, with a figure for a picture that stands alone."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

import markdown_it
import markdown_it.renderer
import markdown_it.rules_core
import markdown_it.token
import markdown_it.utils

#: Letters of one paragraph; of 100,000 markdown-it makes 10 s of work, of 200,000 forty.
MOST_IN_A_PARAGRAPH = 20_000

_EMPTY_LINE = re.compile(r"\n[ \t>]*\n")
#: The one long word that a letter may hold: a picture inside the text.
_PICTURE = re.compile(r"base64,[A-Za-z0-9+/=]+")


def endless(text: str) -> int | None:
    """Return the line of the first paragraph that is too long to be read."""
    line = 1
    for part in _EMPTY_LINE.split(text):
        if len(_PICTURE.sub("", part)) > MOST_IN_A_PARAGRAPH:
            return line
        line += part.count("\n") + 2
    return None


def to_html(text: str) -> str:
    """Turn Markdown into HTML."""
    return str(_parser().render(text))


def _parser() -> markdown_it.MarkdownIt:
    parser = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table")
    # Left to itself it prints a link that it mistrusts as text; we refuse it with file and line.
    parser.validateLink = _any_link  # type: ignore[method-assign]
    parser.core.ruler.push("figure", _figures)
    parser.add_render_rule("figure", _figure)
    return parser


def _any_link(url: str) -> bool:
    return bool(url)


def _figures(state: markdown_it.rules_core.StateCore) -> None:
    """Make a paragraph that holds only a picture with a title a figure with that caption."""
    tokens = state.tokens
    for at in range(len(tokens) - 2):
        inline = tokens[at + 1]
        children = inline.children or []
        alone = tokens[at].type == "paragraph_open" and len(children) == 1
        if alone and children[0].type == "image" and children[0].attrGet("title"):
            tokens[at].hidden = tokens[at + 2].hidden = True
            inline.type = "figure"


def _figure(
    self: markdown_it.renderer.RendererHTML,
    tokens: Sequence[markdown_it.token.Token],
    idx: int,
    options: markdown_it.utils.OptionsDict,
    env: markdown_it.utils.EnvType,
) -> str:
    """Write one figure."""
    picture = (tokens[idx].children or [])[0]
    caption = html.escape(str(picture.attrs.pop("title", "")), quote=False)
    image = self.renderInline([picture], options, env)
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>\n"
