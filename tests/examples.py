"""The examples in the pages about sources, loaded as a campaigner would write them."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping

from deliverybot import campaign as campaigns

PAGES = pathlib.Path(__file__).parent.parent / "docs" / "sources"

HEAD = """\
title = "Stop selling face recognition"
ask = "Stop every sale"
url = "https://campaigns.example/p/faces"
letter = "faces"
timezone = "America/New_York"
"""
CONSENT = """\
[consent]
wording = "consent.txt"
to_target = true
"""
REST = """\
[[milestones]]
at = [100]
[[targets]]
id = "ceo"
name = "Jordan Vale"
email = "ceo@cloud.example"
"""


def blocks(page: str) -> list[str]:
    """Each piece of a settings file that a page shows."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return re.findall(r"^```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def campaign(
    folder: pathlib.Path, source: str, *, changes: Mapping[str, str] | None = None, rest: str = REST
) -> campaigns.Campaign:
    """Write `source`, a [source] section and what else there is, as a campaign, and load it.

    `changes` replaces words of it, such as the address of a platform.
    """
    for old, new in (changes or {}).items():
        assert old in source
        source = source.replace(old, new)
    consent = "" if "[consent]" in source else CONSENT
    for name in ("consent.txt", *re.findall(r'^wording = "(.+?)"', source, re.MULTILINE)):
        (folder / name).write_text("I want my name to stand under this letter.")
    file = folder / "faces.toml"
    file.write_text(f"{HEAD}{source}\n{consent}{rest}", encoding="utf-8")
    return campaigns.load(file)
