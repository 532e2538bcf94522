"""Webhooks over real HTTP: proved, stored first, taken in once."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import hmac
import http.client
import json
import pathlib
import socket
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import pytest
import sqlalchemy as sa
from click import testing

import build
import web_server
from deliverybot import arrivals, cli, config, errors, ledger, listening, overview, signatures, web
from deliverybot import campaign as campaigns
from deliverybot.ledger import tables
from deliverybot.web import webhooks

FIXTURES = pathlib.Path(__file__).parent / "fixtures" / "sources"
SECRET = "a secret between two"
SOURCE = """\
[source]
kind = "webhook"
every = "1m"
platform = "{platform}"
{more}
"""
SIGNED = 'access = "forms"\n'
NAMED = 'columns = { name = "Full name", city = "City", to_target = "Show my name publicly" }\n'


@dataclasses.dataclass
class Site:
    """A server in a thread that takes in one campaign's signatures."""

    book: ledger.Ledger
    options: config.Settings
    plan: campaigns.Campaign
    host: str = ""
    port: int = 0

    @property
    def store(self) -> arrivals.Arrivals:
        return arrivals.Arrivals(self.book, self.options.state, build.Clock())

    @property
    def path(self) -> str:
        return f"/in/{self.plan.slug}/{self.store.token(self.plan.slug)}"

    def send(
        self, body: bytes | str, path: str = "", method: str = "POST", **headers: str
    ) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        with contextlib.closing(connection):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path or self.path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    async def read(self, **more: Any) -> signatures.Reading:  # noqa: ANN401 - as signatures.read
        key = signatures.recognition_key(self.options.state, self.book)
        means = signatures.means(self.options, self.book, build.Clock())
        return await signatures.read(
            self.book, self.plan, key=key, now=build.NOW, means=means, **more
        )

    def names(self) -> list[str]:
        upto = self.book.signatures.standing(self.plan.slug).last_number
        return [one.name for one in self.book.signatures.lines(self.plan.slug, upto)]


@contextlib.contextmanager
def running(
    folder: pathlib.Path, platform: str, more: str = "", *, secret: str = SECRET, **web_: float
) -> Iterator[Site]:
    build.settings(folder)
    file = folder / "config.toml"
    file.write_text(f'{file.read_text()}[web]\nlisten = "127.0.0.1:0"\n[access.forms]\n')
    options = config.load(file, environ={"DELIVERYBOT_ACCESS__FORMS__SIGNING_SECRET": secret})
    plan = build.campaign(folder, source=SOURCE.format(platform=platform, more=more))
    book = ledger.open_ledger(options.database_url)
    site = Site(book=book, options=options, plan=plan)
    receivers = webhooks.receivers({plan.slug: plan}, options)
    app = web.app(book, options.state, build.Clock(), receivers)
    wanted = listening.Web.model_validate({"listen": "127.0.0.1:0"} | web_)
    with (
        contextlib.closing(book),
        web_server.running(app, wanted) as (site.host, site.port),
    ):
        yield site


def fixture(name: str) -> str:
    return (FIXTURES / name).read_text()


def signature(body: str, secret: str = SECRET) -> bytes:
    return hmac.digest(secret.encode(), body.encode(), "sha256")


# --- what platforms send ------------------------------------------------------------------------


async def test_action_network_brings_a_signature(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "actionnetwork") as site:
        assert site.send(fixture("actionnetwork_webhook_signature.json")) == (200, "stored\n")
        assert site.store.count("faces") == 1
        reading = await site.read()
        assert (reading.new, reading.problem, reading.skipped) == (1, "", ())
        assert site.names() == ["Ada Example"]
        assert site.store.count("faces") == 0
        with site.book._db.read() as tx:
            row = tx.execute(sa.select(tables.signatures)).one()
        assert (row.region, row.country, row.comment) == ("England", "GB", "Please stop.")
        assert row.signed_at.isoformat() == "2026-11-22T00:50:00+00:00"


async def test_typeform_signs_its_calls(tmp_path: pathlib.Path) -> None:
    more = f'{SIGNED}columns = {{ name = "name", to_target = "public" }}\n'
    with running(tmp_path, "typeform", more) as site:
        body = fixture("typeform_webhook.json")
        said = f"sha256={base64.b64encode(signature(body)).decode()}"
        assert site.send(body)[0] == 401
        assert site.send(body, Typeform_Signature="sha256=AAAA")[0] == 401
        wrong = base64.b64encode(signature(body, "another")).decode()
        assert site.send(body, Typeform_Signature=f"sha256={wrong}")[0] == 401
        assert site.send(body + " ", Typeform_Signature=said)[0] == 401
        assert site.store.count("faces") == 0
        assert site.send(body, Typeform_Signature=said)[0] == 200
        assert (await site.read()).new == 1
        assert site.names() == ["Ada Example"]


