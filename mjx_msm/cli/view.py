"""`mjx-msm view`: a person or a model in the browser."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from mjx_msm.cli.console import make_console
from mjx_msm.cli.libraries import prepare_jax
from mjx_msm.views.viewer.serving import LOOPBACK, PORT


def view(
    source: Annotated[str, typer.Argument(help="A result folder, or a model as of `info`.", show_default=False)],
    trial: Annotated[str | None, typer.Option(help="Which trial of a result; the first one by default.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The next free one if it is taken.")] = PORT,
    host: Annotated[
        str, typer.Option(help="0.0.0.0: everybody on the network can look and move, without a password.")
    ] = LOOPBACK,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="End after so long; default: with Ctrl-C.")] = None,
) -> None:
    """A person in the browser: scrub through a trial, move parameters; or a model, to move by hand.

    Example: mjx-msm view runs/anna --trial walk
    """
    console = make_console()
    prepare_jax()
    from mjx_msm.person.model import load_model
    from mjx_msm.study.viewing import trial_page
    from mjx_msm.views.viewer.model_page import ModelPage
    from mjx_msm.views.viewer.serving import address, serving

    folder = Path(source)
    with serving(f"mjx_msm: {folder.name}", host, port) as server:
        page = trial_page(server, folder, trial) if folder.is_dir() else ModelPage(server, load_model(source))
        console.print(f"{address(host, server.get_port())}  (Ctrl-C ends it)", markup=False)
        ends = time.monotonic() + (seconds if seconds is not None else float("inf"))
        page.play(lambda: time.monotonic() >= ends)
