"""What a campaign allows its posts: money, links, hours, one yes; against a real server."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import pathlib
from collections.abc import Iterator

import pytest
from click import testing

import build
import x_fake
from deliverybot import (
    allowances,
    cli,
    config,
    errors,
    ledger,
    networks,
    outlets,
    overview,
    publishing,
)  # fmt: skip
from deliverybot import campaign as campaigns
from deliverybot.ledger import records

MAIN = "x-main"
#: X makes a link of it, unlike of addresses that can be nobody's.
LINKED = "{{ signatures }} people ask: {{ ask }}. https://example.org/p/faces\n"
KEYS = {
    f"DELIVERYBOT_OUTLETS__X_MAIN__{key.upper()}": secret for key, secret in x_fake.KEYS.items()
}


@dataclasses.dataclass
class House:
    """A campaign with an account on X."""

    fake: x_fake.Fake
    book: ledger.Ledger
    options: config.Settings
    clock: build.Clock
    folder: pathlib.Path

    def plan(self, post: str, template: str = LINKED) -> campaigns.Campaign:
        (self.folder / "letters" / "faces" / "post.txt").write_text(template)
        return build.campaign(self.folder, plan="at = [100, 200, 300]", posts=(MAIN,), post=post)

    def price(self, with_link: str) -> None:
        """Let a post with a link cost so many dollars from now on, as after a restart."""
        file = self.folder / "config.toml"
        old = file.read_text().partition("price_with_link")[0]
        file.write_text(f"{old}price_with_link = {with_link}\n")
        self.options = config.load(file, environ=KEYS)

    def write(self, plan: campaigns.Campaign, signatures: int) -> records.Post:
        """Let so many sign, and write what is due; the latest post."""
        build.grow(self.book, plan, signatures)
        return self.freeze(plan)

    def freeze(self, plan: campaigns.Campaign) -> records.Post:
        works = build.works(self.book, [plan], self.options, self.clock)
        for row in self.book.posts.select(states=("due", "held", "approved", "retrying")):
            build.at_once(works._write(row, works._present()))
        return self.book.posts.select()[-1]

    async def publish(self, plan: campaigns.Campaign) -> records.Post:
        desk = publishing.Desk(
            settings=self.options, campaigns={plan.slug: plan}, owner="w1", clock=self.clock,
            outlets=outlets.Pool(self.options, clock=self.clock().timestamp),
        )  # fmt: skip
        await publishing.all_ready(self.book, desk)
        return self.book.posts.select()[-1]

    def run(self, *args: str) -> str:
        told = ["-c", str(self.folder / "config.toml"), *args]
        return testing.CliRunner().invoke(cli.cli, told).stdout


@pytest.fixture
def house(tmp_path: pathlib.Path) -> Iterator[House]:
    with x_fake.running() as fake, contextlib.ExitStack() as stack:
        build.settings(tmp_path)
        file = tmp_path / "config.toml"
        file.write_text(f'{file.read_text()}[outlets.{MAIN}]\nkind = "x"\napi = "{fake.url}"\n')
        options = config.load(file, environ=KEYS)
        book = stack.enter_context(contextlib.closing(ledger.open_ledger(options.database_url)))
        yield House(fake=fake, book=book, options=options, clock=build.Clock(), folder=tmp_path)


# --- money --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("1,000 people ask", 15_000),
        ("see https://example.org/p/faces", 200_000),
        ("see example.org", 200_000),
        ("see http://example.org.", 200_000),
        ("1.000 people, e.g. these", 15_000),
        ("write to desk@example.org", 15_000),
    ],
)
def test_a_link_costs_more(house: House, text: str, cost: int) -> None:
    outlet = outlets.open_outlet(MAIN, house.options)
    draft = outlets.Draft(key="k", text=text, campaign="faces")
    assert outlet.cost(draft) == cost
    assert outlets.open_outlet("news", house.options).cost(draft) == 0
    priced = networks.XOutlet(kind="x", price=0.01, price_with_link=0.1)
    other = type(outlet)("other", priced, outlets.Means(state=house.folder))
    assert other.cost(draft) == (100_000 if cost == 200_000 else 10_000)


def test_amounts_are_written_as_people_do() -> None:
    said = [allowances.money(cost) for cost in (0, 15_000, 200_000, 1_234_000_000)]
    assert said == ["$0.00", "$0.015", "$0.20", "$1,234.00"]


async def test_what_was_spent_is_told(house: House) -> None:
    plan = house.plan('approval = "none"')
    assert house.write(plan, 100).cost == 200_000
    assert json.loads(house.run("status", "--json"))["campaigns"][0]["spent"] == {}
    assert (await house.publish(plan)).state == "posted"
    assert json.loads(house.run("status", "--json"))["campaigns"][0]["spent"] == {MAIN: 0.2}
    assert "$0.20 on x-main" in house.run("status")
    assert [one["cost"] for one in json.loads(house.run("posts", "list", "--json"))] == [0.2]


async def test_a_post_beyond_the_sum_is_held_and_says_how_to_raise_it(house: House) -> None:
    plan = house.plan('approval = "none"\nspend = "0.40"')
    for signatures in (100, 200):
        house.write(plan, signatures)
        assert (await house.publish(plan)).state == "posted"
    row = house.write(plan, 300)
    assert row.state == "held"
    assert "$0.40 of $0.40 are spent on x-main, and this post costs $0.20" in row.problem
    assert 'spend = "0.60"' in row.problem
    with pytest.raises(errors.WrongState, match="cannot be approved"):
        house.book.posts.approve(row, who="mira", now=house.clock())
    plan = house.plan('approval = "none"\nspend = "0.60"')
    house.freeze(plan)
    assert (await house.publish(plan)).state == "posted"
    assert len(house.fake.posts) == 3


async def test_a_post_without_a_link_still_fits(house: House) -> None:
    rule = 'approval = "none"\nspend = "0.22"'
    plan = house.plan(rule)
    house.write(plan, 100)
    assert (await house.publish(plan)).state == "posted"
    assert house.write(plan, 200).problem
    plan = house.plan(rule, template="{{ signatures }} people ask: {{ ask }}.\n")
    assert house.freeze(plan).problem == ""
    assert (await house.publish(plan)).state == "posted"


async def test_the_sum_is_looked_at_again_before_a_post_goes(house: House) -> None:
    """Both fitted when they were written; only one does by now."""
    rule = 'approval = "none"\nspend = "0.20"'
    plan = house.plan(rule)
    row = house.write(plan, 100)
    assert (row.state, row.problem) == ("approved", "")
    build.put(house.book, "post", row.id, cost=1)
    await house.publish(plan)
    build.put(house.book, "post", row.id, cost=0)
    row = house.write(plan, 200)
    assert row.state == "approved"
    build.put(house.book, "post", 1, cost=200_000)
    row = await house.publish(plan)
    assert (row.state, len(house.fake.posts)) == ("held", 1)
    assert "$0.20 of $0.20 are spent" in row.problem
    assert "is held: $0.20 of $0.20" in " ".join(house.run("status").split())


async def test_another_price_needs_no_other_yes_and_is_what_was_spent(house: House) -> None:
    """What was approved is what people read; what it costs is what the network asks that day."""
    plan = house.plan('spend = "0.50"')
    row = house.write(plan, 100)
    house.book.posts.approve(row, who="mira", now=house.clock())
    house.price("0.25")
    row = house.freeze(plan)
    assert (row.state, row.cost) == ("approved", 200_000)
    row = await house.publish(plan)
    assert (row.state, row.approved_by, row.cost) == ("posted", "mira", 250_000)
    assert house.book.posts.spent(plan.slug, MAIN) == 250_000


async def test_a_price_beyond_the_sum_holds_what_was_approved(house: House) -> None:
    plan = house.plan('spend = "0.24"')
    row = house.write(plan, 100)
    house.book.posts.approve(row, who="mira", now=house.clock())
    house.price("0.25")
    row = await house.publish(plan)
    assert (row.state, row.approved_by, house.fake.posts) == ("held", "", [])
    assert "$0.00 of $0.24 are spent on x-main, and this post costs $0.25" in row.problem
    assert 'spend = "0.25"' in row.problem
    house.price("0.24")
    row = house.freeze(plan)
    assert (row.state, row.problem) == ("held", "")
    house.book.posts.approve(row, who="mira", now=house.clock())
    row = await house.publish(plan)
    assert (row.state, row.cost) == ("posted", 240_000)


async def test_a_new_sum_and_a_new_price_leave_the_yes_to_the_same_words(house: House) -> None:
    row = house.write(house.plan('spend = "0.24"'), 100)
    house.book.posts.approve(row, who="mira", now=house.clock())
    house.price("0.25")
    row = house.freeze(house.plan('spend = "0.30"'))
    assert (row.state, row.approved_by, row.cost) == ("approved", "mira", 250_000)


async def test_two_workers_do_not_spend_it_twice(house: House) -> None:
    plan = house.plan('approval = "none"\nspend = "0.20"')
    row = house.write(plan, 100)
    lease = publishing.LEASE
    claim = {"owner": "w1", "lease": lease, "now": house.clock(), "spend": 199_999}
    assert house.book.posts.claim(row, **claim) is None  # type: ignore[arg-type]
    claim["spend"] = 200_000
    assert house.book.posts.claim(row, **claim) is not None  # type: ignore[arg-type]
    assert house.book.posts.spent(plan.slug, MAIN) == 200_000
    assert house.book.posts.spent(plan.slug, MAIN, besides=row.id) == 0


async def test_what_was_certainly_not_taken_costs_nothing(house: House) -> None:
    plan = house.plan('approval = "none"')
    house.write(plan, 100)
    house.fake.plan = ["not_permitted"]
    assert (await house.publish(plan)).state == "refused"
    assert house.book.posts.spent(plan.slug, MAIN) == 0


@pytest.mark.parametrize("text", ["5,00", "$5", "-1", "1e3", "", "5.0000001"])
def test_a_sum_is_digits_and_a_point(house: House, text: str) -> None:
    with pytest.raises(errors.ConfigError, match="no sum in dollars"):
        house.plan(f'spend = "{text}"')


# --- links --------------------------------------------------------------------------------------


async def test_without_links_the_address_is_empty(house: House) -> None:
    text = "{{ signatures }} people ask: {{ ask }}.{% if url %} See {{ url }}{% endif %}\n"
    plan = house.plan('approval = "none"\nlink = false', template=text)
    row = house.write(plan, 100)
    assert (row.text, row.problem, row.cost) == ("100 people ask: Stop every sale.", "", 15_000)
    assert (await house.publish(plan)).state == "posted"
    told = house.run("preview", "faces", "--as", "post")
    assert told.endswith("\n100 people ask: Stop every sale.\n")


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("Read https://example.org/p/faces now", "https://example.org/p/faces"),
        ("Read example.org now", "example.org"),
        ("Read HTTPS://campaigns.example/p now", "HTTPS://campaigns.example/p"),
    ],
)
def test_a_link_that_is_left_is_named(house: House, text: str, link: str) -> None:
    plan = house.plan('approval = "none"\nlink = false', template=f"{text}\n")
    row = house.write(plan, 100)
    assert row.state == "held"
    assert row.problem.startswith(f"letters/faces/post.txt: {link!r} is a link on x-main")
    assert house.freeze(house.plan('approval = "none"', template=f"{text}\n")).state == "approved"


# --- one yes ------------------------------------------------------------------------------------


async def test_the_first_post_is_approved_by_a_person_and_the_later_ones_go(house: House) -> None:
    plan = house.plan('approval = "first"')
    row = house.write(plan, 100)
    assert row.state == "held"
    house.book.posts.approve(row, who="mira", now=house.clock())
    assert (await house.publish(plan)).state == "posted"
    row = house.write(plan, 200)
    assert (row.state, row.approved_by) == ("approved", "deliverybot")


def test_without_the_first_yes_each_one_waits(house: House) -> None:
    plan = house.plan('approval = "first"')
    row = house.write(plan, 100)
    house.book.posts.move(row, "cancelled", who="mira", why="no", now=house.clock())
    assert house.write(plan, 200).state == "held"


# --- hours --------------------------------------------------------------------------------------

#: NOW is a Monday, 15:00 UTC: 00:00 of Tuesday in Tokyo.
HOURS = 'approval = "none"\nhours = "Mon-Sun 08:00-22:00"'


def in_tokyo(house: House, post: str = HOURS) -> campaigns.Campaign:
    file = house.plan(post).file
    file.write_text(f'timezone = "Asia/Tokyo"\n{file.read_text()}')
    return campaigns.load(file)


async def test_outside_of_its_hours_a_post_waits_and_says_until_when(house: House) -> None:
    plan = in_tokyo(house)
    row = house.write(plan, 100)
    assert (await house.publish(plan)).state == "approved"
    said = "post 1 on x-main goes on Tue 2026-11-24 08:00 Asia/Tokyo (Mon 2026-11-23 23:00 UTC)"
    state = overview.status(house.book, {plan.slug: plan}, house.options, house.clock())
    assert any(why.startswith(said) for why in state.campaigns[0].reasons)
    coming = allowances.prospect(plan, row, house.clock())
    assert coming is not None
    assert coming.why == "outside of its hours (it is Tuesday 00:00 in Asia/Tokyo)"
    house.clock.forward(hours=7, minutes=59)
    assert (await house.publish(plan)).state == "approved"
    house.clock.forward(minutes=1)
    assert allowances.prospect(plan, row, house.clock()) is None
    assert (await house.publish(plan)).state == "posted"


def test_show_says_until_when(house: House) -> None:
    """Whatever the time is: these hours are never now."""
    there = dt.datetime.now(dt.UTC) + dt.timedelta(days=3)
    plan = house.plan(f'approval = "none"\nhours = "{there:%a} 00:00-24:00"')
    house.write(plan, 100)
    told = json.loads(house.run("posts", "show", "1", "--json"))
    assert told["goes_at"].startswith(f"{there:%Y-%m-%d}T00:00:00")
    assert "outside of its hours" in told["waits_why"]


async def test_news_that_waited_too_long_is_none(house: House) -> None:
    plan = in_tokyo(house, post='approval = "none"\nhours = "Fri 08:00-09:00"')
    house.write(plan, 100)
    assert (await house.publish(plan)).state == "approved"
    house.clock.forward(hours=25)
    row = await house.publish(plan)
    assert (row.state, house.fake.posts) == ("cancelled", [])
    assert row.why.startswith("no news any more")


def test_hours_are_read_as_those_of_offices(house: House) -> None:
    with pytest.raises(errors.ConfigError, match="'always' is not a day"):
        house.plan('hours = "always"')
