"""The engines that a list of signers could be set with, each in its best plain form.

All are given the same lines and set them in our form: A4, three columns of 84
lines, 7 on 8.6 points, Noto Sans and whatever the engine finds for letters that
it lacks.  None writes tags.  Each function runs in a process of its
own, which pays for the engine's import.
"""

from __future__ import annotations

import ctypes
import html
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import names

#: Points, as in deliverybot/pdf/setter.py.
WIDTH, HEIGHT, MARGIN, TOP, BOTTOM, GAP = 595.276, 841.890, 42.5, 57.0, 55.0, 14.0
COLUMN = (WIDTH - 2 * MARGIN - 2 * GAP) / 3
SIZE, LEADING = 7.0, 8.6
#: Without its first words Chromium makes the body one page high, and loses what is beyond.
_CSS = """<!doctype html><meta charset="utf-8"><style>
@page { size: A4; margin: 57pt 42.5pt 55pt }
body { margin: 0; columns: 3; column-gap: 14pt; font: 7pt/8.6pt 'Noto Sans', sans-serif;
       overflow-wrap: anywhere }
p { margin: 0 }
table { border-spacing: 0 } td { padding: 0; vertical-align: top }
td:first-child { padding-right: 2pt; white-space: nowrap }
"""


def line(row: names.Signer) -> str:
    """Return what is printed of a signer: number, name, city, country."""
    return f"{row.number}\u2002" + ", ".join(_isolated(field) for field in row[1:])


def _isolated(field: object) -> str:
    """Keep a field's direction to itself; U+0590 starts the right-to-left scripts."""
    text = str(field)
    return text if max(text) < "\u0590" else f"\u2068{text}\u2069"


def weasyprint_table(rows: list[names.Signer], out: pathlib.Path) -> None:
    """WeasyPrint, naive: a table row a name."""
    lines = (html.escape(line(row)).replace("\u2002", "<td>", 1) for row in rows)
    cells = (f"<tr><td>{text}</tr>\n" for text in lines)
    _weasyprint(itertools.chain([_CSS, "</style><table>"], cells), out)


def weasyprint_columns(rows: list[names.Signer], out: pathlib.Path) -> None:
    """WeasyPrint, naive: CSS columns, a paragraph a name."""
    _weasyprint(_paragraphs(rows), out)


def weasyprint_lean(rows: list[names.Signer], out: pathlib.Path) -> None:
    """WeasyPrint, lean: paragraphs of a hundred lines, as our short lists are."""
    page = [_CSS, "p { white-space: pre-line; orphans: 1; widows: 1 }</style>"]
    for start in range(0, len(rows), 100):
        lines = (html.escape(line(row)) for row in rows[start : start + 100])
        page.append("<p>" + "\n".join(lines) + "</p>\n")
    _weasyprint(page, out)


def _paragraphs(rows: list[names.Signer]) -> Iterator[str]:
    yield f"{_CSS}</style>"
    yield from (f"<p>{html.escape(line(row))}</p>\n" for row in rows)


def _weasyprint(page: Iterable[str], out: pathlib.Path) -> None:
    import weasyprint

    weasyprint.HTML(string="".join(page)).write_pdf(out)


_TYPST = """
#set page("a4", margin: (top: 57pt, x: 42.5pt, bottom: 55pt), columns: 3)
#set columns(gutter: 14pt)
#set text(font: "Noto Sans", size: 7pt, dir: ltr, top-edge: 7pt, bottom-edge: 0pt)
#set par(leading: 1.6pt, spacing: 1.6pt)
#for lines in json("lines.json").chunks(100) { par(lines.join(linebreak())) }
"""


def typst(rows: list[names.Signer], out: pathlib.Path) -> None:
    """Typst: paragraphs of a hundred lines, the lines as data rather than markup.

    A paragraph a name takes 1.1 times as long, all lines in Typst's own markup 1.4 times.
    """
    import typst

    (out.parent / "lines.json").write_text(json.dumps([line(row) for row in rows]))
    source = out.parent / "lines.typ"
    source.write_text(_TYPST)
    typst.compile(source, output=out, pdf_tags=False)


_PANGO = """
typedef struct _cairo cairo_t;
typedef struct _surface cairo_surface_t;
typedef struct _layout PangoLayout;
typedef struct _line PangoLayoutLine;
typedef struct _font PangoFontDescription;
typedef struct _context PangoContext;
cairo_surface_t *cairo_pdf_surface_create(const char *, double, double);
cairo_t *cairo_create(cairo_surface_t *);
void cairo_move_to(cairo_t *, double, double);
void cairo_show_page(cairo_t *);
void cairo_destroy(cairo_t *);
void cairo_surface_finish(cairo_surface_t *);
int cairo_surface_status(cairo_surface_t *);
PangoLayout *pango_cairo_create_layout(cairo_t *);
void pango_cairo_show_layout_line(cairo_t *, PangoLayoutLine *);
PangoFontDescription *pango_font_description_from_string(const char *);
void pango_font_description_set_absolute_size(PangoFontDescription *, double);
void pango_layout_set_font_description(PangoLayout *, PangoFontDescription *);
PangoContext *pango_layout_get_context(PangoLayout *);
void pango_context_set_round_glyph_positions(PangoContext *, int);
void pango_layout_set_width(PangoLayout *, int);
void pango_layout_set_wrap(PangoLayout *, int);
void pango_layout_set_auto_dir(PangoLayout *, int);
void pango_layout_set_text(PangoLayout *, const char *, int);
int pango_layout_get_line_count(PangoLayout *);
PangoLayoutLine *pango_layout_get_line_readonly(PangoLayout *, int);
"""
_PANGO_SCALE, _WRAP_WORD_CHAR = 1024, 2