async def test_tally_signs_its_calls(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "tally", SIGNED + NAMED) as site:
        body = fixture("tally_webhook.json")
        said = base64.b64encode(signature(body)).decode()
        assert site.send(body, Tally_Signature=said[:-4] + "AAA=")[0] == 401
        assert site.send(body, Tally_Signature=said)[0] == 200
        assert (await site.read()).new == 1
        assert site.names() == ["Ada Example"]


async def test_what_a_choice_says_is_read_as_words(tmp_path: pathlib.Path) -> None:
    """Checkboxes bring the ids of what was ticked; nothing ticked is a no."""
    content = json.loads(fixture("tally_webhook.json"))
    options = [{"id": "o1", "text": "Yes"}, {"id": "o2", "text": "Not me"}]
    for at, ticked in enumerate((["o1"], ["o2"], [], None)):
        content["data"]["submissionId"] = f"s{at}"
        content["data"]["fields"][2] |= {"value": ticked, "options": options}
        with running(tmp_path / str(at), "tally", SIGNED + NAMED) as site:
            body = json.dumps(content)
            site.send(body, Tally_Signature=base64.b64encode(signature(body)).decode())
            assert (await site.read()).new == 1
            assert site.names() == (["Ada Example"] if ticked == ["o1"] else [""])


async def test_ones_own_site_sends_objects(tmp_path: pathlib.Path) -> None:
    more = f'{SIGNED}signature_header = "X-Signature"\nform = "faces"\n'
    with running(tmp_path, "json", more) as site:
        one = {"form": "faces", "name": "Ada", "email": "ada@mail.example", "city": "Leeds"}
        other = {"form": "other", "name": "Nobody", "email": "no@mail.example"}
        for content in (one, [{**one, "name": "Bo", "email": "bo@mail.example"}, other]):
            body = json.dumps(content)
            assert site.send(body, X_Signature=signature(body).hex())[0] == 200
        assert (await site.read()).new == 2
        assert site.names() == ["Ada", "Bo"]


# --- once, and never lost -----------------------------------------------------------------------


async def test_a_call_that_comes_again_counts_once(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "json") as site:
        one = json.dumps({"name": "Ada", "city": "Leeds"})
        assert [site.send(one)[0] for _ in range(3)] == [200, 200, 200]
        assert (await site.read()).new == 1
        assert site.send(one)[0] == 200  # after it was taken in, too
        assert site.store.count("faces") == 0
        assert (await site.read()).new == 0


async def test_a_key_tells_calls_apart_and_finds_the_same_again(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "json") as site:
        one = json.dumps({"name": "Ada", "city": "Leeds"})
        for key in ("k1", "k2", "k1"):
            assert site.send(one, Idempotency_Key=key)[0] == 200
        assert (await site.read()).new == 2


async def test_a_signed_call_that_somebody_sends_again_counts_once(
    tmp_path: pathlib.Path,
) -> None:
    """The signature proves the body; under which keys it comes proves nothing."""
    more = f'{SIGNED}signature_header = "X-Signature"\n'
    with running(tmp_path, "json", more) as site:
        body = json.dumps({"name": "Ada", "city": "Leeds"})
        for key in ("k1", "k2", "k3"):
            said = signature(body).hex()
            assert site.send(body, X_Signature=said, Idempotency_Key=key)[0] == 200
        assert (await site.read()).new == 1


async def test_a_signature_in_two_calls_counts_once(tmp_path: pathlib.Path) -> None:
    content = json.loads(fixture("actionnetwork_webhook_signature.json"))
    with running(tmp_path, "actionnetwork") as site:
        site.send(json.dumps(content))
        site.send(json.dumps(content + content))
        reading = await site.read()
        assert (reading.new, reading.standing.signatures) == (1, 1)


