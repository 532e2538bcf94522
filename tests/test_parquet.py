"""Parquet files: streamed, read on or read anew, and hostile ones that harm nobody."""

# ruff: noqa: ANN401 - pyarrow has no types

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import io
import json
import os
import pathlib
import re
import signal
import sys
import tracemalloc
import uuid
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pytest
from click import testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

import build
import http_server
from deliverybot import campaign as campaigns
from deliverybot import cli, errors, ledger, model, plugins, screen, signatures, sources
from deliverybot.sources import apart, kinds

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "sources" / "parquet.md"
KEY = b"k" * 32


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "schedules").mkdir()
    return tmp_path


@pytest.fixture
def file(folder: pathlib.Path) -> pathlib.Path:
    return folder / "schedules" / "signers.parquet"


def plan(folder: pathlib.Path, more: str = "") -> campaigns.Campaign:
    source = f'[source]\nkind = "parquet"\npath = "signers.parquet"\nevery = "5m"\n{more}\n'
    return build.campaign(folder, source=source)


def table(first: int, last: int) -> pa.Table:
    numbers = range(first, last + 1)
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "name": [f"Person {n}" for n in numbers],
            "email": [f"p{n}@mail.example" for n in numbers],
            "city": ["Leeds"] * len(numbers),
        }
    )


def write(file: pathlib.Path, *tables: pa.Table, **options: Any) -> None:
    """Write a file of one row group a table."""
    with pq.ParquetWriter(file, tables[0].schema, **options) as writer:
        for one in tables:
            writer.write_table(one, row_group_size=max(1, one.num_rows))


def read(
    campaign: campaigns.Campaign, cursor: str | None = None, *, batch: int = 10
) -> list[sources.Batch]:
    return list(sources.read(campaign, cursor=cursor, secret=KEY, now=build.NOW, batch=batch))


def signers(batches: Iterable[sources.Batch]) -> list[model.Signer]:
    return [signer for batch in batches for signer in batch.signers]


def names(batches: Iterable[sources.Batch]) -> list[str]:
    return [signer.name for signer in signers(batches)]


def people(first: int, last: int) -> list[str]:
    return [f"Person {n}" for n in range(first, last + 1)]


def refused(campaign: campaigns.Campaign, cursor: str | None = None) -> errors.SourceError:
    with pytest.raises(errors.SourceError) as caught:
        read(campaign, cursor)
    assert caught.value.hint
    assert "mail.example" not in str(caught.value)
    return caught.value


# --- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
def test_pages_in_order(folder: pathlib.Path, file: pathlib.Path, compression: str) -> None:
    write(file, table(1, 12), table(13, 25), compression=compression)
    batches = read(plan(folder))
    assert [len(batch.signers) for batch in batches] == [10, 10, 5]
    assert names(batches) == people(1, 25)
    assert batches[-1].position == batches[-1].size == file.stat().st_size
    assert batches[0].signers[0].key_id == screen.key(KEY, "faces", "id", "1")
    assert read(plan(folder), batches[-1].cursor) == []


def test_what_has_not_changed_is_not_opened_again(
    folder: pathlib.Path, file: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(file, table(1, 5))
    batches = read(plan(folder))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert read(plan(folder), batches[-1].cursor) == []


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_a_reading_that_stopped_goes_on(
    folder: pathlib.Path, file: pathlib.Path, taken: int
) -> None:
    write(file, table(1, 12), table(13, 14), table(15, 40))
    stopped = sources.read(plan(folder), cursor=None, secret=KEY, now=build.NOW, batch=10)
    begun = [next(stopped) for _ in range(taken)]
    del stopped
    rest = read(plan(folder), begun[-1].cursor)
    assert names([*begun, *rest]) == people(1, 40)


def test_a_longer_file_with_the_same_beginning_is_read_on(
    folder: pathlib.Path, file: pathlib.Path
) -> None:
    write(file, table(1, 12), table(13, 25))
    first = read(plan(folder))
    write(file, table(1, 12), table(13, 25), table(26, 30))
    second = read(plan(folder), first[-1].cursor)
    assert names(second) == people(26, 30)
    assert not second[0].skipped
    assert read(plan(folder), second[-1].cursor) == []


def test_another_file_is_read_from_its_start(folder: pathlib.Path, file: pathlib.Path) -> None:
    write(file, table(1, 12), table(13, 25))
    first = read(plan(folder))
    write(file, table(1, 30))
    second = read(plan(folder), first[-1].cursor)
    assert names(second) == people(1, 30)
    # Its people are known by their ids, so there is nothing to tell.
    assert not second[0].skipped
    changed = table(1, 12).set_column(1, "name", [[f"Renamed {n}" for n in range(1, 13)]])
    write(file, changed, table(13, 25), table(26, 30))
    assert names(read(plan(folder), first[-1].cursor))[:12] == changed.column("name").to_pylist()


def test_a_file_without_keys_says_that_it_was_read_anew(
    folder: pathlib.Path, file: pathlib.Path
) -> None:
    write(file, table(1, 3).select(["name"]))
    first = read(plan(folder))
    write(file, table(1, 5).select(["name"]))
    second = read(plan(folder), first[-1].cursor)
    assert "was read from its start" in second[0].skipped[0].what
    keys = [[one.key_id for one in signers(batches)] for batches in (first, second)]
    assert keys[1][:3] == keys[0]


@pytest.mark.parametrize("cursor", ["", "{}", "[]", "nonsense", '{"version":1,"kind":"parquet"}'])
def test_a_cursor_that_is_none_starts_again(
    folder: pathlib.Path, file: pathlib.Path, cursor: str
) -> None:
    write(file, table(1, 3))
    assert names(read(plan(folder), cursor)) == people(1, 3)


def cut(file: pathlib.Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:-size])


