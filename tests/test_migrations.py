"""Bringing a database to this version's tables, and refusing what is not ours."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa
from alembic import autogenerate
from alembic.runtime import migration

import build
from deliverybot import errors, ledger, model
from deliverybot.ledger import correspondence, migrate, store, tables


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'folder' / 'ledger.db'}"
    return str(request.getfixturevalue("postgres_database"))


def change(url: str, *texts: str) -> None:
    """Write to a database as somebody else."""
    engine = sa.create_engine(url)
    with engine.begin() as tx:
        for text in texts:
            tx.execute(sa.text(text))
    engine.dispose()


def names(url: str) -> set[str]:
    engine = sa.create_engine(url)
    found = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    return found


def test_a_migrated_database_is_what_the_code_says(url: str) -> None:
    with contextlib.closing(ledger.open_ledger(url)) as book, book._db.engine.connect() as tx:
        # SQLite gives defaults back in quotes, which Alembic takes for other ones.
        options = {"compare_type": True, "compare_server_default": not book.single_process}
        context = migration.MigrationContext.configure(tx, opts=options)
        found = autogenerate.compare_metadata(context, correspondence.returns.metadata)
        # PostgreSQL checks no signature's campaign and wording: migration 0008 says why.
        unchecked = [change[1].name for change in found if change[0] == "add_fk"]
        both = ["fk_signatures_campaign_id", "fk_signatures_wording_id"]
        assert sorted(unchecked) == ([] if book.single_process else both)
        assert len(found) == len(unchecked)
        assert context.get_current_revision() == migrate.HEAD


def test_the_newest_migration_is_the_one_the_code_stands_at() -> None:
    from alembic import config, script

    options = config.Config()
    options.set_main_option(
        "script_location", str(pathlib.Path(migrate.__file__).parent / "migrations")
    )
    assert script.ScriptDirectory.from_config(options).get_heads() == [migrate.HEAD]


def test_comments_taken_in_by_an_older_version_wait(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(migrate, "HEAD", "0002")
        ledger.open_ledger(url).close()
    said = [("Stop it", "Ada", True), ("", "Ben", True), ("No", "", True), ("No", "Eve", False)]
    rows = [
        "INSERT INTO signatures (campaign_id, number, name, city, region, country, postcode,"
        " comment, taken_at, public, to_target, mail, sms, wording_id) VALUES (1, "
        f"{n}, '{name}', '', '', '', '', '{text}', '2026-11-23T15:00:00.000000Z',"
        f" true, {to_target}, true, true, 1)"
        for n, (text, name, to_target) in enumerate(said, 1)
    ]
    change(
        url,
        "INSERT INTO campaigns (id, slug, last_number, signatures) VALUES (1, 'faces', 4, 4)",
        "INSERT INTO wordings (id, campaign_id, sha256, words, since)"
        " VALUES (1, 1, '', 'I agree.', '2026-11-23T15:00:00.000000Z')",
        *rows,
    )
    with contextlib.closing(ledger.open_ledger(url)) as book:
        found = book.comments.select("faces", list(model.Comment))
        assert [(row.number, row.comment) for row in found] == [(1, "Stop it")]
        assert found[0].state == "waiting"
        assert book.signatures.standing("faces").comment_revision == 0


def test_opening_again_changes_nothing(url: str) -> None:
    with contextlib.closing(ledger.open_ledger(url)) as book:
        build.take(book, build.signers(3))
    with contextlib.closing(ledger.open_ledger(url)) as book:
        assert book.signatures.standing("faces").signatures == 3


def test_an_up_to_date_ledger_is_opened_without_alembic(tmp_path: pathlib.Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger.open_ledger(url).close()
    script = """
import sys
from deliverybot import ledger
ledger.open_ledger(sys.argv[1]).close()
sys.exit("alembic" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", script, url], check=True, timeout=60, env=environment())


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def test_many_may_open_an_empty_database_at_once(url: str) -> None:
    start = threading.Barrier(4)
    raised: list[BaseException] = []

    def work() -> None:
        try:
            start.wait(30)
            ledger.open_ledger(url).close()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            raised.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert raised == []
    assert set(tables.metadata.tables) <= names(url)


def test_the_ledger_of_a_newer_version_is_refused(url: str) -> None:
    ledger.open_ledger(url).close()
    change(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(errors.LedgerError, match=r"newer deliverybot \(9999\)") as caught:
        ledger.open_ledger(url)
    assert "install that version" in caught.value.hint


def test_a_database_with_other_tables_is_refused_and_left_alone(
    url: str, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "new" / "folder").mkdir(parents=True)
    change(url, "CREATE TABLE invoices (id INTEGER)", "INSERT INTO invoices VALUES (1)")
    with pytest.raises(errors.LedgerError, match="not deliverybot's") as caught:
        ledger.open_ledger(url)
    assert "a database of its own" in caught.value.hint
    assert names(url) == {"invoices"}


def test_a_migration_cut_in_the_middle_leaves_an_empty_database(url: str) -> None:
    """SIGKILL after the tables were made and before the commit; then it is made anew."""
    script = """
import os, signal, sys
import sqlalchemy as sa
from deliverybot import ledger
from deliverybot.ledger import store
made = []
def after(connection, cursor, statement, *rest):
    if statement.startswith("CREATE TABLE") or "CREATE TABLE" in statement:
        made.append(statement)
    if len(made) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
sa.event.listen(sa.Engine, "after_cursor_execute", after)
ledger.open_ledger(sys.argv[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, url],
        capture_output=True, text=True, check=False, timeout=60, env=environment(),
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert names(url) == set()
    ledger.open_ledger(url).close()
    assert set(tables.metadata.tables) <= names(url)


def test_a_folder_where_the_file_should_be_is_an_error_with_its_name(
    tmp_path: pathlib.Path,
) -> None:
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(errors.LedgerError, match=r"ledger\.db"):
        ledger.open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_foreign_keys_hold(url: str) -> None:
    ledger.open_ledger(url).close()
    with contextlib.closing(store.Store(url)) as opened:
        row = {"campaign_id": 77, "sha256": "", "words": "", "since": build.NOW}
        with pytest.raises(errors.LedgerError, match=r"(?i)foreign key"), opened.write() as tx:
            tx.execute(sa.insert(tables.wordings), row)
