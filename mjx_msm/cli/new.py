"""`mjx-msm new`: the first draft of a subject file from the recordings there are."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mjx_msm.cli.console import make_console, notes_on
from mjx_msm.cli.libraries import prepare_jax
from mjx_msm.common.errors import InputError

if TYPE_CHECKING:
    from mjx_msm.recordings.subject_file.loading import Study


def new(
    files: Annotated[list[Path], typer.Argument(help="Motion, EMG and moments of one person.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="The subject file to write.", show_default=False)],
    model: Annotated[str, typer.Option(help="arm, knee, or an MJCF file with muscles.")] = "knee",
    side: Annotated[
        str | None, typer.Option(help="left or right; default: as the names say.", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the person; default: of the folder.", show_default=False)] = None,
    mass: Annotated[
        float | None, typer.Option(min=2.0, max=400.0, help="Of the person (kg).", show_default=False)
    ] = None,
    posture: Annotated[
        list[str] | None,
        typer.Option(help="coordinate=degrees (of a slide metres; repeat) of what no file moves.", show_default=False),
    ] = None,
    sampling_rate: Annotated[
        float | None, typer.Option(min=1.0, help="Samples a second, where there is no time [Hz].", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out.")] = False,
) -> None:
    """Draft a subject file: columns, muscles, units and signs guessed from names and values, every doubt a comment.

    Example: mjx-msm new walk/*.sto --model knee --out subject.toml
    """
    console = make_console()
    if side not in (None, "left", "right"):
        raise InputError(f"--side {side} is unknown; give left or right")
    for path in files:
        if not path.exists():
            raise InputError(f"{path}: no such file; correct the path")
    if out.exists() and not overwrite:
        raise InputError(f"{out}: is there already; --overwrite replaces it, or choose another --out")
    prepare_jax()
    from mjx_msm.common.errors import InputWarning
    from mjx_msm.person.model import load_model
    from mjx_msm.recordings.evidence.contradictions import channels_and_joints, contradictions
    from mjx_msm.recordings.survey.draft import drafted
    from mjx_msm.recordings.survey.draft_writing import written
    from mjx_msm.recordings.survey.files import survey
    from mjx_msm.study.settings import study_model

    with notes_on(console):
        loaded = load_model(model)
    found = [survey(path, None, loaded.coordinates, loaded.muscles, rate=sampling_rate) for path in files]
    for one in found:
        if one.untimed:
            what = one.untimed.partition(";")[0]
            raise InputError(f"{what}; say how many samples a second there are with --sampling-rate")
    draft = drafted(
        loaded, model, found, out, side=side, name=name, mass=mass, rate=sampling_rate,
        posture=_posture(posture or [], loaded.coordinates),
    )  # fmt: skip
    against: list[str] = []
    channels: list[str] = []

    def check(study: Study) -> None:
        own, trials = study_model(study), (*study.trials, *study.held_out)
        against[:] = contradictions(own, trials, study.emg_map)
        channels[:] = channels_and_joints(own, trials, study.emg_map)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # they are in study.notes
        study = written(draft, check)
    beside = f"; beside it {', '.join(p.name for p in draft.beside)}" if draft.beside else ""
    console.print(f"{out}: {draft.doubts} doubts, each a comment in it{beside}", markup=False)
    for line in channels:
        console.print(f"channel {line}", style="dim", markup=False)
    for note in (*study.notes, *against):
        console.print(f"note: {note}", style="dim", markup=False)
    console.print(f"next: mjx-msm identify {out} --out {out.with_suffix('')}-result", markup=False)


def _posture(given: list[str], coordinates: tuple[str, ...]) -> dict[str, float]:
    out = {}
    for entry in given:
        name, _, value = entry.partition("=")
        try:
            out[name] = float(value)
        except ValueError:
            raise InputError(f"--posture {entry}: give coordinate=degrees, like {coordinates[0]}=90") from None
        if name not in coordinates:
            raise InputError(
                f"--posture {entry}: the model has no coordinate '{name}'; it has {', '.join(coordinates)}"
            )
    return out
