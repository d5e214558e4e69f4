"""`mjx-msm import`: an OpenSim model as MJCF, and how far it is from OpenSim."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from mjx_msm.cli.console import make_console, notes_on
from mjx_msm.cli.libraries import prepare_jax
from mjx_msm.common.errors import InputError

if TYPE_CHECKING:
    from mjx_msm.person.from_osim.importing import ImportReport
    from mjx_msm.person.from_osim.moments import MomentError


def import_model(
    source: Annotated[Path, typer.Argument(help="An OpenSim model, .osim.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="MJCF file to write.", show_default=False)],
    coordinates: Annotated[
        list[str] | None,
        typer.Option(
            help="To keep, separated by commas (or repeat); the others are held. Default: all.", show_default=False
        ),
    ] = None,
    muscles: Annotated[
        list[str] | None,
        typer.Option(help="To keep, likewise. Default: all that a kept coordinate moves.", show_default=False),
    ] = None,
    rolling: Annotated[
        str, typer.Option(help="A knee that rolls: hinge, the nearest one; or coupled, joints that follow its angle.")
    ] = "hinge",
) -> None:
    """An OpenSim model as MJCF: bodies, joints, muscles, with the error of every path against OpenSim.

    Example: mjx-msm import scaled.osim --out person.xml --coordinates hip_flexion_r,knee_angle_r,ankle_angle_r
    """
    if out.suffix.lower() != ".xml":
        raise InputError(f"--out {out}: an MJCF file is written; end its name in .xml")
    console = make_console()
    prepare_jax()
    from mjx_msm.person.from_osim.importing import import_osim
    from mjx_msm.person.model import model_of
    from mjx_msm.person.personalisation import export

    with notes_on(console), console.status("reading") as status:
        made = import_osim(
            source,
            coordinates=_listed(coordinates),
            muscles=_listed(muscles),
            rolling=rolling,
            progress=lambda name, done, of: status.update(f"fitting paths, {done} of {of}: {name}"),
        )
        model = model_of(made.spec.copy(), str(source))
        export(model, model.nominal, out, subject=source.stem)
    show_report(console, made.report)
    console.print(f"{out}: {len(model.coordinates)} coordinates, {len(model.muscles)} muscles", markup=False)


def _listed(values: list[str] | None) -> list[str] | None:
    return None if values is None else [name.strip() for value in values for name in value.split(",") if name.strip()]


def _moment(of: MomentError) -> str:
    return f"{of.coordinate} {100 * of.relative:.2g} %" if of.relative >= 1e-5 else f"{of.coordinate} 0"


def show_report(console, report: ImportReport) -> None:
    """The errors muscle by muscle, and what was changed."""
    table = Table("muscle", "length (mm)", "moment arms (mm)", "offset (mm)", box=None, pad_edge=False)
    for column in (table.columns[1], table.columns[3]):
        column.justify = "right"
    exact = 0
    for path in report.paths:
        if path.worst < 5e-5:
            exact += 1
            continue
        arms = ", ".join(f"{c} {1e3 * error:.2f}" for c, error in path.arms.items() if error >= 5e-5)
        table.add_row(path.muscle, f"{1e3 * path.length:.2f}", arms or "0", f"{1e3 * path.offset:.1f}")
    if table.row_count:
        console.print(table)
    console.print(
        f"RMS against OpenSim over the range; {exact} more paths are exact. The offset is in the tendon slack length."
    )
    slides = [c for c, (low, high) in report.ranges.items() if high - low > 2 * math.pi]
    told = [f"{c} {math.degrees(low):.0f} … {math.degrees(high):.0f}°" for c, (low, high) in report.ranges.items()]
    console.print(
        "range: " + ", ".join(t for c, t in zip(report.ranges, told, strict=True) if c not in slides), markup=False
    )
    rolls = ", ".join(f"{c} rolls: --rolling coupled is nearer" for c in report.hinges)
    console.print(
        "inverse dynamics without muscles, error over the size of OpenSim's: "
        + ", ".join(_moment(m) for m in report.moments)
        + (f" ({rolls})" if rolls else ""),
        markup=False,
    )
    if report.beyond:
        console.print(f"above 2 mm: {', '.join(p.muscle for p in report.beyond)}", markup=False)
    for note in report.notes:
        console.print(f"note: {note}", markup=False)
