"""`mjx-msm fatigue`: which muscle groups are tired in a recording over minutes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mjx_msm.cli.console import contents, make_console, notes_on
from mjx_msm.cli.libraries import prepare_jax
from mjx_msm.common.errors import InputError

if TYPE_CHECKING:
    from mjx_msm.prediction.fatigue_estimate import FatigueEstimate


def fatigue(
    result: Annotated[Path, typer.Argument(help="Folder written by `mjx-msm identify`.", show_default=False)],
    subject: Annotated[
        Path, typer.Argument(help="Subject file (TOML) with the recordings' columns and units.", show_default=False)
    ],
    trials: Annotated[
        list[str] | None,
        typer.Argument(help="Names of its trials, or new files: motion.sto,emg.sto[,moments.sto]; default: all."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for files and figures.")] = Path("fatigue"),
    group: Annotated[
        list[str] | None,
        typer.Option(help="NAME=MUSCLE,MUSCLE (or patterns; repeat); default: by joint and direction."),
    ] = None,
    draws: Annotated[int, typer.Option(min=2, max=1000, help="People drawn from the posterior.")] = 60,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing; only write.")] = False,
) -> int:
    """Which muscle groups are fatigued, by how much and how surely: EMG rises where capacity falls.

    Example: mjx-msm fatigue runs/anna subject.toml long_ik.sto,long_emg.sto,long_id.sto --out runs/tired
    """
    console = make_console(quiet)
    groups = _groups(group)
    prepare_jax()
    from mjx_msm.common.files import file_names
    from mjx_msm.knowledge.result import Identification
    from mjx_msm.prediction.asked_trials import asked_trials
    from mjx_msm.prediction.fatigue import estimate_fatigue
    from mjx_msm.study.result_folder import result_folder
    from mjx_msm.views.fatigue import fatigue_figure

    found = Identification.load(result)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are also in the study's notes, printed below
        asked = asked_trials(subject, trials or ())
    for note in asked.study.notes:
        console.print(f"note: {note}", style="dim", markup=False)
    model = found.model()
    with notes_on(console), result_folder(out) as folder:
        names = file_names(t.name for t in asked.trials)
        for trial in asked.trials:
            made = estimate_fatigue(found, trial, model=model, groups=groups, draws=draws)
            own = folder / names[trial.name]
            made.save(own)
            fatigue_figure(made).savefig(own / "fatigue.png", dpi=130)
            _print(console, made)
    console.print(f"written to {out}: {', '.join(contents(out))}", markup=False)
    return 0


def _groups(asked: list[str] | None) -> dict[str, list[str]] | None:
    if not asked:
        return None
    out: dict[str, list[str]] = {}
    for text in asked:
        name, equals, muscles = text.partition("=")
        listed = [m.strip() for m in muscles.split(",") if m.strip()]
        if not equals or not name.strip() or not listed:
            raise InputError(f"--group {text}: give NAME=MUSCLE,MUSCLE, such as quadriceps=vas*,recfem")
        if name.strip() in out:
            raise InputError(f"--group {name.strip()} is given twice; put its muscles into one")
        out[name.strip()] = listed
    return out


def _print(console, made: FatigueEstimate) -> None:
    from rich.table import Table

    def shown(value, digits: str) -> str:
        return f"{value.value:{digits}} ({value.low:{digits}} … {value.high:{digits}})"

    what = "recorded moments" if made.recorded else "motion: the moments that it takes if nothing touches the person"
    minutes = (made.time[-1] - made.time[0]) / 60
    console.print(f"\n{made.trial}: {minutes:.2g} min, from EMG and {what}", markup=False)
    table = Table("group", "muscles", "capacity, first", "last", "F [1/s]", "R [1/s]", "data", box=None, pad_edge=False)
    for g in made.groups:
        row = (shown(g.capacity[0], ".2f"), shown(g.now, ".2f"))
        row += (shown(g.fatigue_rate, ".4f"), shown(g.recovery_rate, ".4f"))
        table.add_row(g.name, ", ".join(g.muscles), *row, f"{100 * g.data_share:.0f} %")
    console.print(table)
    console.print("(low … high): 95 % intervals, if muscles tire as 3CC-r says, by its rates F and R", style="dim")
    console.print("data: what the recording tells of all that is known of the last capacity", style="dim")
    for g in made.groups:
        console.print(g.words, markup=False)
    for note in made.notes:
        console.print(f"note: {note}", markup=False)
