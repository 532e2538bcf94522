"""The child process that reads one Parquet file, as `parquet` asks.

Run as ``python -m deliverybot.sources.arrow`` by ``deliverybot.sources.apart``
only.  A file may lie about its sizes, unpack to a thousand times of what it
is, or meet a fault in the reader; here that ends this process and no other.

The job is `describe`, which answers with one line about columns and row
groups, or `rows`, which answers with lines of rows.  A row is a list of values
in the order of the columns asked for, or null where one is too long.
"""

from __future__ import annotations

import datetime as dt
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from deliverybot import inside
from deliverybot.sources import files, plain

#: Rows that are unpacked at a time, and letters of one line of answer.
_ROWS, _LINE = 1000, 1 << 20
#: The reader's own limits on what a footer may hold.
_STRING, _CONTAINER = 16 << 20, 1_000_000
_TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - the zone comes after
_DAY_MS = 86_400_000
#: Types within types that are looked through.
_DEEP = 4


def main() -> int:
    """Read the job, limit this process, answer."""
    job = inside.confined()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    try:
        file = parquet.ParquetFile(
            pa.PythonFile(_Borrowed(job["file"]), mode="r"),
            pre_buffer=False,
            buffer_size=1 << 18,
            thrift_string_size_limit=_STRING,
            thrift_container_size_limit=_CONTAINER,
            page_checksum_verification=True,
        )
        for answer in TASKS[job["task"]](file, job):
            inside.tell(answer)
    except MemoryError:  # pa.ArrowMemoryError is one
        inside.tell({"error": "memory"})
    except (pa.ArrowException, OSError, ValueError, TypeError, RecursionError) as error:
        inside.tell({"error": "damaged", "words": f"{type(error).__name__}: {error}"[:500]})
    return 0


class _Borrowed(io.RawIOBase):
    """A file that the parent holds, too: its reading place there must stay where it is."""

    def __init__(self, handle: int) -> None:
        super().__init__()
        self._handle = handle
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: 0}
        if whence == io.SEEK_END:
            starts[whence] = os.fstat(self._handle).st_size
        self._place = starts[whence] + offset
        return self._place

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            size = os.fstat(self._handle).st_size - self._place
        taken = os.pread(self._handle, size, self._place)
        self._place += len(taken)
        return taken


def describe(file: parquet.ParquetFile, job: dict[str, Any]) -> Iterator[dict[str, object]]:
    """Tell the columns, which of them are flat, and rows and bytes of each row group."""
    del job
    schema = file.schema_arrow
    flat = [field.name for field in schema if _is_flat(field.type)]
    yield {"columns": schema.names, "flat": flat, "groups": list(_groups(file.metadata))}


def _groups(metadata: Any) -> Iterator[list[int]]:  # noqa: ANN401 - pyarrow has no types
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        start, end = 1 << 62, 0
        for place in range(group.num_columns):
            column = group.column(place)
            begins = [column.data_page_offset, column.dictionary_page_offset]
            begin = min(offset for offset in begins if offset)
            start, end = min(start, begin), max(end, begin + column.total_compressed_size)
        yield [group.num_rows, start, end]


def rows(file: parquet.ParquetFile, job: dict[str, Any]) -> Iterator[dict[str, object]]:
    """Tell the rows of some row groups, but the first `skip` of them."""
    names, skip = job["columns"], job["skip"]
    batches = file.iter_batches(
        batch_size=_ROWS, row_groups=job["groups"], columns=names, use_threads=False
    )
    for whole in batches:
        if sorted(whole.schema.names) != sorted(names):
            raise ValueError("the columns are not those that the footer names")
        batch, skip = whole.slice(skip), max(0, skip - whole.num_rows)
        cells = [_values(batch.column(name)) for name in names]
        line, size = list[list[object] | None](), 0
        for row in zip(*cells, strict=True):
            long = [len(cell) for cell in row if isinstance(cell, str)]
            line.append(None if max(long, default=0) > files.LIMIT else list(row))
            size += sum(long)
            if size > _LINE:
                yield {"rows": line}
                line, size = [], 0
        yield {"rows": line}


def _is_flat(kind: Any) -> bool:  # noqa: ANN401
    """Tell whether a column holds single values."""
    kind = _plain_type(kind)
    return not (pa.types.is_nested(kind) or pa.types.is_run_end_encoded(kind))


def _plain_type(kind: Any) -> Any:  # noqa: ANN401
    """Return what a type is stored as: categories and types of somebody's own are others below."""
    for _ in range(_DEEP):
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        elif isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
    return kind


def _values(column: Any) -> list[object]:  # noqa: ANN401
    """Return a column's values as JSON can hold them; None for what cannot be read."""
    for _ in range(_DEEP):
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        elif isinstance(column, pa.ExtensionArray) and column.type != pa.uuid():
            column = column.storage
    kind = column.type
    if pa.types.is_timestamp(kind):
        ticks = column.cast(pa.int64()).to_pylist()
        return [_time(tick, _TICKS[kind.unit], zoned=kind.tz is not None) for tick in ticks]
    if pa.types.is_date32(kind):
        return [_time(day, 1, days=True) for day in column.cast(pa.int32()).to_pylist()]
    if pa.types.is_date64(kind):
        days = column.cast(pa.int64()).to_pylist()
        return [_time(day and day // _DAY_MS, 1, days=True) for day in days]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        # Python refuses a whole column for one letter in another encoding.
        raw = column.cast(pa.large_binary()).to_pylist()
        return [text if text is None else text.decode("utf-8", "replace") for text in raw]
    values = map(plain.value, column.to_pylist())
    return [one if isinstance(one, str | int | float) else None for one in values]


def _time(count: int | None, unit: int, *, zoned: bool = False, days: bool = False) -> str | None:
    """Return a time as ISO 8601 writes it; None for one that no calendar has."""
    if count is None:
        return None
    try:
        if days:
            return (_EPOCH + dt.timedelta(days=count)).date().isoformat()
        micro = count * 10**6 // unit
        return (_EPOCH + dt.timedelta(microseconds=micro)).isoformat() + ("+00:00" if zoned else "")
    except OverflowError:
        return None


TASKS = {"describe": describe, "rows": rows}

if __name__ == "__main__":
    sys.exit(main())
