"""Outlets of strangers: what their code does wrong ends with them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib
import logging
import pathlib
import sys
from collections.abc import Iterator

import pytest
from click import testing

import build
from deliverybot import asking, cli, config, ledger, model, outlets, publishing, steps
from deliverybot import campaign as campaigns
from deliverybot.ledger import records

MODULE = "strange_outlet"
SECRET = "a-token-of-theirs"
#: An outlet that does, at `when`, what `does` says in Python.
CODE = """
import asyncio, datetime, pydantic, sys
from typing import Literal
from deliverybot import errors, model, outlets, values

class Settings(values.Section):
    kind: Literal["strange"]
    when: str = ""
    does: str = "None"
    token: pydantic.SecretStr = pydantic.SecretStr("")

def fail(what, *words):
    raise what(*words)

class Strange(outlets.Outlet):
    Settings = Settings

    def __init__(self, name, section, means):
        if section.when == "forgets":
            return
        super().__init__(name, section, means)
        self.done("open")

    def done(self, when, otherwise=None):
        if self.section.when != when:
            return otherwise
        token = self.section.token.get_secret_value()
        return eval(self.section.does, {**globals(), "token": token, "Reply": model.Reply})

    limit = property(lambda self: self.done("limit"))

    def length(self, text):
        return self.done("length", len(text))

    def links(self, text):
        return self.done("links", [])

    def cost(self, post):
        return self.done("cost", 0)

    async def publish(self, post):
        reply = model.Reply(outcome=model.Outcome.UNSURE, phase="post", text="hm")
        found = self.done("publish", reply)
        return await found if asyncio.iscoroutine(found) else found

    async def find(self, post):
        found = self.done("find", outlets.Evidence(there=None))
        return await found if asyncio.iscoroutine(found) else found

    async def check(self):
        found = self.done("check", [errors.Fault(level="ok", what="strange")])
        return await found if asyncio.iscoroutine(found) else found

    async def close(self):
        found = self.done("close")
        return await found if asyncio.iscoroutine(found) else found

async def cancelled():
    inner = asyncio.ensure_future(asyncio.sleep(1000))
    inner.cancel()
    await inner
"""


@pytest.fixture
def package(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    site = tmp_path / "site"
    about = site / "strange_outlet-1.0.dist-info"
    about.mkdir(parents=True)
    (site / f"{MODULE}.py").write_text(CODE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: strange-outlet\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[deliverybot.outlets]\nstrange = {MODULE}:Strange\n")
    monkeypatch.syspath_prepend(str(site))
    yield
    sys.modules.pop(MODULE, None)
    importlib.invalidate_caches()


pytestmark = pytest.mark.usefixtures("package")


@dataclasses.dataclass
class House:
    """A campaign that posts on the stranger's outlet and in a folder."""

    book: ledger.Ledger
    works: steps.Works
    settings: config.Settings

    def rows(self) -> dict[str, records.Post]:
        return {row.outlet: row for row in self.book.posts.select()}

    async def write(self) -> list[Exception]:
        return await self.works._write_all()


def load(folder: pathlib.Path, when: str, does: str) -> config.Settings:
    build.settings(folder)
    file = folder / "config.toml"
    section = f'[outlets.odd]\nkind = "strange"\nwhen = "{when}"\ndoes = """{does}"""\n'
    file.write_text(file.read_text() + section)
    return config.load(file, environ={"DELIVERYBOT_OUTLETS__ODD__TOKEN": SECRET})


@contextlib.contextmanager
def house(folder: pathlib.Path, when: str, does: str) -> Iterator[House]:
    settings = load(folder, when, does)
    plan = build.campaign(folder, posts=("odd", "news"), post='approval = "none"')
    with contextlib.closing(ledger.open_ledger(settings.database_url)) as book:
        build.grow(book, plan, 100)
        works = build.works(book, [plan], settings, build.Clock())
        yield House(book=book, works=works, settings=settings)


