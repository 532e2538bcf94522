"""Cards where a person meets them: preview, check, posts, rehearse, and the folder of posts."""

from __future__ import annotations

import hashlib
import json
import pathlib
from typing import Any

import PIL.Image
import pytest

import build
import test_cards
import test_cli
from deliverybot import config, fitting, ledger, model, outlets

DONE, LATER, REFUSED = model.Outcome.DONE, model.Outcome.LATER, model.Outcome.REFUSED
#: A private character that no font draws.
NOWHERE = "\ue123"


@pytest.fixture
def bot(tmp_path: pathlib.Path) -> test_cli.Bot:
    """A new working folder whose posts have cards."""
    test_cli.Bot(tmp_path)("init", "here")
    made = test_cli.Bot(tmp_path / "here")
    made.edit(
        test_cli.CAMPAIGN, "[[posts]]\n", '[[posts]]\ncard = true\ncard_theme = "dark"\n'
    )  # fmt: skip
    return made


def letter(bot: test_cli.Bot) -> pathlib.Path:
    (place,) = (bot.place / "letters").iterdir()
    return place


def corner(file: pathlib.Path) -> int:
    """How light the corner of a card is, 0 to 255."""
    with PIL.Image.open(file) as image:
        assert (image.format, image.size) == ("PNG", (1200, 675))
        pixel = image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return int(max(pixel))


def test_preview_paints_the_card_and_touches_no_ledger(bot: test_cli.Bot) -> None:
    done = bot("preview", "my-petition", "--as", "card", "-o", "a.png")
    assert "written: a.png (" in done.stderr
    assert corner(bot.place / "a.png") < 60
    bot("preview", "my-petition", "--as", "card", "--theme", "light")
    assert corner(bot.place / "my-petition.png") > 200
    assert bot.json("posts", "list") == []


def test_preview_of_a_post_names_its_card(bot: test_cli.Bot) -> None:
    said = bot("preview", "my-petition", "--as", "post").stdout
    assert "[with a dark card that shows:\nKeep the night train" in said
    assert "Signatures: 4" in said


def test_preview_says_what_keeps_a_card_from_being_made(bot: test_cli.Bot) -> None:
    (letter(bot) / "card.html").write_text("<p>{{ nothing }}</p>")
    done = bot("preview", "my-petition", "--as", "card", code=1)
    assert "nothing is known as 'nothing'" in done.stderr
    assert not (bot.place / "my-petition.png").exists()


def test_check_paints_the_card(bot: test_cli.Bot) -> None:
    bot("check", "--offline")
    (letter(bot) / "card.html").write_text(f"<p>\n{NOWHERE}</p>")
    said = bot("check", "--offline", code=2).stdout
    assert "on the card: no font here can draw" in said
    assert "fonts-noto-core" in said


def test_posts_show_hands_out_the_card_that_is_approved(bot: test_cli.Bot) -> None:
    bot("run", "--once")
    bot("posts", "show", "1", "--card", "card.png")
    shown = bot.json("posts", "show", "1")
    content = (bot.place / "card.png").read_bytes()
    assert hashlib.sha256(content).hexdigest() == shown["card"]
    assert "Signatures: 4" in shown["alt"]
    assert "Signatures: 4" in bot("posts", "show", "1").stdout


def test_a_post_without_a_card_has_none_to_show(bot: test_cli.Bot) -> None:
    bot.edit(test_cli.CAMPAIGN, "card = true\n", "")
    bot("run", "--once")
    assert "post 1 has no card" in bot("posts", "show", "1", "--card", "c.png", code=2).stderr
    assert not (bot.place / "c.png").exists()


def test_a_rehearsal_shows_the_card(bot: test_cli.Bot) -> None:
    report = json.loads(bot("rehearse", "-o", "out", "--json").stdout)
    (post,) = report["posts"]
    assert post["card"] == post["file"].replace(".txt", ".png")
    assert corner(bot.place / "out" / post["card"]) < 60
    assert "Signatures: 4" in post["alt"]
    assert bot.json("posts", "list") == []


