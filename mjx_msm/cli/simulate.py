"""`mjx-msm simulate`: recordings of a person whose parameters are known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mjx_msm.cli.console import make_console, notes_on
from mjx_msm.cli.libraries import prepare_jax


def simulate(
    out: Annotated[Path, typer.Option("--out", help="Folder for the result.", show_default=False)],
    model: Annotated[str, typer.Option(help="arm, knee, or an MJCF file with muscles.")] = "arm",
    trials: Annotated[int, typer.Option(min=1, help="Trials to identify from; one more is held out.")] = 4,
    duration: Annotated[float, typer.Option(help="Of a trial, in seconds.")] = 2.0,
    rate: Annotated[float, typer.Option(help="Samples per second, at most those of the model's clock.")] = 500.0,
    noise_angle: Annotated[float, typer.Option(help="Standard deviation of the angle noise, in degrees.")] = 0.0,
    noise_emg: Annotated[bool, typer.Option("--noise-emg", help="EMG with 5 % + 0.02 noise.")] = False,
    truth_spread: Annotated[float, typer.Option(help="Largest relative difference of the truth to the model.")] = 0.1,
    free: Annotated[
        list[str] | None,
        typer.Option(
            help="Coordinate to simulate (repeat); the rest follow a slow motion. Default: all, of knee: knee_angle."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of truth, excitations and noise.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a subject.toml in --out that is not of this command.")
    ] = False,
) -> None:
    """Make a synthetic subject and trials with known truth, as files that `identify` reads.

    Example: mjx-msm simulate --model arm --out synthetic --noise-angle 0.3
    """
    console = make_console()
    prepare_jax()
    from mjx_msm.study.result_folder import result_folder
    from mjx_msm.study.synthetic_study import check_study_folder, simulate_study

    check_study_folder(out, overwrite=overwrite)
    with notes_on(console), result_folder(out) as folder:
        made = simulate_study(
            folder, model, trials=trials, duration=duration, rate=rate, noise_angle=noise_angle,
            noise_emg=noise_emg, spread=truth_spread, free=free, seed=seed,
        )  # fmt: skip
    console.print(
        f"{out}: {len(made)} trials of {duration:g} s at {rate:g} Hz, the last one held out; truth.json", markup=False
    )
    console.print(f"next: mjx-msm identify {out / 'subject.toml'} --out {out / 'result'}", markup=False)
