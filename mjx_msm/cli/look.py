"""`mjx-msm look`: what is in recordings, before anything is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from mjx_msm.cli.console import make_console
from mjx_msm.cli.libraries import load_libraries

if TYPE_CHECKING:
    from mjx_msm.recordings.survey.columns import Seen
    from mjx_msm.recordings.survey.files import Survey

LISTED = 60
"""Columns of a file that are shown without --all."""


def look(
    files: Annotated[list[Path], typer.Argument(help="Recordings of any supported format.", show_default=False)],
    picture: Annotated[
        Path | None, typer.Option(help="Draw what was found, as PNG, PDF or SVG.", show_default=False)
    ] = None,
    time_column: Annotated[
        str | None, typer.Option(help="The column that is time, where its name does not say so.", show_default=False)
    ] = None,
    sampling_rate: Annotated[
        float | None, typer.Option(min=1.0, help="Samples a second, where there is no time [Hz].", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every column, markers and empty ones, too.")] = False,
) -> None:
    """What is in recordings: channels, units, rates, gaps, what each seems to be, what is wrong with EMG.

    Example: mjx-msm look walk.c3d emg.csv --picture walk.png
    """
    console = make_console()
    load_libraries("scipy.signal")
    from mjx_msm.recordings.readers.timing import Timing
    from mjx_msm.recordings.survey.files import survey
    from mjx_msm.recordings.survey.mistaken import with_mistaken

    timing = Timing(column=time_column)
    found = with_mistaken([survey(path, timing, rate=sampling_rate) for path in files])
    for one in found:
        show(console, one, everything=everything)
    if sampling_rate is not None and not any(one.clockless for one in found):
        console.print("note: every column has a time or rate; --sampling-rate is for those without", markup=False)
    if picture is not None:
        from mjx_msm.views.recording_figures import recordings_figure, save_figure

        save_figure(recordings_figure(found), picture)
        console.print(f"drawn in {picture}", markup=False)


def show(console: Console, found: Survey, *, everything: bool = False) -> None:
    """One file: what it was taken for, its clocks, its columns."""
    console.print(f"{found.path}", style="bold", markup=False)
    console.print(f"taken for {found.taken_for}, {found.reason}", markup=False)
    for note in (*found.notes, *([f"{found.untimed}; its rows are counted here"] if found.untimed else [])):
        console.print(f"note: {note}", style="dim", markup=False)
    for clock in found.clocks:
        first, last = clock.span
        paused = f", {clock.pauses} pauses" if clock.pauses else ""
        pace = "rows without a time" if found.untimed else f"{clock.table.rate:.6g} Hz, {first:.6g} to {last:.6g} s"
        console.print(f"\n{len(clock.table.time)} rows, {pace}{paused}", markup=False)
        shown = [c for c in clock.columns if everything or c.kind not in ("marker", "constant", "empty")]
        rest = len(clock.columns) - len(shown[:LISTED]) if not everything else 0
        table = Table("column", "seems to be", "range", "means", "", box=None, pad_edge=False)
        for c in shown if everything else shown[:LISTED]:
            unit = f" [{c.unit}]" if c.unit else ""
            table.add_row(
                _plain(c.name), _plain(f"{c.kind}{unit}"), f"{c.low:.3g} … {c.high:.3g}", _meaning(c), _plain(_said(c))
            )
        if shown:
            console.print(table)
        if rest > 0:
            hidden: dict[str, int] = {}
            for c in clock.columns:
                if c not in shown[:LISTED]:
                    hidden[c.kind] = hidden.get(c.kind, 0) + 1
            listed = ", ".join(f"{count} {kind}" for kind, count in hidden.items())
            console.print(f"not listed: {listed} (--all shows them)", style="dim", markup=False)
    console.print()


def _meaning(c: Seen) -> str:
    what = " or ".join(m.replace("_", " ") for m in c.called.muscles) or c.called.coordinate.replace("_", " ")
    return ", ".join(part for part in (what, c.called.side) if part)


def _said(c: Seen) -> str:
    gaps = [f"{c.gaps} gaps, {100 * c.missing:.1f} % missing"] if c.missing else []
    return "; ".join((*c.doubts, *gaps, *c.faults))


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