async def test_a_reading_that_is_cut_off_takes_nothing_twice(tmp_path: pathlib.Path) -> None:
    """The calls are forgotten only after their signers are in the ledger."""
    with running(tmp_path, "json") as site:
        for n in range(5):
            site.send(json.dumps({"name": f"Person {n}", "city": "Leeds"}))

        def die(batch: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            await site.read(progress=die)
        assert site.book.signatures.standing("faces").held == 5
        assert site.store.count("faces") == 5
        assert (await site.read()).new == 0
        assert site.store.count("faces") == 0
        assert site.names() == [f"Person {n}" for n in range(5)]


async def test_a_crowd_comes_at_once(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "json") as site:
        bodies = [json.dumps({"name": f"Person {n}"}) for n in range(300)]
        with futures.ThreadPoolExecutor(8) as crowd:
            assert {status for status, _ in crowd.map(site.send, bodies * 2)} == {200}
        assert (await site.read()).new == 300
        assert sorted(site.names()) == sorted(f"Person {n}" for n in range(300))


async def test_what_cannot_be_read_is_told_of_and_holds_nothing_up(
    tmp_path: pathlib.Path,
) -> None:
    broken = ("{", "null", "[1]", '{"name": NaN}', "[" * 100_000, '{"name": ["Ada"]}', "\xff")
    with running(tmp_path, "json") as site:
        for body in broken:
            assert site.send(body)[0] == 200
        site.send(json.dumps({"name": "Ada"}))
        reading = await site.read()
        assert (reading.new, len(reading.skipped), reading.problem) == (1, len(broken), "")
        assert "is not what json sends" in reading.skipped[0].what
        assert site.store.count("faces") == 0


async def test_a_change_in_the_database_is_no_signature(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "json") as site:
        site.send(json.dumps({"name": "Ada"}))
        await site.read()
        site.send(json.dumps({"name": "Bo"}))
        with site.book._db.write() as tx:
            tx.execute(sa.update(tables.arrivals).values(body=b"x" * 100))
        reading = await site.read()
        assert "cannot be unlocked" in reading.problem
        assert reading.standing.signatures == 1


def test_a_ledger_that_fails_is_no_yes(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "json") as site:
        path = site.path
        with site.book._db.write() as tx:
            tables.arrivals.drop(tx)
        assert site.send(json.dumps({"name": "Ada"}), path)[0] == 503


async def test_a_slip_in_columns_loses_no_name(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "json", 'columns = { name = "fullname" }\n') as site:
        site.send(json.dumps({"full_name": "Ada", "id": "1"}))
        reading = await site.read()
        assert "none of the calls that wait has a name" in reading.problem
        assert "'full_name'" in reading.problem
        assert "Ada" not in reading.problem
        assert site.store.count("faces") == 1
        source = site.plan.source.model_copy(update={"columns": {"name": "full_name"}})
        site.plan = site.plan.model_copy(update={"source": source})
        assert (await site.read()).new == 1
        assert site.names() == ["Ada"]
        # From then on one without a name is one who gave none, and holds up nobody.
        site.send(json.dumps({"id": "2"}))
        assert (await site.read()).new == 1
        assert site.names() == ["Ada", ""]


async def test_a_slip_in_a_column_of_consent_is_said(tmp_path: pathlib.Path) -> None:
    """It is a no for everybody, and nobody would know."""
    more = 'columns = { name = "name", to_target = "Show my nmae", public = "Public" }\n'

    def said(site: Site) -> list[str]:
        known = {site.plan.slug: site.plan}
        (one,) = overview.status(site.book, known, site.options, build.NOW).campaigns
        return [reason for reason in one.reasons if reason.startswith("no call so far has")]

    def checked() -> list[dict[str, str]]:
        args = ["-c", str(tmp_path / "config.toml"), "check", "--offline", "--json"]
        environ = {"DELIVERYBOT_ACCESS__FORMS__SIGNING_SECRET": SECRET}
        run = testing.CliRunner(env=environ).invoke(cli.cli, args)
        return [one for one in json.loads(run.stdout) if one["what"].startswith("no call so far")]

    with running(tmp_path, "json", more) as site:
        assert (said(site), await asyncio.to_thread(checked)) == ([], [])
        site.send(json.dumps({"name": "Ada", "Show my name": "yes", "id": "1"}))
        await site.read()
        assert len(said(site)) == 2
        site.send(json.dumps({"name": "Bo", "Public": "", "id": "2"}))
        await site.read()
        (one,) = said(site)
        assert "'Show my nmae', where `columns` says 'to_target'" in one
        (found,) = await asyncio.to_thread(checked)
        assert one.startswith(found["what"])
        assert found["level"] == "warning"
        assert found["file"].endswith("schedules/faces.toml")
        # Once it is mended, the next call that has it ends that.
        named = {"name": "name", "to_target": "Show my name", "public": "Public"}
        source = site.plan.source.model_copy(update={"columns": named})
        site.plan = site.plan.model_copy(update={"source": source})
        assert len(said(site)) == 1
        site.send(json.dumps({"name": "Cy", "Show my name": "yes", "id": "3"}))
        await site.read()
        assert said(site) == []
        assert site.names() == ["", "", "Cy"]


@pytest.mark.parametrize("body", ["[[[1, 2]]]", "[[]]", "[1]", "1", '["ab"]', '[[["name", "A"]]]'])
async def test_what_is_no_object_is_left_out_and_holds_nobody_up(
    tmp_path: pathlib.Path, body: str
) -> None:
    with running(tmp_path, "json") as site:
        assert site.send(body)[0] == 200
        assert site.send(json.dumps({"name": "Ada"}))[0] == 200
        reading = await site.read()
        assert not reading.problem
        assert site.names() == ["Ada"]


# --- nobody else --------------------------------------------------------------------------------


def test_nothing_of_a_person_lies_open_in_the_database(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "actionnetwork") as site:
        site.send(fixture("actionnetwork_webhook_signature.json"))
        held = b"".join(file.read_bytes() for file in site.options.state.rglob("*"))
        assert len(held) > 10_000
        for word in (b"Ada", b"ada@example.org", b"LS1"):
            assert word not in held


def test_only_the_whole_address_is_right(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "json") as site:
        path, body = site.path, json.dumps({"name": "Ada"})
        for wrong in (path[:-1], path + "A", "/in/faces/", f"/in/other/{path[-22:]}", "/in/faces"):
            status, said = site.send(body, wrong)
            assert status == 404
            assert path[-22:] not in said
        assert site.send(body, method="GET")[0] == 405
        assert site.send(b"")[0] == 400
        assert site.send(b"x" * (webhooks.LARGEST + 1))[0] == 413
        assert site.store.count("faces") == 0


def test_a_body_that_drips_is_cut_and_is_no_error_of_ours(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One who knows the address could else hold every connection for ever."""
    with running(tmp_path, "json", patience=2.0) as site, contextlib.ExitStack() as held:
        head = f"POST {site.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{"
        clients = []
        for _ in range(3):
            client = socket.create_connection((site.host, site.port), timeout=30)
            held.enter_context(client)
            client.sendall(head.encode())
            clients.append(client)
        assert all(map(cut, clients))
        assert site.send(json.dumps({"name": "Ada"}))[0] == 200
        assert site.store.count("faces") == 1
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def cut(client: socket.socket) -> bool:
    """Read what there is; tell whether the connection ended without an answer."""
    try:
        return client.recv(65536) == b""
    except ConnectionError:
        return True


def test_another_address_ends_the_old_one(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "json") as site:
        old, body = site.path, json.dumps({"name": "Ada"})
        site.store.renew("faces")
        assert site.path != old
        assert site.send(body, old)[0] == 404
        assert site.send(body)[0] == 200


def test_without_its_secret_no_call_is_proved(tmp_path: pathlib.Path) -> None:
    assert not webhooks.signed(b"body", hmac.digest(b"x", b"body", "sha256").hex(), b"")
    empty = hmac.digest(b"\0", b"body", "sha256").hex()
    assert not webhooks.signed(b"body", empty, b"")


def test_a_call_is_to_come_again_where_the_secret_is_not_set_yet(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(
        tmp_path, "json", SIGNED + 'signature_header = "X-Signature"\n', secret=""
    ) as site:
        assert site.send("{}", X_Signature="AAAA")[0] == 503
        assert site.store.count("faces") == 0
    assert "[access.forms] has no signing_secret" in caplog.text


# --- the campaigner -----------------------------------------------------------------------------


def test_the_command_shows_the_address(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "json") as site:
        site.send(json.dumps({"name": "Ada"}))
        args = ["-c", str(tmp_path / "config.toml"), "signatures", "webhook", "faces"]
        run = testing.CliRunner().invoke(cli.cli, [*args, "--json"])
        told = json.loads(run.stdout)
        assert told == {
            "campaign": "faces",
            "address": f"https://campaigns.example{site.path}",
            "waiting": 1,
        }
        run = testing.CliRunner().invoke(cli.cli, [*args, "--renew"])
        assert run.stdout == f"https://campaigns.example{site.path}\n"
        assert run.stdout != told["address"] + "\n"


@pytest.mark.parametrize(
    ("platform", "more", "what"),
    [
        ("typeform", "", "signs its calls, and no 'access' is given"),
        ("json", SIGNED, "no header is said to hold a signature"),
        ("tally", f'{SIGNED}signature_header = "X-Mine"\n', "is known"),
        ("json", 'signature_header = "X-Mine"\n', "signs its calls, and no 'access'"),
        ("jsn", "", "'platform' must be"),
    ],
)
def test_a_section_that_cannot_be_meant(
    tmp_path: pathlib.Path, platform: str, more: str, what: str
) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        build.campaign(tmp_path, source=SOURCE.format(platform=platform, more=more))
    assert what in str(caught.value)
    assert "faces.toml:" in str(caught.value)


def test_check_says_what_is_missing(tmp_path: pathlib.Path) -> None:
    options = build.settings(tmp_path)
    plan = build.campaign(
        tmp_path, source=SOURCE.format(platform="tally", more='access = "form"\n')
    )
    said = [fault.what for fault in campaigns.check([plan], options)]
    assert "config.toml has no [access.form]" in said
    assert any("needs the section [web]" in what for what in said)
