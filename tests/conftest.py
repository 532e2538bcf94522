"""Fixtures that many tests share."""

from __future__ import annotations

import contextlib
import pathlib
import signal
from collections.abc import Iterator

import hypothesis
import pytest

import http_server
import postgres
from deliverybot import ledger

# A shell that starts the run in the background lets it ignore Ctrl-C, and what it starts, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What an example may cost and how fast examples are found is the machine's business.
hypothesis.settings.register_profile(
    "patient",
    hypothesis.settings.default,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("patient")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port where every call is refused."""
    with http_server.nobody() as port:
        yield port


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One cluster for the whole run: its start costs a second."""
    with postgres.running_postgres() as url:
        yield url


@pytest.fixture
def postgres_database(postgres_url: str) -> str:
    """An empty database for one test."""
    return postgres.fresh_database(postgres_url)


@pytest.fixture
def url(tmp_path: pathlib.Path) -> str:
    """The place of `book`."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def book(url: str) -> Iterator[ledger.Ledger]:
    """An empty ledger."""
    with contextlib.closing(ledger.open_ledger(url)) as opened:
        yield opened
