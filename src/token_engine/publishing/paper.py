"""What a printed report is made of: A4, page numbers, tables that break over pages and repeat their headings."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    LongTable,
    PageTemplate,
    Paragraph,
    Spacer,
    TableStyle,
)

INK: Final = colors.HexColor("#1B2733")
FAINT: Final = colors.HexColor("#5B6B7B")
RULE: Final = colors.HexColor("#C6CFD8")
SHADE: Final = colors.HexColor("#EEF2F6")
GOOD: Final = colors.HexColor("#1E6B3A")
BAD: Final = colors.HexColor("#A3201D")
_MARGIN: Final = 15 * mm
_ROOM: Final = 30 * mm

_TEXT: Final = ParagraphStyle("text", fontName="Helvetica", fontSize=8, leading=10, textColor=INK)
_STYLES: Final = {
    "text": _TEXT,
    "small": ParagraphStyle("small", parent=_TEXT, fontSize=6.8, leading=8.4),
    "number": ParagraphStyle("number", parent=_TEXT, fontSize=7.4, alignment=TA_RIGHT),
    "sum": ParagraphStyle("sum", parent=_TEXT, fontName="Helvetica-Bold", fontSize=8, alignment=TA_RIGHT),
    "strong": ParagraphStyle("strong", parent=_TEXT, fontName="Helvetica-Bold"),
    "heading": ParagraphStyle(
        "heading", parent=_TEXT, fontName="Helvetica-Bold", fontSize=11, leading=14, spaceBefore=9, spaceAfter=3
    ),
    "title": ParagraphStyle("title", parent=_TEXT, fontName="Helvetica-Bold", fontSize=17, leading=21),
    "faint": ParagraphStyle("faint", parent=_TEXT, fontSize=7, leading=9, textColor=FAINT),
    "column": ParagraphStyle("column", parent=_TEXT, fontName="Helvetica-Bold", fontSize=6.8, leading=8.2),
    "column_right": ParagraphStyle(
        "column_right", parent=_TEXT, fontName="Helvetica-Bold", fontSize=6.8, leading=8.2, alignment=TA_RIGHT
    ),
    "good": ParagraphStyle("good", parent=_TEXT, fontName="Helvetica-Bold", fontSize=10, leading=13, textColor=GOOD),
    "bad": ParagraphStyle("bad", parent=_TEXT, fontName="Helvetica-Bold", fontSize=10, leading=13, textColor=BAD),
}  # fmt: skip


_LACKING: Final = "?"
"""What stands for a character that the page's own fonts lack: they have those of Windows-1252."""


def text(words: str, style: str = "text") -> Paragraph:
    """A paragraph of words, whatever characters are in them."""
    return Paragraph(escape(printable(words)).replace("\n", "<br/>"), _STYLES[style])


def printable(words: str) -> str:
    """The words with a sign for each character that the fonts lack."""
    return "".join(c if (c.isprintable() and _in_font(c)) or c == "\n" else _LACKING for c in words)


def _in_font(character: str) -> bool:
    try:
        character.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str | Flowable]], widths: Sequence[float], right: frozenset[int]
) -> LongTable:
    """Rows under headings that every page repeats; columns in `right` hold amounts. `widths` in millimetres."""
    heads = [text(name, "column_right" if place in right else "column") for place, name in enumerate(columns)]
    body = [
        [cell if isinstance(cell, Flowable) else text(cell, "number" if place in right else "small")
         for place, cell in enumerate(row)]
        for row in rows
    ]  # fmt: skip
    made = LongTable([heads, *body], colWidths=[width * mm for width in widths], repeatRows=1)
    made.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"), ("BACKGROUND", (0, 0), (-1, 0), SHADE),
                ("LINEBELOW", (0, 0), (-1, -1), 0.3, RULE), ("LEFTPADDING", (0, 0), (-1, -1), 2.5),
                ("RIGHTPADDING", (0, 0), (-1, -1), 2.5), ("TOPPADDING", (0, 0), (-1, -1), 2),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
            ]
        )
    )  # fmt: skip
    return made


def figures(rows: Sequence[tuple[str, str, bool]], widths: Sequence[float] = (125, 55)) -> LongTable:
    """Words and amounts under each other; a sum (True) stands out."""
    body = [[text(words, "strong" if total else "text"), text(amount, "sum" if total else "number")]
            for words, amount, total in rows]  # fmt: skip
    made = LongTable(body, colWidths=[width * mm for width in widths], hAlign="LEFT")
    style: list[Any] = [
        ("TOPPADDING", (0, 0), (-1, -1), 1.6), ("BOTTOMPADDING", (0, 0), (-1, -1), 1.6),
        ("LINEBELOW", (0, 0), (-1, -1), 0.3, RULE), ("LEFTPADDING", (0, 0), (-1, -1), 2.5),
    ]  # fmt: skip
    style += [("BACKGROUND", (0, place), (-1, place), SHADE) for place, row in enumerate(rows) if row[2]]
    made.setStyle(TableStyle(style))
    return made


def gap(millimetres: float = 3) -> Spacer:
    """Room between two parts."""
    return Spacer(1, millimetres * mm)


def printed(story: list[Flowable], title: str, foot: str) -> bytes:
    """The pages as PDF. Every page says `title`, `foot` and its number of how many. The same story, the same bytes."""
    file = io.BytesIO()
    frame = Frame(_MARGIN, 16 * mm, A4[0] - 2 * _MARGIN, A4[1] - 34 * mm, 0, 0, 0, 0)
    document = BaseDocTemplate(
        file, pagesize=A4, title=printable(title), author="Token Engine", subject=printable(foot), invariant=1,
        pageTemplates=[PageTemplate("page", [frame])],
    )  # fmt: skip
    document.build(list(_with_room(story)), canvasmaker=partial(_Numbered, head=printable(title), foot=printable(foot)))
    return file.getvalue()


def _with_room(story: list[Flowable]) -> Iterator[Flowable]:
    """A heading stands with some of what it is about: kept together with a long table, it would leave half a page."""
    for part in story:
        if isinstance(part, Paragraph) and part.style is _STYLES["heading"]:
            yield CondPageBreak(_ROOM)
        yield part


class _Numbered(Canvas):
    """Pages that know how many they are: each is drawn when all are there."""

    def __init__(self, *arguments: Any, head: str, foot: str, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head, self._foot = head, foot
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802  (the library's name)
        self._pages.append(dict(self.__dict__))
        self._startPage()  # type: ignore[attr-defined]

    def save(self) -> None:
        pages = self._pages
        for number, page in enumerate(pages, 1):
            self.__dict__.update(page)
            self._edges(number, len(pages))
            super().showPage()
        super().save()

    def _edges(self, number: int, count: int) -> None:
        width, height = self._pagesize  # type: ignore[attr-defined]
        self.setFillColor(FAINT)
        self.setFont("Helvetica", 7)
        self.drawString(_MARGIN, height - 11 * mm, self._head)
        self.drawString(_MARGIN, 9 * mm, self._foot)
        self.drawRightString(width - _MARGIN, 9 * mm, f"page {number} of {count}")
        self.setStrokeColor(RULE)
        self.setLineWidth(0.4)
        self.line(_MARGIN, 12.5 * mm, width - _MARGIN, 12.5 * mm)