def pango(rows: list[names.Signer], out: pathlib.Path) -> None:
    """Pango and Cairo: a layout a line, on a PDF surface.

    The C libraries are called directly: pangocairocffi would add its objects to
    each call, and PyPI has it as source only, which our locks do not take.
    """
    import cffi

    ffi = cffi.FFI()
    ffi.cdef(_PANGO)
    cairo = ffi.dlopen("libcairo.so.2")
    text = ffi.dlopen("libpango-1.0.so.0")
    both = ffi.dlopen("libpangocairo-1.0.so.0")
    surface = cairo.cairo_pdf_surface_create(os.fsencode(out), WIDTH, HEIGHT)
    page = cairo.cairo_create(surface)
    layout = both.pango_cairo_create_layout(page)
    font = text.pango_font_description_from_string(b"Noto Sans")
    text.pango_font_description_set_absolute_size(font, SIZE * _PANGO_SCALE)
    text.pango_layout_set_font_description(layout, font)
    # Without this each letter would stand on a whole point, as on a screen.
    text.pango_context_set_round_glyph_positions(text.pango_layout_get_context(layout), 0)
    text.pango_layout_set_width(layout, int(COLUMN * _PANGO_SCALE))
    text.pango_layout_set_wrap(layout, _WRAP_WORD_CHAR)
    text.pango_layout_set_auto_dir(layout, 0)
    places = _places(lambda: cairo.cairo_show_page(page))
    for row in rows:
        text.pango_layout_set_text(layout, line(row).encode(), -1)
        for index in range(text.pango_layout_get_line_count(layout)):
            x, y = next(places)
            cairo.cairo_move_to(page, x, y)
            found = text.pango_layout_get_line_readonly(layout, index)
            both.pango_cairo_show_layout_line(page, found)
    cairo.cairo_destroy(page)
    cairo.cairo_surface_finish(surface)
    if status := cairo.cairo_surface_status(surface):
        raise SystemExit(f"cairo ended with status {status}")


def _places(turn: Callable[[], Any]) -> Iterator[tuple[float, float]]:
    """Yield where each line's baseline starts, from the top, and turn the page when it is full."""
    lines = int((HEIGHT - TOP - BOTTOM) / LEADING)
    for page in itertools.count():
        if page:
            turn()
        for column in range(3):
            x = MARGIN + column * (COLUMN + GAP)
            yield from ((x, TOP + SIZE + LEADING * index) for index in range(lines))


def reportlab(rows: list[names.Signer], out: pathlib.Path) -> None:
    """ReportLab's canvas, the limit: one font, no shaping, so part of the names is blank."""
    from reportlab.lib import utils
    from reportlab.pdfbase import pdfmetrics, ttfonts
    from reportlab.pdfgen import canvas

    command = ["fc-match", "--format=%{file}", "Noto Sans:style=Regular"]
    font = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    pdfmetrics.registerFont(ttfonts.TTFont("Noto Sans", font))
    sheet = canvas.Canvas(str(out), pagesize=(WIDTH, HEIGHT), pageCompression=1)
    sheet.setFont("Noto Sans", SIZE)

    def turn() -> None:
        sheet.showPage()
        sheet.setFont("Noto Sans", SIZE)

    def fits(text: str) -> bool:
        return bool(pdfmetrics.stringWidth(text, "Noto Sans", SIZE) <= COLUMN)

    places = _places(turn)
    narrow = int(COLUMN / SIZE)  # so many characters fit, however wide
    for row in rows:
        whole = line(row)
        parts = [whole] if fits(whole) else utils.simpleSplit(whole, "Noto Sans", SIZE, COLUMN)
        for part in parts:
            step = len(part) if fits(part) else narrow
            for start in range(0, len(part), step):
                x, y = next(places)
                sheet.drawString(x, HEIGHT - y, part[start : start + step])
    sheet.save()


_CHROMIUM = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run
--disable-background-networking --disable-component-update --disable-sync
--disable-pdf-tagging --no-pdf-header-footer""".split()
_PR_SET_CHILD_SUBREAPER = 36


def chromium(rows: list[names.Signer], out: pathlib.Path) -> None:
    """Chromium: the page of the naive columns, printed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise SystemExit("Chromium is not installed")
    page = out.with_suffix(".html")
    page.write_text("".join(_paragraphs(rows)), encoding="utf-8")
    # Its helpers outlive their parents; they become our children, whose time is counted.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryDirectory(dir=out.parent) as profile:
        command = [program, *_CHROMIUM, f"--user-data-dir={profile}", f"--print-to-pdf={out}"]
        subprocess.run([*command, page.as_uri()], check=True, capture_output=True)
        while True:
            try:
                os.wait()
            except ChildProcessError:
                break


#: In the order of the table.
ENGINES: dict[str, Callable[[list[names.Signer], pathlib.Path], None]] = {
    "table": weasyprint_table,
    "columns": weasyprint_columns,
    "lean": weasyprint_lean,
    "chromium": chromium,
    "pango": pango,
    "typst": typst,
    "reportlab": reportlab,
}