# --- check, with the largest figure to come --------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "goal", "figure"),
    [
        ("at = [100, 2500]", None, "2,500"),
        ("percent = [50, 150]", 3_000, "4,500"),
        ("every = 1000", None, "10,000"),
        ("every = 1000", 45_000, "45,000"),
    ],
)
async def test_the_largest_figure_to_come(
    tmp_path: pathlib.Path, plan: str, goal: int | None, figure: str
) -> None:
    options = build.settings(tmp_path)
    one = build.campaign(tmp_path, plan=plan, goal=goal, post="card = true")
    (tmp_path / "letters" / "faces" / "card.txt").write_text(
        "{% if signatures|number == '" + figure + "' %}{% else %}as expected{% endif %}"
    )
    found = await fitting.cards_of(one, test_cards.facts(), 100, options)
    assert [fault.what for fault in found] == ["the alt text is empty"]


async def test_a_campaign_without_cards_needs_none(tmp_path: pathlib.Path) -> None:
    options = build.settings(tmp_path)
    one = build.campaign(tmp_path)
    (tmp_path / "letters" / "faces" / "card.html").write_text("{{ nothing }}")
    assert await fitting.cards_of(one, test_cards.facts(), 100, options) == []


# --- the folder of posts ---------------------------------------------------------------------


def outlet(folder: pathlib.Path) -> outlets.Outlet:
    sender = {"name": "Example Campaigns", "address": "letters@campaigns.example"}
    values: dict[str, Any] = {
        "sender": sender, "outlets": {"files": {"kind": "folder"}}, "state_dir": str(folder),
    }  # fmt: skip
    return outlets.open_outlet("files", config.Settings.model_validate(values))


def draft(**more: Any) -> outlets.Draft:  # noqa: ANN401 - any field of a draft
    known: dict[str, Any] = {
        "key": "face.m1.v1.files", "text": "1,000 have signed", "campaign": "face",
        "image": b"\x89PNG of a thousand", "alt": "Signatures: 1,000 – שלום",
    }  # fmt: skip
    return outlets.Draft(**(known | more))


def files(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "outbox" / "posts").iterdir()}


async def test_picture_and_alt_text_lie_beside_the_text(tmp_path: pathlib.Path) -> None:
    one = outlet(tmp_path)
    first, again = await one.publish(draft()), await one.publish(draft())
    assert (first.outcome, again) == (DONE, first)
    assert first.url.endswith("/face.m1.v1.files.txt")
    assert files(tmp_path) == {
        "face.m1.v1.files.txt": b"1,000 have signed",
        "face.m1.v1.files.alt.txt": "Signatures: 1,000 – שלום".encode(),
        "face.m1.v1.files.png": b"\x89PNG of a thousand",
    }


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"image": b"another"}, "another picture is already at"),
        ({"alt": "another"}, "another alt text is already at"),
        ({"text": "another"}, "another text is already at"),
    ],
)
async def test_another_post_under_the_same_key_changes_nothing(
    tmp_path: pathlib.Path, change: dict[str, Any], what: str
) -> None:
    one = outlet(tmp_path)
    await one.publish(draft())
    before = files(tmp_path)
    reply = await one.publish(draft(**change))
    assert (reply.outcome, what in reply.text) == (REFUSED, True)
    assert files(tmp_path) == before


async def test_the_text_is_last_so_a_try_that_was_cut_off_goes_on(tmp_path: pathlib.Path) -> None:
    one = outlet(tmp_path)
    await one.publish(draft())
    text = tmp_path / "outbox" / "posts" / "face.m1.v1.files.txt"
    text.unlink()  # as killed before its last step leaves it
    assert await one.find(draft()) == outlets.Evidence(there=False)
    assert (await one.publish(draft())).outcome is DONE
    assert text.exists()


async def test_a_picture_that_cannot_be_written_is_for_later(tmp_path: pathlib.Path) -> None:
    (tmp_path / "outbox").write_text("in the way")
    assert (await outlet(tmp_path).publish(draft())).outcome is LATER


# --- pictures that nobody shows --------------------------------------------------------------


def test_pictures_that_no_post_shows_go(tmp_path: pathlib.Path) -> None:
    options = build.settings(tmp_path)
    book = ledger.open_ledger(options.database_url)
    try:
        build.grow(book, build.campaign(tmp_path), 100)
        shown, other = book.news.keep(b"shown"), book.news.keep(b"other")
        build.put(book, "post", book.posts.select()[0].id, image=shown)
        assert book.news.sweep() == 1
        assert book.news.picture(shown) == b"shown"
        assert book.news.picture(other) == b""
    finally:
        book.close()