FAILURES = [
    "fail(ValueError, token)", "fail(SystemExit, token)", "fail(KeyError)", "sys.exit(3)",
    "fail(asyncio.CancelledError)", "cancelled()", "fail(TimeoutError, token)",
    "fail(RecursionError)", "fail(MemoryError)", "None", "7", "'posted'", "[None]",
    "fail(type('Odd', (Exception,), {'__str__': lambda self: 1/0, '__repr__': lambda s: 1/0}))",
    "Reply(outcome='done', phase='post')", "Reply(outcome=None, phase='post', text=None)",
    "outlets.Evidence(there='yes')", "outlets.Evidence(there=1)",
]  # fmt: skip
#: Of these the ledger would take none, and no answer that comes after one.
UNFIT = [
    f"Reply(outcome=model.Outcome.DONE, phase='post', {said})"
    for said in ("code=10**30", "code=-1", "enhanced=None")
]


@pytest.mark.parametrize("does", [*FAILURES, *UNFIT])
async def test_a_failure_leaves_the_post_unsure_and_the_others_go(
    tmp_path: pathlib.Path, does: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with house(tmp_path, "publish", does) as one:
        await one.write()
        await one.works.publish()
        assert {name: row.state for name, row in one.rows().items()} == {
            "odd": "unsure", "news": "posted",
        }  # fmt: skip
        await one.works.publish()  # and it is not tried again
        assert one.rows()["odd"].attempts == 1
        (tried,) = one.book.posts.attempts(one.rows()["odd"].id)
        assert SECRET not in repr(tried) + caplog.text


@pytest.mark.parametrize("does", [*FAILURES[:6], *FAILURES[-2:]])
async def test_an_outlet_that_cannot_look_knows_nothing(
    tmp_path: pathlib.Path, does: str, caplog: pytest.LogCaptureFixture
) -> None:
    with house(tmp_path, "find", does) as one:
        await one.write()
        await one.works.publish()
        await one.works.recover()
        assert one.rows()["odd"].state == "unsure"
        assert SECRET not in caplog.text


async def test_one_that_says_nothing_is_given_up(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "ATTEMPT", 0.2)
    with house(tmp_path, "publish", "asyncio.sleep(100_000)") as one:
        await one.write()
        async with asyncio.timeout(60):
            await one.works.publish()
        row = one.rows()["odd"]
        assert row.state == "unsure"
        assert "gave no answer in time" in one.book.posts.attempts(row.id)[0].text


def test_the_waits_fit_into_a_claim() -> None:
    """Else a second worker takes a post over while the first still has it in hand."""
    assert publishing.LEASE.total_seconds() > 2 * asking.LOOK + asking.ATTEMPT


@pytest.mark.parametrize(
    ("when", "does"),
    [
        ("open", "fail(ValueError, token)"), ("open", "sys.exit(3)"),
        ("limit", "fail(ValueError, token)"), ("limit", "'many'"),
        ("length", "sys.exit(3)"), ("length", "-1"), ("length", "None"),
        ("links", "fail(SystemExit, token)"), ("links", "'many'"), ("links", "[None]"),
        ("cost", "fail(RecursionError)"), ("cost", "-1"), ("cost", "0.5"),
    ],
)  # fmt: skip
async def test_what_cannot_be_counted_is_held_and_says_why(
    tmp_path: pathlib.Path, when: str, does: str, caplog: pytest.LogCaptureFixture
) -> None:
    with house(tmp_path, when, does) as one:
        assert await one.write() == []
        rows = one.rows()
        assert (rows["odd"].state, rows["news"].state) == ("held", "approved")
        assert "outlet odd cannot " in rows["odd"].problem
        assert SECRET not in rows["odd"].problem + caplog.text
        await one.works.publish()
        assert one.rows()["news"].state == "posted"


@pytest.mark.parametrize(
    ("said", "text", "url", "wait"),
    [
        ("text='a\\nb\\x1b[2J'", "a b[2J", "", None),
        ("text='e' * 10_000_000", "e" * 299 + "…", "", None),
        ("text=f'not {token}'", "not ***", "", None),
        ("url='javascript:alert(1)'", "", "", None),
        ("url='https://s.example/' + 'a' * 10_000_000", "", "", None),
        ("url=7", "", "", None),
        ("url='https://s.example/7'", "", "https://s.example/7", None),
        ("url='file:///srv/posts/7.txt'", "", "file:///srv/posts/7.txt", None),
        ("url='file:///srv/\\x1b[2J'", "", "", None),
        ("retry_after=float('inf')", "", "", 1e9),
        ("retry_after=float('nan')", "", "", None),
        ("retry_after=-5", "", "", 0.0),
        ("retry_after=10**400", "", "", 1e9),
        ("retry_after='soon'", "", "", None),
    ],
)  # fmt: skip
async def test_what_is_said_is_cleaned(
    tmp_path: pathlib.Path, said: str, text: str, url: str, wait: float | None
) -> None:
    for outcome in ("DONE", "LATER"):
        does = f"Reply(outcome=model.Outcome.{outcome}, phase='post', {said})".replace("\\", "\\\\")
        settings = load(tmp_path, "publish", does)
        post = outlets.Draft(key="k", text="t", campaign="faces")
        reply = await asking.publish(outlets.open_outlet("odd", settings), post)
        assert (reply.text, reply.url, reply.retry_after) == (text, url, wait)
        assert reply.outcome is model.Outcome[outcome]


@pytest.mark.parametrize("wait", ["inf", "nan", "1e300", "-1e300"])
async def test_no_wait_is_beyond_the_calendar(tmp_path: pathlib.Path, wait: str) -> None:
    for account in (True, False):
        folder = tmp_path / str(account)
        folder.mkdir()
        does = f"Reply(outcome=model.Outcome.LATER, phase='post', account={account}, "
        with house(folder, "publish", f"{does}retry_after=float('{wait}'))") as one:
            await one.write()
            await one.works.publish()
            assert one.rows()["odd"].state == "retrying"


@pytest.mark.parametrize("does", ["fail(ValueError, token)", "sys.exit(3)", "7", "[7]"])
def test_check_names_an_outlet_that_cannot_be_checked(tmp_path: pathlib.Path, does: str) -> None:
    for when in ("check", "open"):
        if when == "open" and does in {"7", "[7]"}:
            continue
        load(tmp_path, when, does)
        build.campaign(tmp_path, posts=("odd",))
        done = testing.CliRunner().invoke(
            cli.cli, ["--config", str(tmp_path / "config.toml"), "check"],
            env={"DELIVERYBOT_OUTLETS__ODD__TOKEN": SECRET},
        )  # fmt: skip
        assert "outlet odd cannot be" in done.output
        assert done.exit_code == 2
        assert SECRET not in done.output


@pytest.mark.parametrize("does", ["fail(ValueError)", "sys.exit(3)", "asyncio.sleep(100_000)"])
async def test_taking_leave_never_fails(tmp_path: pathlib.Path, does: str) -> None:
    pool = outlets.Pool(load(tmp_path, "close", does))
    pool.get("odd")
    async with asyncio.timeout(60):
        await pool.close()


def test_a_campaign_still_loads(tmp_path: pathlib.Path) -> None:
    """A stranger's outlet is a fault of its own, not of all that posts there."""
    load(tmp_path, "open", "sys.exit(3)")
    plan = build.campaign(tmp_path, posts=("odd", "news"))
    assert campaigns.load(plan.file).posts


async def test_an_outlet_that_forgets_its_own_name_posts_nothing(tmp_path: pathlib.Path) -> None:
    """Its `__init__` is not that of an outlet; the trouble must come before the post."""
    with house(tmp_path, "forgets", "None") as one:
        await one.write()
        row = one.rows()["odd"]
        assert (row.state, row.attempts) == ("held", 0)
        assert "outlet odd cannot be opened" in row.problem


async def test_a_post_that_cannot_be_counted_can_be_looked_at(tmp_path: pathlib.Path) -> None:
    with house(tmp_path, "length", "fail(ValueError, token)") as one:
        await one.write()
        order = ["-c", str(tmp_path / "config.toml"), "posts", "show", str(one.rows()["odd"].id)]
        environ = {"DELIVERYBOT_OUTLETS__ODD__TOKEN": SECRET}
        shown = testing.CliRunner().invoke(cli.cli, order, env=environ)
        assert shown.exit_code == 0, shown.output
        assert "cannot count a text" in shown.output
        assert SECRET not in shown.output