async def test_nobody_is_lost_or_counted_twice(
    folder: pathlib.Path, file: pathlib.Path, book: ledger.Ledger
) -> None:
    async def once() -> signatures.Reading:
        return await signatures.read(book, plan(folder), key=KEY, now=build.NOW)

    write(file, table(1, 30))
    assert (await once()).new == 30
    cut(file, 200)
    failed = await once()
    assert "the end of the file is missing" in failed.problem
    assert failed.standing.signatures == 30
    write(file, table(1, 45))
    grown = await once()
    assert (grown.new, grown.again, grown.problem) == (15, 30, "")
    assert [line.name for line in book.signatures.lines("faces", 99)] == people(1, 45)


def test_rows_that_do_not_count_are_passed_over(folder: pathlib.Path, file: pathlib.Path) -> None:
    write(file, table(1, 20).append_column("state", [["yes", "no"] * 10]))
    campaign = plan(folder, 'only = { state = ["yes"] }')
    batches = read(campaign)
    assert names(batches) == [f"Person {n}" for n in range(1, 21, 2)]
    assert read(campaign, batches[-1].cursor) == []


def children() -> list[int]:
    """The processes that we have started."""
    found: list[int] = []
    for task in pathlib.Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile has started nobody
            found += map(int, task.read_text().split())
    return found


