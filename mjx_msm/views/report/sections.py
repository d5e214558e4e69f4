"""A report made of sections: what `verify`, `design`, `profile` and `compare` write, one self-contained file each."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mjx_msm.common.files import write_text
from mjx_msm.views.report.page import Chart, chart_html, page

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FOLDED = 40
"""Rows above which a table is folded."""
LARGEST_FILM = 12_000_000
"""Of a film that goes into the page [bytes]; of a larger one its name does."""


@dataclass(frozen=True)
class Table:
    """Cells as text."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[int] = ()
    """Columns of numbers."""
    grey: Sequence[int] = ()
    """Rows that say little."""

    @property
    def folded(self) -> bool:
        return len(self.rows) > FOLDED


@dataclass(frozen=True)
class Section:
    """A heading and, in this order, what is below it, as far as there is any."""

    title: str
    text: Sequence[str] = ()
    charts: Sequence[tuple[str, Figure]] = ()
    """With a title each."""
    table: Table | None = None
    items: Sequence[str] = ()
    film: Path | None = None
    """A .mp4."""
    command: str = ""


def sections_report(title: str, under: str, verdict: Sequence[str], sections: Sequence[Section]) -> str:
    """The report as the text of an HTML file.

    **Arguments:** `under`: the line below the title. `verdict`: plain sentences, the last of them what to do next.
    """
    made = [
        {
            "section": s,
            "charts": [Chart(name, chart_html(figure)) for name, figure in s.charts],
            "film": "" if s.film is None else _embedded(s.film),
        }
        for s in sections
    ]
    return page("sections.html.j2", title=title, under=under, verdict=verdict, sections=made)


def save_sections(path: str | Path, text: str) -> Path:
    """Write a report, whole or not at all."""
    path = Path(path)
    write_text(path, text)
    return path


def _embedded(film: Path) -> str:
    """The film as an address that holds all of it; "" where it is too large for that, or is not there."""
    if not film.is_file() or film.stat().st_size > LARGEST_FILM:
        return ""
    return "data:video/mp4;base64," + base64.b64encode(film.read_bytes()).decode("ascii")
