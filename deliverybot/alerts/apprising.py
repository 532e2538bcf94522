"""The child process that hands a message to Apprise.

Run as ``python -m deliverybot.alerts.apprising`` by ``deliverybot.alerts.messenger``
only.  Whatever a service's library does, here it is ended in time, knows
nothing of our environment, and what it logs, tokens among it, is read by nobody.

The job is `known`, which answers which addresses Apprise knows, or `send`.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import apprise

from deliverybot import inside

#: What each service that is spoken to over HTTP says of an answer it did not want.
_STATUS = re.compile(r"error=([1-5][0-9]{2})\b")


def main() -> int:
    """Read the job, limit this process, answer."""
    job = inside.confined()
    # What is logged goes nowhere; Apprise gathers its own warnings, which `_send` looks through.
    logging.basicConfig(handlers=[logging.NullHandler()])
    if job["task"] == "known":
        asset = _asset()
        inside.tell({"known": [_open(url, asset) is not None for url in job["urls"]]})
    else:
        inside.tell({"why": _send(job)})
    return 0


def _asset() -> apprise.AppriseAsset:
    """Return how Apprise is to behave: no files, no plug-ins, no pictures, no redirects."""
    return apprise.AppriseAsset(
        app_id="deliverybot",
        app_desc="deliverybot",
        app_url="",
        async_mode=False,
        allow_templates=False,
        http_redirects=False,
        image_path_mask=False,
        image_url_logo="",
        image_url_mask="",
        interpret_emojis=False,
        pem_autogen=False,
        pgp_autogen=False,
        storage_mode="memory",
    )


def _open(url: str, asset: apprise.AppriseAsset) -> apprise.NotifyBase | None:
    """Return the service at an address; None where Apprise knows none."""
    return apprise.Apprise.instantiate(url, asset=asset)


def _send(job: dict[str, Any]) -> str:
    """Send the message; say why it was not taken, in our own words; empty where it was."""
    asset = _asset()
    service = _open(job["url"], asset)
    if service is None:
        return "Apprise knows no such address"
    # Else what is too long for a service would be refused whenever it is tried.
    service.overflow_mode = apprise.OverflowMode.TRUNCATE
    bell = apprise.Apprise(asset=asset)
    bell.add(service)
    result = bell.notify(
        title=job["title"],
        body=job["body"],
        body_format=apprise.NotifyFormat.TEXT,
        notify_type=apprise.NotifyType.WARNING if job["trouble"] else apprise.NotifyType.INFO,
    )
    if result:
        return ""
    # Never Apprise's own words: they may quote the address, and that holds a token.
    said = " ".join(entry.message for entry in result.logs())
    if found := _STATUS.search(said):
        return f"it answered {found[1]}"
    if "onnection" in said:
        return "there was no connection, or no answer in time"
    return "it was not taken"


if __name__ == "__main__":
    sys.exit(main())