def reading_child() -> int:
    """The process that reads a file for us."""
    return next(
        pid
        for pid in children()
        if b"deliverybot.sources.arrow" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def test_a_reader_that_is_killed_is_a_failed_reading(
    folder: pathlib.Path, file: pathlib.Path
) -> None:
    write(file, table(1, 60_000))
    batches, taken = sources.read(
        plan(folder), cursor=None, secret=KEY, now=build.NOW, batch=1000
    ), list[sources.Batch]()  # fmt: skip
    taken.append(next(batches))
    os.kill(reading_child(), signal.SIGKILL)
    with pytest.raises(errors.SourceError, match="signal 9"):
        taken.extend(batches)
    assert len(names(taken)) < 60_000
    rest = read(plan(folder), taken[-1].cursor, batch=10_000)
    assert names([*taken, *rest]) == people(1, 60_000)


def test_no_process_stays_behind_and_none_knows_our_secrets(
    folder: pathlib.Path, file: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELIVERYBOT_MAIL__PASSWORD", "hunter2")
    write(file, table(1, 60_000))
    batches = sources.read(plan(folder), cursor=None, secret=KEY, now=build.NOW, batch=100)
    next(batches)
    pid = reading_child()
    known = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    assert b"hunter2" not in known
    assert b"LC_ALL=C.UTF-8" in known
    batches.close()  # type: ignore[attr-defined]
    assert pid not in children()


def test_memory_is_flat(folder: pathlib.Path, file: pathlib.Path) -> None:
    """One row group of 100,000 rows, as a careless exporter writes it."""
    write(file, table(1, 100_000))
    campaign = plan(folder)
    errand = kinds.Errand(
        campaign=campaign, section=campaign.source, secret=KEY, now=build.NOW, most=2000
    )

    def peaks(upto: int) -> tuple[int, int]:
        tracemalloc.start()
        rows = 0
        for page in plugins.find(plugins.SOURCES, "parquet")(errand).pages(None):
            rows += len(page.rows)
            if rows >= upto:
                status = pathlib.Path(f"/proc/{reading_child()}/status").read_text()
                break
        ours = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return ours, int(re.findall(r"VmHWM:\s+(\d+)", status)[0])

    few, many = peaks(10_000), peaks(90_000)
    assert many[0] < few[0] * 1.3
    assert many[1] < few[1] * 1.3


# --- values -------------------------------------------------------------------------------------


def test_values_of_every_kind(folder: pathlib.Path, file: pathlib.Path) -> None:
    at = dt.datetime(2026, 11, 22, 0, 50)  # noqa: DTZ001
    cases = {
        "id": pa.array([b"\xff" * 16, b"\x01" * 16], pa.binary(16)),
        "name": pa.array(["Ada", "Zoë"]).dictionary_encode(),
        "email": pa.array([None, "zoe@mail.example"], pa.large_string()),
        "city": pa.array([b"Leeds", b"York"], pa.binary()),
        "postcode": pa.array([12345, None], pa.int32()),
        "country": pa.array([None, None], pa.null()),
        "signed_at": pa.array([at, None], pa.timestamp("ns")),
        "public": pa.array([True, None]),
        "to_target": pa.array([1, 0], pa.int8()),
    }
    write(file, pa.table(cases))
    ada, zoe = signers(read(plan(folder)))
    assert ada.key_id == screen.key(KEY, "faces", "id", "ff" * 16)
    assert (ada.name, ada.city, ada.postcode, ada.country) == ("Ada", "Leeds", "12345", "")
    assert ada.signed_at == at.replace(tzinfo=dt.UTC)
    assert (ada.public, ada.to_target, zoe.public, zoe.to_target) == (True, True, False, False)
    assert zoe.key_email == screen.key(KEY, "faces", "email", "zoe@mail.example")


@pytest.mark.parametrize(
    ("kind", "given_value", "wanted"),
    [
        (pa.timestamp("s", "Europe/Berlin"), 1_763_769_000, "2025-11-21T23:50:00+00:00"),
        (pa.timestamp("ms"), 1_763_769_000_000, "2025-11-21T23:50:00"),
        (pa.timestamp("us", "No/Where"), 1_763_769_000_000_000, "2025-11-21T23:50:00+00:00"),
        (pa.timestamp("s"), 1 << 60, None),
        (pa.timestamp("ns"), -(1 << 62), "1823-11-12T00:06:21.572612"),
        (pa.date32(), 20_000, "2024-10-04"),
        (pa.date32(), -(1 << 31), None),
        (pa.date64(), 20_000 * 86_400_000, "2024-10-04"),
    ],
)
def test_times(kind: Any, given_value: int, wanted: str | None) -> None:
    from deliverybot.sources import arrow

    whole = pa.int32() if pa.types.is_date32(kind) else pa.int64()
    column = pa.array([given_value, None], whole).cast(kind)
    assert arrow._values(column) == [wanted, None]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (pa.array([decimal.Decimal("12.50")]), "12.50"),
        (pa.array([uuid.UUID(int=5).bytes], pa.uuid()), str(uuid.UUID(int=5))),
        (pa.array(["text"], pa.string_view()), "text"),
        (pa.array([b"Ren\xe9"]).cast(pa.string(), safe=False), "Ren\ufffd"),
        (pa.array([[1, 2]]), None),
        (pa.array([float("inf")]), float("inf")),
        (pa.array([dt.time(1, 2)]), "01:02:00"),
    ],
)
def test_single_values(values: Any, wanted: object) -> None:
    from deliverybot.sources import arrow

    assert arrow._values(values) == [wanted]


def test_columns_are_mapped(folder: pathlib.Path, file: pathlib.Path) -> None:
    renamed = table(1, 3).rename_columns(["Nr", "user.name", "E-Mail", "Town"])
    write(file, renamed)
    campaign = plan(folder, 'columns = { id = "Nr", name = "user.name", email = "E-Mail" }')
    assert names(read(campaign)) == people(1, 3)
    assert signers(read(campaign))[0].city == ""
    error = refused(plan(folder, 'columns = { name = "Full name" }'))
    assert "no column 'Full name'" in str(error)


def test_a_file_at_a_web_address(folder: pathlib.Path) -> None:
    content = good(folder)
    answer = http_server.Answer(
        body=content, headers={"Content-Type": "application/octet-stream", "ETag": '"1"'}
    )

    def handle(request: http_server.Request) -> http_server.Reply:
        known = request.headers.get("if-none-match") == '"1"'
        return http_server.Answer(status=304) if known else answer

    with http_server.running(handle) as server:
        url = server.url("/signers.parquet")
        source = f'[source]\nkind = "parquet"\nurl = "{url}"\nevery = "5m"\n'
        campaign = build.campaign(folder, source=source)
        batches = read(campaign)
        assert names(batches) == people(1, 60)
        assert read(campaign, batches[-1].cursor) == []
        assert len(server.requests) == 2


