"""`mjx-msm info`: what a model holds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mjx_msm.cli.console import make_console, notes_on
from mjx_msm.cli.libraries import prepare_jax

ENGINES = {
    "tree": "tree, this package's own: hinges and slides without a constraint solver, every estimator",
    "mjx": "mjx, MJX's own step: contacts, limits, free and ball joints; motion, forward derivatives, identification "
    "by the motion of hinges and slides",
}


def info(
    model: Annotated[
        str,
        typer.Argument(help="arm, knee, myo_sim:NAME, an MJCF or OpenSim file, a result folder.", show_default=False),
    ],
    joint: Annotated[list[str] | None, typer.Option(help="Joint to keep (repeat), the rest held.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the moment arms over the range into this file.")] = None,
) -> None:
    """What a model holds: coordinates, muscles with their moment arms, bodies, engine, what was changed, credit.

    Example: mjx-msm info myo_sim:myolegs --joint knee_angle_r --picture knee.png
    """
    prepare_jax()
    import numpy as np

    from mjx_msm.person.inspection import coordinate_range, moment_arm_ranges
    from mjx_msm.person.model import load_model

    console = make_console()
    path = Path(model)
    with notes_on(console):
        loaded = load_model(path / "model.xml" if (path / "model.xml").is_file() else model, joints=joint)
    m, p = loaded.host.mj_model, loaded.nominal
    size = f"{len(loaded.coordinates)} coordinates, {m.nu} muscles, step {1e3 * loaded.timestep:g} ms"
    console.print(f"[bold]{escape(model)}[/bold]: {size}\n")

    table = Table("coordinate", "range", box=None, pad_edge=False)
    slides = {m.joint(j).name for j in range(m.njnt) if m.jnt_type[j] == 2}
    for name in loaded.coordinates:
        low, high = coordinate_range(loaded, name)
        factor, unit = (1e3, "mm") if name in slides else (180 / math.pi, "°")
        text = f"{factor * low:.0f} … {factor * high:.0f} {unit}" if math.isfinite(high - low) else "no stops"
        table.add_row(name, text)
    console.print(table)
    console.print()

    table = Table("muscle", "F0 (N)", "l_opt (mm)", "l_slack (mm)", "moment arms (mm)", box=None, pad_edge=False)
    for column in table.columns[1:4]:
        column.justify = "right"
    arms = moment_arm_ranges(loaded)
    for i, name in enumerate(loaded.muscles):
        crossed = [
            f"{c} {1e3 * low:.0f} … {1e3 * high:.0f}"
            for c, (low, high) in arms[name].items()
            if max(abs(low), abs(high)) > 1e-4
        ]
        table.add_row(
            name,
            f"{np.asarray(p.muscle.max_isometric_force)[i]:.1f}",
            f"{1e3 * np.asarray(p.muscle.optimal_fiber_length)[i]:.1f}",
            f"{1e3 * np.asarray(p.muscle.tendon_slack_length)[i]:.1f}",
            ", ".join(crossed) or "none",
        )
    console.print(table)
    console.print(
        "moment arms: one coordinate over its range, with what follows it, the others at their reference; positive "
        "drives it up\n"
    )

    table = Table("body", "mass (kg)", "centre of mass (mm)", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for i, name in enumerate(p.names.body):
        com = ", ".join(f"{1e3 * x:.0f}" for x in np.asarray(p.body.com)[i])
        table.add_row(name, f"{np.asarray(p.body.mass)[i]:.3f}", com)
    console.print(table)
    console.print(f"\nengine: {ENGINES[loaded.host.engine]}", markup=False)
    changed = next((t.data.split("; ") for t in loaded.host.spec.texts if t.name == "changed"), [])
    for note in (*changed, *loaded.host.notes):
        console.print(f"note: {note}", markup=False)
    credit = next((t.data for t in loaded.host.spec.texts if t.name == "credit"), "the file names none")
    console.print(f"\ncredit: {credit}", markup=False)
    if picture is not None:
        from mjx_msm.views.moment_arms import save_moment_arms

        console.print(f"{save_moment_arms(loaded, picture)}: moment arms over the range", markup=False)
