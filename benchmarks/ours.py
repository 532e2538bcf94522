"""Our typesetter and binder, as benchmarks/volumes.py calls them: all that is ours stands here.

Children, limits and the gate, which reads each PDF again, are part of the cost.
In place of the letter, which other benchmarks measure, there is one blank page.
"""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import names

if TYPE_CHECKING:
    from deliverybot.pdf import bindery

#: Names in one volume.
VOLUME = 10_000
#: Bytes of a mail.
MOST = 20_000_000


def typeset(rows: Iterable[names.Signer], folder: pathlib.Path) -> list[pathlib.Path]:
    """Typeset signers, from the first of a volume on; return their volumes."""
    from deliverybot import model
    from deliverybot.pdf import bindery, child, volume

    form = volume.Form(
        title="A long list",
        size=VOLUME,
        withheld="name withheld",
        fields=("name", "city", "country"),
    )
    signers = (
        model.ListedSigner(number=row.number, name=row.name, city=row.city, country=row.country)
        for row in rows
    )
    made: list[pathlib.Path] = []
    work = bindery.typeset(
        signers,
        form,
        folder=folder,
        fonts=folder.with_name("fonts"),
        limits=child.Limits(),
        made=lambda one: made.append(one.path),
    )
    asyncio.run(work)
    return made


def bind(volumes: list[pathlib.Path], out: pathlib.Path) -> None:
    """Bind volumes into one PDF."""
    _bind(volumes, _front(volumes), out)


def parts(volumes: list[pathlib.Path], out: pathlib.Path, folder: pathlib.Path) -> None:
    """Bind volumes into one PDF, and again into as many as mails need."""
    from deliverybot.pdf import bindery

    front = _front(volumes)
    whole = _bind(volumes, front, out)
    shares = bindery.parts(volumes, whole, front.stat().st_size, bindery.room(MOST))
    for number, share in enumerate(shares, 1):
        _bind(share, front, folder / f"{number}.pdf")


def _bind(volumes: list[pathlib.Path], front: pathlib.Path, out: pathlib.Path) -> bindery.Bound:
    from deliverybot.pdf import bindery, child

    fonts = volumes[0].parent.with_name("fonts")
    work = bindery.bind(front, volumes, out, fonts=fonts, limits=child.Limits())
    return asyncio.run(work)


def _front(volumes: list[pathlib.Path]) -> pathlib.Path:
    """Write the blank page that stands for the letter."""
    import pikepdf

    front = volumes[0].parent.with_name("front.pdf")
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.save(front)
    return front