# --- hostile files -------------------------------------------------------------------------------


def good(folder: pathlib.Path) -> bytes:
    file = folder / "good.parquet"
    write(file, table(1, 30), table(31, 60))
    return file.read_bytes()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "no Parquet file"),
        (b"PAR1", "is missing or damaged"),
        (b"PAR1PAR1", "is missing or damaged"),
        (b"id,name\n1,Ada\n", "no Parquet file"),
        (b"PAR1" + b"\0" * 4 + b"PAR1", "damaged"),
        (b"PAR1" + b"\xff" * 4 + b"PAR1", "is missing or damaged"),
        (b"PAR1" + b"\xff" * 5000 + (5000).to_bytes(4, "little") + b"PAR1", "damaged"),
        (b"PARE" + b"\xff" * 5000 + (5000).to_bytes(4, "little") + b"PARE", "encrypted"),
    ],
)
def test_a_file_that_is_none(
    folder: pathlib.Path, file: pathlib.Path, content: bytes, what: str
) -> None:
    file.write_bytes(content)
    error = refused(plan(folder))
    assert what in str(error)
    assert error.file == str(file)


def test_no_file_at_all(folder: pathlib.Path) -> None:
    assert "there is no such file" in str(refused(plan(folder)))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off(folder: pathlib.Path, file: pathlib.Path, keep: float) -> None:
    content = good(folder)
    file.write_bytes(content[: int(len(content) * keep)])
    assert "still being written" in refused(plan(folder)).hint


def footer_of(content: bytes) -> bytes:
    length = int.from_bytes(content[-8:-4], "little")
    return content[-8 - length :]


def test_the_end_of_another_file(folder: pathlib.Path, file: pathlib.Path) -> None:
    content = good(folder)
    write(file, table(1, 5000), table(5001, 9000))
    other = footer_of(file.read_bytes())
    file.write_bytes(content[: -len(footer_of(content))] + other)
    assert "cannot be right" in str(refused(plan(folder)))


def test_row_groups_that_are_named_twice(folder: pathlib.Path, file: pathlib.Path) -> None:
    """A small file could be read for ever."""
    content = good(folder)
    file.write_bytes(content)
    metadata = pq.read_metadata(file)
    metadata.append_row_groups(pq.read_metadata(file))
    sink = io.BytesIO()
    metadata.write_metadata_file(sink)
    file.write_bytes(content[: -len(footer_of(content))] + footer_of(sink.getvalue()))
    assert "lie where no file has them" in str(refused(plan(folder)))


def test_a_bomb_of_long_texts(folder: pathlib.Path, file: pathlib.Path) -> None:
    """A megabyte, named five thousand times by its place in the dictionary."""
    names_ = pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int32()), ["x" * 1_000_000])
    write(file, pa.table({"name": names_}), compression="zstd")
    assert file.stat().st_size < 100_000
    assert "of memory" in str(refused(plan(folder)))


def test_a_bomb_of_many_texts(folder: pathlib.Path, file: pathlib.Path) -> None:
    names_ = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), ["x" * 50_000])
    write(file, pa.table({"name": names_, "id": [*range(3000)]}), compression="zstd")
    assert "unpacks to more than" in str(refused(plan(folder)))


def test_a_bomb_of_rows(folder: pathlib.Path, file: pathlib.Path) -> None:
    write(file, pa.table({"name": pa.nulls(3_000_000, pa.string())}), compression="zstd")
    assert file.stat().st_size < 10_000
    assert "more than fit" in str(refused(plan(folder)))


def test_a_bomb_that_nobody_reads(folder: pathlib.Path, file: pathlib.Path) -> None:
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), ["x" * 1_000_000])
    write(file, table(1, 3000).append_column("notes", long), compression="zstd")
    assert names(read(plan(folder), batch=5000)) == people(1, 3000)


def test_one_long_text_leaves_its_row_out(folder: pathlib.Path, file: pathlib.Path) -> None:
    write(file, table(1, 5).append_column("comment", [["x" * 1_100_000, *"abcd"]]))
    batches = read(plan(folder))
    assert names(batches) == people(2, 5)
    assert batches[0].skipped[0].what == "this row was left out: it is longer than 1 MiB"
    assert batches[0].skipped[0].line == 1


