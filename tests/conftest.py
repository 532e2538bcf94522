"""Fixtures that many tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

import postgres

# A shell that starts the run in the background lets it ignore Ctrl-C, and what it starts, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One cluster for the whole run: its start costs a second."""
    with postgres.running_postgres() as url:
        yield url


@pytest.fixture
def postgres_database(postgres_url: str) -> str:
    """An empty database for one test."""
    return postgres.fresh_database(postgres_url)
