"""Posts that fit with the largest figure to come, and the words that go with a number."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re

import pytest
from click import testing

import build
from deliverybot import campaign as campaigns
from deliverybot import cli, ledger, milestones, model, posts
from deliverybot.render import words


def plan(
    folder: pathlib.Path, template: str, *, post: str = "", **more: object
) -> campaigns.Campaign:
    """Make an installation with an account on X and one on Mastodon."""
    build.settings(folder)
    file = folder / "config.toml"
    file.write_text(
        f'{file.read_text()}[outlets.x-main]\nkind = "x"\n'
        '[outlets.toots]\nkind = "mastodon"\napi = "https://social.example"\ncharacters = 300\n'
    )
    (folder / "letters" / "faces" / "post.txt").write_text(template)
    (folder / "schedules").mkdir(exist_ok=True)
    (folder / "schedules" / "faces.csv").write_text("Id,Name,Town,Country,Email\n")
    return build.campaign(folder, posts=("x-main", "toots", "news"), post=post, **more)  # type: ignore[arg-type]


def run(folder: pathlib.Path, *args: str) -> str:
    """Run a command, which finds faults or none, and return what it says in one line."""
    told = ["-c", str(folder / "config.toml"), *args]
    done = testing.CliRunner().invoke(cli.cli, told)
    assert done.exit_code in {0, 1, 2}, done.output
    assert done.stdout or args[0] != "check", done.stderr
    return " ".join(done.stdout.split())


# --- the largest figure -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "goal", "count", "figure"),
    [
        ("at = [100, 250_000]", None, 900, 250_000),
        ("at = [100]", None, 900, 900),
        ("percent = [50, 150]", 1_001, 900, 1_502),
        ("every = 1000", 5_000, 900, 5_000),
        ("every = 1000", 5_000, 6_000, 60_000),
        ("every = 1000", None, 0, 10_000),
        ("every = 1000", None, 2_500, 25_000),
        ("on = 2027-01-01T12:00:00", None, 900, 9_000),
        ("at = [100]\nevery = 1000", 5_000, 900, 5_000),
    ],
)
def test_the_largest_figure_to_come(
    tmp_path: pathlib.Path, rules: str, goal: int | None, count: int, figure: int
) -> None:
    one = build.campaign(tmp_path, plan=rules, goal=goal)
    assert milestones.largest(one, count) == figure


def test_a_built_in_post_that_is_too_long_has_a_long_title(tmp_path: pathlib.Path) -> None:
    """There is no file to shorten."""
    plan(tmp_path, "")
    file = tmp_path / "schedules" / "faces.toml"
    title = re.search(r'title = "(.*)"', file.read_text())
    assert title
    file.write_text(file.read_text().replace(title[1], "Keep it " * 40))
    letter = tmp_path / "letters" / "faces"
    (letter / "post.txt").unlink()
    told = run(tmp_path, "check", "--offline")
    assert f"{letter}: the post on x-main counts" in told
    assert "hint: change the campaign's title, or write your own post.txt" in told
    assert "shorten the template" not in told


def test_check_names_template_length_and_limit(tmp_path: pathlib.Path) -> None:
    """It fits today, and with the million it does not."""
    plan(tmp_path, f"{{{{ signatures|number }}}} ask.{'x' * 268}\n", plan="at = [100, 1_000_000]")
    told = run(tmp_path, "check", "--offline")
    assert (
        "letters/faces/post.txt: the post on x-main counts 282 of 280 with 1,000,000 signatures"
    ) in told
    assert "shorten the template by 2" in told
    assert "on toots counts" not in told


def test_check_as_json_names_every_file_with_its_whole_path(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(tmp_path, f"{'x' * 281} https://example.org/p\n", post="link = false")
    monkeypatch.chdir(tmp_path)
    for text in (None, "database = 1\n"):
        if text:
            (tmp_path / "config.toml").write_text(text)
        done = testing.CliRunner().invoke(cli.cli, ["check", "--offline", "--json"])
        files = {one["file"] for one in json.loads(done.stdout) if one["file"]}
        assert str(tmp_path / "config.toml") in files
        assert {file for file in files if not file.startswith(str(tmp_path))} == set()


def test_what_fits_is_no_fault(tmp_path: pathlib.Path) -> None:
    plan(tmp_path, f"{{{{ signatures|number }}}} ask.{'x' * 266}\n", plan="at = [100, 1_000_000]")
    told = run(tmp_path, "check", "--offline")
    assert "signatures" not in told


def test_a_limit_of_money_where_posts_cost_nothing_is_warned_of(tmp_path: pathlib.Path) -> None:
    plan(tmp_path, "{{ signatures }} ask.\n", post='spend = "5.00"')
    told = run(tmp_path, "check", "--offline")
    lines = (tmp_path / "schedules" / "faces.toml").read_text().splitlines()
    at = {n for n, line in enumerate(lines, 1) if line == 'spend = "5.00"'}
    for outlet, line in zip(("x-main", "toots", "news"), sorted(at), strict=True):
        what = f"faces.toml:{line}: 'spend' does nothing here: a post on {outlet} costs nothing"
        assert (what in told) == (outlet != "x-main")
    assert told.count("does nothing here") == 2


def test_a_template_that_is_missing_is_named_where_it_is_asked_for(tmp_path: pathlib.Path) -> None:
    plan(tmp_path, "{{ signatures }} ask.\n", post='template = "past.txt"')
    file = tmp_path / "schedules" / "faces.toml"
    line = 1 + file.read_text().splitlines().index('template = "past.txt"')
    told = run(tmp_path, "check", "--offline")
    what = "the template 'past.txt' is neither in the letter's folder nor in the theme"
    assert f"{file.name}:{line}: {what}" in told
    assert "did you mean 'post.txt'?" in told
    assert told.count(what) == 3  # once for each section


def test_built_in_words_of_posts_are_told_of(tmp_path: pathlib.Path) -> None:
    plan(tmp_path, "{{ signatures }} ask.\n")
    folder, what = tmp_path / "letters" / "faces", "posts have the built-in words"
    assert what not in run(tmp_path, "check", "--offline")
    (folder / "post.txt").unlink()
    told = run(tmp_path, "check", "--offline")
    assert told.count(f"ok: {folder}: {what}") == 1
    assert "there is no post.txt in this folder" in told


def test_what_is_no_file_in_a_templates_place_is_a_fault(tmp_path: pathlib.Path) -> None:
    """The built-in words would go in place of what somebody meant to say."""
    plan(tmp_path, "", post="card = true")
    for name in ("post.txt", "mail.txt", "card.html"):
        file = tmp_path / "letters" / "faces" / name
        file.unlink(missing_ok=True)
        file.mkdir()
        told = run(tmp_path, "check", "--offline")
        assert told.count(f"{file}: this is a folder hint: put a file in its place") == 1
        assert f"{name} in this folder" not in told
        file.rmdir()
        file.symlink_to(tmp_path / "not-there")
        told = run(tmp_path, "check", "--offline")
        assert told.count(f"{file}: this is no file of the letter's folder") == 1


def test_built_in_words_are_told_where_they_are_in_another_language(
    tmp_path: pathlib.Path,
) -> None:
    plan(tmp_path, "{{ ask }}\n")
    file = tmp_path / "schedules" / "faces.toml"
    text = file.read_text()
    assert "in English" not in run(tmp_path, "check", "--offline")
    file.write_text(f'language = "ar"\n{text}')
    told = run(tmp_path, "check", "--offline")
    assert "the letter is in 'ar', and the built-in signed.txt in English" in told
    (tmp_path / "letters" / "faces" / "signed.txt").write_text("{{ ask }}\n")
    assert "in English" not in run(tmp_path, "check", "--offline")


@pytest.mark.parametrize(
    "sign", ["<b>", "</b>", "<br/>", '<a href="https://x.example">', "&nbsp;", "](", "**", "__"]
)
def test_markup_in_a_post_is_told(tmp_path: pathlib.Path, sign: str) -> None:
    plan(tmp_path, f"One.\nWe {sign}ask {{{{ ask }}}}.\n")
    told = run(tmp_path, "check", "--offline")
    assert told.count(f"post.txt:2: posts are plain text, and {sign!r} would be posted") == 1


@pytest.mark.parametrize("text", ["I <3 bees, 2 < 3 > 1", "AT&T; R&D", "5 * 3 ** 2", "a_b__"])
def test_plain_signs_in_a_post_are_none(tmp_path: pathlib.Path, text: str) -> None:
    plan(tmp_path, f"{text} {{{{ ask }}}}\n")
    assert "plain text" not in run(tmp_path, "check", "--offline")


def test_each_network_counts_its_own_way(tmp_path: pathlib.Path) -> None:
    """On X a letter of Chinese counts two, on Mastodon one; an address 23 on both."""
    address = "https://example.org/" + "p" * 100
    plan(tmp_path, f"{{{{ signatures }}}} {'日' * 129} {address}\n", plan="at = [100]")
    told = run(tmp_path, "preview", "faces", "--as", "post")
    assert "--- x-main: the post on x-main counts 286 of 280 with 100 signatures" in told
    assert "--- toots: counts 157 of 300 with 100 signatures" in told
    assert "--- news 0" in told


def test_a_link_where_none_is_wanted_is_found_before_the_day(tmp_path: pathlib.Path) -> None:
    plan(tmp_path, "{{ signatures }} ask: https://example.org/p\n", post="link = false")
    told = run(tmp_path, "check", "--offline")
    assert told.count("is a link on") == 3


def test_a_word_that_is_missing_is_found_before_the_day(tmp_path: pathlib.Path) -> None:
    text = '{{ signatures }} {{ signatures|plural(one="person") }}\n'
    plan(tmp_path, text)
    told = run(tmp_path, "check", "--offline")
    assert told.count("post.txt:1: 'plural' has no word for other") == 1


def test_a_post_that_is_written_has_the_word(tmp_path: pathlib.Path) -> None:
    build.settings(tmp_path)
    text = '{{ signatures|number }} {{ signatures|plural("person asks", "people ask") }}.\n'
    (tmp_path / "letters" / "faces" / "post.txt").write_text(text)
    one = build.campaign(tmp_path, plan="at = [1, 100]")
    options = build.settings(tmp_path)
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        said = []
        for count in (1, 100):
            build.grow(book, one, count)
            works = build.works(book, [one], options, build.Clock())
            row = book.posts.select()[-1]
            build.at_once(works._write(row, works._present()))
            said.append(book.posts.get(row.id).text)
        assert said == ["1 person asks.", "100 people ask."]
        assert book.posts.get(row.id).digest == posts.digest("news", "100 people ask.")
        assert book.posts.get(row.id).state == model.Post.HELD


# --- words that go with a number ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "numbers"),
    [
        ("en", {0: "people", 1: "person", 2: "people", 1_000_000: "people"}),
        ("de", {0: "people", 1: "person", 2: "people"}),
        ("fr", {0: "person", 1: "person", 2: "people", 1_000_000: "people"}),
        ("ja", {0: "people", 1: "people", 2: "people"}),
        ("pt-BR", {0: "person", 1: "person", 2: "people"}),
    ],
)
def test_two_words_are_enough_for_many_languages(language: str, numbers: dict[int, str]) -> None:
    said = {n: words.plural(n, "person", "people", language=language) for n in numbers}
    assert said == numbers


@pytest.mark.parametrize(
    ("language", "numbers"),
    [
        ("pl", {1: "one", 2: "few", 5: "many", 12: "many", 22: "few", 1_000_000: "many"}),
        ("ru", {1: "one", 2: "few", 5: "many", 11: "many", 21: "one"}),
        ("ar", {0: "zero", 1: "one", 2: "two", 3: "few", 11: "many", 100: "other"}),
        ("cs", {1: "one", 2: "few", 5: "other"}),
        ("cy", {0: "zero", 1: "one", 2: "two", 3: "few", 6: "many", 7: "other"}),
        ("fr", {1: "one", 2: "other", 1_000_000: "many"}),
    ],
)
def test_other_languages_name_their_forms(language: str, numbers: dict[int, str]) -> None:
    named = {form: form for form in ("zero", "one", "two", "few", "many", "other")}
    assert {n: words.plural(n, language=language, **named) for n in numbers} == numbers


@pytest.mark.parametrize(
    ("language", "forms", "named", "missing"),
    [
        ("pl", ("osoba", "osoby"), {}, "few and many"),
        ("pl", (), {"one": "osoba", "few": "osoby"}, "many"),
        ("he", ("a", "b"), {}, "two"),
        ("en", (), {"one": "person"}, "other"),
        ("en", ("a", "b", "c"), {}, "one and other"),
        ("en", ("person",), {"other": "people"}, "one and other"),
        ("en", (), {}, "one and other"),
        ("en", ("person",), {}, "one"),
    ],
)
def test_a_form_that_is_missing_is_named(
    language: str, forms: tuple[str, ...], named: dict[str, str], missing: str
) -> None:
    with pytest.raises(ValueError, match=f"has no word for {missing}; write plural"):
        words.plural(5, *forms, language=language, **named)


@pytest.mark.parametrize("value", [None, "5", 1.5, True])
def test_what_is_no_number_has_no_word(value: object) -> None:
    with pytest.raises(ValueError, match="no number"):
        words.plural(value, "person", "people", language="en")