@pytest.mark.parametrize("mapped", ["people", "tags"])
def test_columns_with_parts_of_their_own(
    folder: pathlib.Path, file: pathlib.Path, mapped: str
) -> None:
    nested = table(1, 3).append_column("people", [[{"first": "Ada"}] * 3])
    write(file, nested.append_column("tags", [[["a", "b"]] * 3]))
    assert names(read(plan(folder))) == people(1, 3)
    error = refused(plan(folder, f'columns = {{ name = "{mapped}" }}'))
    assert "parts of its own" in str(error)


def test_a_deep_column(folder: pathlib.Path, file: pathlib.Path) -> None:
    kind, value = pa.int32(), 1
    for _ in range(200):
        kind, value = pa.list_(kind), [value]  # type: ignore[assignment]
    write(file, table(1, 1).append_column("deep", pa.array([value], kind)))
    with contextlib.suppress(errors.SourceError):
        assert names(read(plan(folder))) == people(1, 1)


def test_too_many_columns(folder: pathlib.Path, file: pathlib.Path) -> None:
    write(file, pa.table({f"c{n}": [n] for n in range(600)}))
    assert "too many columns" in str(refused(plan(folder)))


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    flips=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=6
    ),
    footer=st.booleans(),
)
def test_whatever_is_damaged_is_a_failed_reading_at_worst(
    folder: pathlib.Path, file: pathlib.Path, flips: list[tuple[float, int]], footer: bool
) -> None:
    content = bytearray(good(folder))
    start = len(content) - len(footer_of(bytes(content))) if footer else 4
    for place, change in flips:
        content[start + int(place * (len(content) - start))] ^= change
    file.write_bytes(content)
    try:
        batches = read(plan(folder))
    except errors.SourceError as error:
        assert error.file == str(file)  # noqa: PT017
    else:
        assert sum(batch.rows for batch in batches) <= 60


def test_the_reader_that_is_not_installed(
    folder: pathlib.Path, file: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(file, table(1, 3))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    error = refused(plan(folder))
    assert "not installed" in str(error)
    assert "deliverybot[parquet]" in error.hint


def test_a_reader_that_says_nothing_is_given_up(
    folder: pathlib.Path, file: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(file, table(1, 3))
    monkeypatch.setattr(apart, "_STALL", 0)
    assert "nothing came out of it" in str(refused(plan(folder)))


# --- by hand, and check --------------------------------------------------------------------------


def test_an_import_by_hand(folder: pathlib.Path) -> None:
    build.settings(folder)
    build.campaign(folder)
    build.csv(folder, 3)
    file = folder / "paper.parquet"
    heading = ["Id", "Name", "Email", "Town"]
    whole = table(1, 5).rename_columns(heading).append_column("Country", [["GB"] * 5])
    write(file, whole)
    given_words = ["-c", str(folder / "config.toml"), "signatures", "import", "faces", str(file)]
    done = testing.CliRunner().invoke(cli.cli, given_words)
    assert done.exit_code == 0, done.output
    assert "5" in done.output


def test_a_stream_is_read_as_the_campaigns_kind(folder: pathlib.Path) -> None:
    stream = io.BytesIO(good(folder))
    batches = list(
        sources.read_file(plan(folder), secret=KEY, now=build.NOW, stream=stream, batch=100)
    )
    assert names(batches) == people(1, 60)


def test_a_look(folder: pathlib.Path, file: pathlib.Path) -> None:
    write(file, table(1, 3))
    said = sources.look(plan(folder), now=build.NOW)
    assert {fault.level for fault in said} == {"ok"}
    assert "the file is there: Parquet" in [fault.what for fault in said]
    write(file, table(1, 3).select(["city"]))
    assert "fault" in {fault.level for fault in sources.look(plan(folder), now=build.NOW)}
    file.write_bytes(b"PAR1")
    (fault,) = sources.look(plan(folder), now=build.NOW)
    assert (fault.level, fault.file) == ("fault", str(file))


def test_nothing_private_is_in_a_cursor(folder: pathlib.Path, file: pathlib.Path) -> None:
    write(file, table(1, 30))
    for batch in read(plan(folder)):
        assert "mail.example" not in repr(batch)
        assert "Person" not in batch.cursor
        json.loads(batch.cursor)


@pytest.mark.parametrize(
    "example", re.findall(r"```toml\n(\[source\].*?)```", PAGE.read_text("utf-8"), re.DOTALL)
)
def test_the_examples_of_the_page_load(folder: pathlib.Path, example: str) -> None:
    assert build.campaign(folder, source=example).source.kind == "parquet"
