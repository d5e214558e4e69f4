"""`mjx-msm live`: torque and angle ahead of time, from streams to a stream."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from mjx_msm.cli.console import make_console
from mjx_msm.cli.libraries import prepare_jax
from mjx_msm.common.errors import InputError

if TYPE_CHECKING:
    from mjx_msm.knowledge.result import Identification
    from mjx_msm.prediction.predictor import Predictor
    from mjx_msm.prediction.streams import Report
    from mjx_msm.recordings.trial import Trial

REFRESHED = 10
"""Times a second that the display is drawn."""
BLOCKS = " ▁▂▃▄▅▆▇█"


def live(
    result: Annotated[Path, typer.Argument(help="Folder written by `mjx-msm identify`.", show_default=False)],
    emg: Annotated[
        str | None,
        typer.Option(
            help="Name of the stream of EMG envelopes, 0 to 1 as in identify; raw EMG is not taken.", show_default=False
        ),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Name of the stream of joint angles (rad).", show_default=False)
    ] = None,
    replay: Annotated[str | None, typer.Option(help="Play this trial of --subject as streams.")] = None,
    subject: Annotated[Path | None, typer.Option(help="Subject file (TOML), for --replay and --learn.")] = None,
    learn: Annotated[
        bool, typer.Option("--learn", help="Learn from --subject's trials how EMG goes on; default: it stays.")
    ] = False,
    horizon: Annotated[float, typer.Option(help="How far ahead (s).")] = 0.1,
    rate: Annotated[float, typer.Option(help="Samples a second.")] = 1000.0,
    name: Annotated[str, typer.Option(help="Of the stream that goes out.")] = "mjx_msm",
    seconds: Annotated[float | None, typer.Option(help="End after so long.", show_default=False)] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No display.")] = False,
) -> int:
    """Publish joint torque now, torque and angle ahead, from streams of the Lab Streaming Layer.

    EMG must come as envelopes, rectified, smoothed and normalised as the subject file has them: a result does not hold
    what raw EMG counts as 1. From Python, Predictor(..., processing=..., reference=...) takes raw EMG.

    Example: mjx-msm live runs/walk --replay walk --subject subject.toml --seconds 10
    """
    console = make_console(quiet)
    if replay is None and (emg is None or encoder is None):
        raise InputError("live: give --emg and --encoder, names of streams, or --replay, a trial of --subject")
    if (replay is not None or learn) and subject is None:
        raise InputError("live: --replay and --learn need --subject, the subject file of the trials")
    prepare_jax()
    from contextlib import ExitStack, suppress

    from mjx_msm.knowledge.result import Identification
    from mjx_msm.prediction.account import Account
    from mjx_msm.prediction.asked_trials import asked_trials
    from mjx_msm.prediction.predictor import Predictor
    from mjx_msm.prediction.streams import Source, forecast_labels, published, replayed, run_live

    found, known, played = Identification.load(result), (), None
    if subject is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are also in the study's notes, printed below
            asked = asked_trials(subject, [] if replay is None else [replay])
        for note in asked.study.notes:
            console.print(f"note: {note}", style="dim", markup=False)
        played = asked.trials[0] if replay is not None else None
        known = asked.study.trials
        if played is not None and (again := _known_already(found, played, known, learn)):
            console.print(f"note: {again}", style="dim", markup=False)
    console.print("compiling", style="dim")
    predictor = Predictor(
        found, horizon, rate=rate, extrapolation="learned" if learn else "hold", trials=known if learn else ()
    )
    with ExitStack() as stack:
        if played is not None:
            emg, encoder = (f"{name} replay {os.getpid()} {part}" for part in ("emg", "encoder"))
            stack.enter_context(replayed(played, predictor.channels, predictor.coordinates, (emg, encoder), rate))
        out = published(name, "Prediction", forecast_labels(predictor), rate)
        sources = Source(str(emg), predictor.channels), Source(str(encoder), predictor.coordinates)
        for source in sources:
            stack.callback(source.close)
        show, account = stack.enter_context(_Display(console, predictor, quiet)), Account(predictor.free, horizon)

        def heard(report: Report) -> None:
            account(report)
            show(report)

        with suppress(KeyboardInterrupt):
            run_live(predictor, *sources, out, seconds=seconds, listener=heard)
    for sentence in (*account.sentences(), f"stream '{name}' has ended"):
        console.print(sentence, markup=False)
    return 0


def _known_already(found: Identification, played: Trial, known: Sequence[Trial], learn: bool) -> str:
    """In words, if forecasts of a trial are better than they would be of a new one.

    **Arguments:** `known`: the trials of the subject file. `learn`: whether forecasts learn from them.
    """
    from mjx_msm.knowledge.shared_recordings import same_recording, was_seen

    seen = ["the person was identified from it"] if was_seen(found, played, known) else []
    if learn and any(same_recording(played, t) for t in known):
        seen.append("how EMG goes on is learned from it")
    return f"'{played.name}' is no new recording: {' and '.join(seen)}; of others forecasts miss more" if seen else ""


class _Display:
    """Bars of the channels, a trace of the torque, numbers and faults; a last line where there is no terminal."""

    def __init__(self, console: Any, predictor: Predictor, quiet: bool):
        self._console, self._predictor, self._quiet = console, predictor, quiet
        self._trace: deque[float] = deque(maxlen=60)
        self._live: Any = None
        self._drawn = 0.0

    def __enter__(self) -> _Display:
        from rich.live import Live

        if self._console.is_terminal and not self._quiet:
            self._live = Live(console=self._console, refresh_per_second=REFRESHED, auto_refresh=False)
            self._live.start()
        return self

    def __call__(self, report: Report) -> None:
        if self._live is None or report.forecast.time - self._drawn < 1.0 / REFRESHED:
            return
        self._drawn = report.forecast.time
        self._trace.append(float(report.forecast.torque[0]))
        self._live.update(display(self._predictor, report, self._trace), refresh=True)

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()


def display(predictor: Predictor, report: Report, trace: Any) -> Any:
    """What the terminal shows: a table."""
    from rich.table import Table

    table, f = Table(box=None, pad_edge=False, show_header=False), report.forecast
    for channel, value in zip(predictor.channels, report.emg, strict=True):
        level = 0 if not np.isfinite(value) else int(np.clip(round(30 * value), 0, 30))
        table.add_row(channel, "█" * level + "·" * (30 - level), f"{value:.2f}")
    ms = round(1000 * predictor.horizon)
    for k, c in enumerate(predictor.free):
        table.add_row(
            c, f"torque {f.torque[k]:+7.1f} ± {1.96 * f.torque_sd[k]:.1f} N·m",
            f"in {ms} ms {f.torque_ahead[k]:+7.1f} ± {1.96 * f.torque_ahead_sd[k]:.1f} N·m",
        )  # fmt: skip
        table.add_row(
            "", f"angle {np.rad2deg(f.angle[k]):+7.1f} ± {np.rad2deg(1.96 * f.angle_sd[k]):.1f} °",
            f"in {ms} ms {np.rad2deg(f.angle_ahead[k]):+7.1f} ± {np.rad2deg(1.96 * f.angle_ahead_sd[k]):.1f} °",
        )  # fmt: skip
    low, high = min(trace), max(trace)
    span = max(high - low, 1e-9)
    table.add_row("torque", "".join(BLOCKS[round(8 * (x - low) / span)] for x in trace), f"{low:.0f} to {high:.0f} N·m")
    table.add_row("", "; ".join(f.faults) or "no faults", f"{1000 * report.late:.1f} ms after its sample")
    return table
