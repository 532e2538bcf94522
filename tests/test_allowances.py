"""What a campaign allows its posts: money; against a real server that charges for each."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterator

import pytest
from click import testing

import build
import x_fake
from deliverybot import allowances, cli, config, errors, ledger, networks, outlets, publishing
from deliverybot import campaign as campaigns
from deliverybot.ledger import records

MAIN = "x-main"
#: X makes a link of it, unlike of addresses that can be nobody's.
LINKED = "{{ signatures }} people ask: {{ ask }}. https://campaigns.org/p/faces\n"


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

    async def write(self, plan: campaigns.Campaign, signatures: int) -> records.Post:
        """Let so many sign, and write what is due; the latest post."""
        build.grow(self.book, plan, signatures)
        return await self.freeze(plan)

    async def freeze(self, plan: campaigns.Campaign) -> records.Post:
        works = build.works(self.book, [plan], self.options, self.clock)
        for row in self.book.posts.select(states=("due", "held", "approved", "retrying")):
            await works._write(row, works._present())
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
        environ = {
            f"DELIVERYBOT_OUTLETS__X_MAIN__{key.upper()}": secret
            for key, secret in x_fake.KEYS.items()
        }
        options = config.load(file, environ=environ)
        book = stack.enter_context(contextlib.closing(ledger.open_ledger(options.database_url)))
        yield House(fake=fake, book=book, options=options, clock=build.Clock(), folder=tmp_path)


# --- money --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("1,000 people ask", 15_000),
        ("see https://campaigns.org/p/faces", 200_000),
        ("see campaigns.org", 200_000),
        ("see http://campaigns.org.", 200_000),
        ("1.000 people, e.g. these", 15_000),
        ("write to desk@campaigns.org", 15_000),
    ],
)
def test_a_link_costs_more(house: House, text: str, cost: int) -> None:
    outlet = outlets.open_outlet(MAIN, house.options)
    draft = outlets.Draft(key="k", text=text, campaign="faces", title="Stop")
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
    assert (await house.write(plan, 100)).cost == 200_000
    assert json.loads(house.run("status", "--json"))["campaigns"][0]["spent"] == {}
    assert (await house.publish(plan)).state == "posted"
    assert json.loads(house.run("status", "--json"))["campaigns"][0]["spent"] == {MAIN: 0.2}
    assert "$0.20 on x-main" in house.run("status")
    assert [one["cost"] for one in json.loads(house.run("posts", "list", "--json"))] == [0.2]


async def test_a_post_beyond_the_sum_is_held_and_says_how_to_raise_it(house: House) -> None:
    plan = house.plan('approval = "none"\nspend = "0.40"')
    for signatures in (100, 200):
        await house.write(plan, signatures)
        assert (await house.publish(plan)).state == "posted"
    row = await house.write(plan, 300)
    assert row.state == "held"
    assert "$0.40 of $0.40 are spent on x-main, and this post costs $0.20" in row.problem
    assert 'spend = "0.60"' in row.problem
    with pytest.raises(errors.WrongState, match="cannot be approved"):
        house.book.posts.approve(row, who="mira", now=house.clock())
    plan = house.plan('approval = "none"\nspend = "0.60"')
    await house.freeze(plan)
    assert (await house.publish(plan)).state == "posted"
    assert len(house.fake.posts) == 3


async def test_a_post_without_a_link_still_fits(house: House) -> None:
    rule = 'approval = "none"\nspend = "0.22"'
    plan = house.plan(rule)
    await house.write(plan, 100)
    assert (await house.publish(plan)).state == "posted"
    assert (await house.write(plan, 200)).problem
    plan = house.plan(rule, template="{{ signatures }} people ask: {{ ask }}.\n")
    assert (await house.freeze(plan)).problem == ""
    assert (await house.publish(plan)).state == "posted"


async def test_the_sum_is_looked_at_again_before_a_post_goes(house: House) -> None:
    """Both fitted when they were written; only one does by now."""
    rule = 'approval = "none"\nspend = "0.20"'
    plan = house.plan(rule)
    row = await house.write(plan, 100)
    assert (row.state, row.problem) == ("approved", "")
    build.put(house.book, "post", row.id, cost=1)
    await house.publish(plan)
    build.put(house.book, "post", row.id, cost=0)
    row = await house.write(plan, 200)
    assert row.state == "approved"
    build.put(house.book, "post", 1, cost=200_000)
    row = await house.publish(plan)
    assert (row.state, len(house.fake.posts)) == ("held", 1)
    assert "$0.20 of $0.20 are spent" in row.problem
    assert "is held: $0.20 of $0.20" in " ".join(house.run("status").split())


async def test_two_workers_do_not_spend_it_twice(house: House) -> None:
    plan = house.plan('approval = "none"\nspend = "0.20"')
    row = await house.write(plan, 100)
    lease = publishing.LEASE
    claim = {"owner": "w1", "lease": lease, "now": house.clock(), "spend": 199_999}
    assert house.book.posts.claim(row, **claim) is None  # type: ignore[arg-type]
    claim["spend"] = 200_000
    assert house.book.posts.claim(row, **claim) is not None  # type: ignore[arg-type]
    assert house.book.posts.spent(plan.slug, MAIN) == 200_000
    assert house.book.posts.spent(plan.slug, MAIN, besides=row.id) == 0


async def test_what_was_certainly_not_taken_costs_nothing(house: House) -> None:
    plan = house.plan('approval = "none"')
    await house.write(plan, 100)
    house.fake.plan = ["forbidden"]
    assert (await house.publish(plan)).state == "refused"
    assert house.book.posts.spent(plan.slug, MAIN) == 0


@pytest.mark.parametrize("text", ["5,00", "$5", "-1", "1e3", "", "5.0000001"])
def test_a_sum_is_digits_and_a_point(house: House, text: str) -> None:
    with pytest.raises(errors.ConfigError, match="no sum in dollars"):
        house.plan(f'spend = "{text}"')
