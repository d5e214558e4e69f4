"""`mjx-msm verify`: a robot against people who are known only so well."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from mjx_msm.cli.console import INTERRUPTED, contents, make_console, notes_on
from mjx_msm.cli.libraries import prepare_jax
from mjx_msm.cli.progress import Count
from mjx_msm.common.errors import InputError


def verify(
    environment: Annotated[str, typer.Argument(help="KneeExo-v0, ArmCoTransport-v0, ArmReach-v0 or ArmStrike-v0.")],
    subject: Annotated[Path, typer.Option(help="Folder written by `mjx-msm identify`.", show_default=False)],
    controller: Annotated[
        str,
        typer.Option(help="Name of a controller, or a policy: of stable-baselines3 (.zip), or a saved Network (.npz)."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the result.", show_default=False)],
    people: Annotated[int, typer.Option(min=1, help="People to draw from the subject's posterior.")] = 200,
    scenarios: Annotated[
        Path | None, typer.Option(help="Scenario file (TOML); default: the environment's own.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of people beyond those saved, disturbances and noise.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one for every core.", show_default=False)
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(help="here, processes, ray, or a cluster's address (ray://…).", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run into --out ended.")] = False,
    episode: Annotated[
        int | None, typer.Option(min=0, help="Only film this episode, e.g. the report's worst.", show_default=False)
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Unpickle a policy (.zip), which runs whatever code is in it.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing; only write the result.")] = False,
) -> int:
    """What can go wrong between a robot and a person who is known only so well, and how probable it is.

    Everybody drawn from the posterior, and the point estimate, go through every scenario of disturbances.

    Example: mjx-msm verify KneeExo-v0 --subject runs/anna --controller tracking --out runs/safe
    """
    console = make_console(quiet)
    prepare_jax()
    from mjx_msm.verification.campaign import prepare
    from mjx_msm.verification.film import film, find_episode
    from mjx_msm.verification.page import save_verification_report
    from mjx_msm.verification.report import write_report
    from mjx_msm.verification.running import run as run_campaign
    from mjx_msm.views.report.page import REPORT

    with notes_on(console):
        campaign = prepare(
            environment,
            subject=subject,
            controller=controller,
            people=people,
            scenarios=scenarios,
            seed=seed,
            trust=trust,
        )
        if episode is not None:
            find_episode(campaign, episode)
            _make_folder(out)
            film(campaign, episode, out / f"episode_{episode}.mp4")
            console.print(f"written to {out}: episode_{episode}.mp4, episode_{episode}.csv", markup=False)
            return 0
        with Count(console, "episodes", quiet) as count:
            try:
                result = run_campaign(campaign, out, workers=workers, executor=executor, resume=resume, listener=count)
            except KeyboardInterrupt:
                console.print(
                    f"interrupted: {count.done} of {count.total} episodes are kept; --resume goes on from there"
                )
                return INTERRUPTED
        film(campaign, result.worst.episode.number, out / "worst.mp4")
        parts = ["mjx-msm", "verify", environment, "--subject", str(subject), "--controller", controller]
        parts += ["--people", str(people), "--seed", str(seed)]
        parts += ["--trust"] if trust else []
        parts += [] if scenarios is None else ["--scenarios", str(scenarios)]
        write_report(out, result, shlex.join(parts), "worst.mp4")
        save_verification_report(out / REPORT, result, shlex.join(parts), out / "worst.mp4")
    console.print(result)
    console.print(f"\nwritten to {out}: {', '.join(contents(out))}", markup=False)
    return 0


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from None
