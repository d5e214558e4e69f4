"""`mjx-msm predict`: new recordings through an identified person."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mjx_msm.cli.console import contents, make_console, notes_on
from mjx_msm.cli.libraries import prepare_jax
from mjx_msm.common.errors import InputError
from mjx_msm.common.file_kinds import RESULT, SUBJECT, refuse_swapped

if TYPE_CHECKING:
    from mujoco import MjModel
    from rich.console import Console

    from mjx_msm.knowledge.records import Fit
    from mjx_msm.knowledge.result import Identification
    from mjx_msm.person.model import Model


def predict(
    result: Annotated[Path, typer.Argument(help="Folder written by `mjx-msm identify`.", show_default=False)],
    subject: Annotated[
        Path, typer.Argument(help="Subject file (TOML) with the recordings' columns and units.", show_default=False)
    ],
    trials: Annotated[
        list[str] | None,
        typer.Argument(help="Names of its trials, or new files: motion.sto,emg.sto[,moments.sto]; default: all."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for files, figures and films.")] = Path("prediction"),
    draws: Annotated[int, typer.Option(min=2, max=10000, help="People drawn for the bands.")] = 40,
    film: Annotated[bool, typer.Option("--film/--no-film", help="Write a film, too.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing; only write.")] = False,
) -> int:
    """Run recordings of EMG and angles through an identified person: forces, moments, power, with bands.

    Example: mjx-msm predict runs/walk subject.toml new_ik.sto,new_emg.sto --out runs/new
    """
    console = make_console(quiet)
    refuse_swapped("predict", (result, RESULT), (subject, SUBJECT))
    prepare_jax()
    from mjx_msm.common.files import file_names
    from mjx_msm.knowledge.result import Identification
    from mjx_msm.prediction.asked_trials import asked_trials
    from mjx_msm.prediction.conclusion import conclusion
    from mjx_msm.prediction.offline import predict as predicted
    from mjx_msm.study.result_folder import result_folder
    from mjx_msm.views.prediction import film_prediction, prediction_figure

    found = Identification.load(result)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are also in the study's notes, printed below
        asked = asked_trials(subject, trials or ())
    for note in asked.study.notes:
        console.print(f"note: {note}", style="dim", markup=False)
    model, fits, said = found.model(), [], []
    with notes_on(console), result_folder(out) as folder:
        scene = _scene(found, model, console) if film else None
        names = file_names(t.name for t in asked.trials)
        for trial in asked.trials:
            made = predicted(found, trial, model=model, draws=draws, learnt_from=asked.study.trials)
            own = folder / names[trial.name]
            made.save(own)
            prediction_figure(made).savefig(own / "prediction.png", dpi=130)
            if scene is not None:
                film_prediction(scene, made, own / "prediction.mp4")
            fits += made.fits
            said += conclusion(made, found)
            console.print(f"{trial.name}: {len(made.time)} instants", style="dim", markup=False)
    if fits:
        _print_errors(console, fits)
    for sentence in said:
        console.print(sentence, markup=False)
    console.print(f"written to {out}: {', '.join(contents(out))}", markup=False)
    return 0


def _scene(found: Identification, model: Model, console: Console) -> MjModel | None:
    """The person to film; None, and why, where MJCF cannot hold their muscles."""
    import mujoco

    with tempfile.TemporaryDirectory() as scratch:
        try:
            path = found.export(Path(scratch) / "model.xml", model)
        except InputError as reason:
            console.print(f"no film: {reason}", markup=False)
            return None
        return mujoco.MjModel.from_xml_path(str(path))


def _print_errors(console, fits: list[Fit]) -> None:
    from rich.table import Table

    others = list(dict.fromkeys(name for f in fits for name in f.beside))
    table = Table("trial", "moment of", "unit", "generic", "identified", "r", *others, "spread", box=None)
    for f in fits:
        beside = (f"{f.beside[o]:.3g}" if o in f.beside else "" for o in others)
        table.add_row(
            f.trial, f.coordinate, f.unit, f"{f.generic:.3g}", f"{f.identified:.3g}", f"{f.correlation:.3f}", *beside,
            f"{f.spread:.3g}",
        )  # fmt: skip
    console.print(table)
