"""The command line: ``mjx-msm identify | profile | simulate | render | verify | info | demo``."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mjx_msm.common.errors import InputError

if TYPE_CHECKING:
    from mjx_msm.identification.identify import Iteration
    from mjx_msm.knowledge.result import Identification
    from mjx_msm.person.model import Model
    from mjx_msm.recordings.subject_file.loading import Study
    from mjx_msm.recordings.trial import Trial
    from mjx_msm.views.plot import Replay

BAD_INPUT, INTERRUPTED = 2, 130

app = typer.Typer(
    help="From a recording of a person to that person's musculoskeletal model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point of the ``mjx-msm`` command."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; the exit code is 0, 2 for bad input (one line on stderr) or 130 after an interrupt."""
    # newer releases of typer bring their own copy of click, so its base class is found by name
    usage_error: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")  # type: ignore[assignment]
    try:
        return int(app(list(arguments), prog_name="mjx-msm", standalone_mode=False) or 0)
    except InputError as error:
        return _fail(str(error))
    except usage_error as error:
        words = getattr(error, "format_message", lambda: "")()
        if not words:  # no command given: the help has been printed
            return BAD_INPUT
        context = getattr(error, "ctx", None)
        return _fail(f"{words} (see {context.command_path if context else 'mjx-msm'} --help)")
    except (KeyboardInterrupt, typer.Abort):
        print("mjx-msm: interrupted, nothing written", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, e.g. `head`, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _fail(message: str) -> int:
    print("mjx-msm: " + " ".join(message.split()), file=sys.stderr)
    return BAD_INPUT


def _console(quiet: bool = False) -> Console:
    # a pipe or a file gets lines as wide as they are, so that nothing is cut
    return Console(quiet=quiet, highlight=False, width=None if sys.stdout.isatty() else 132, soft_wrap=False)


# JAX and notes ---------------------------------------------------------------------------------------------


def cache_folder() -> Path | None:
    """Where compiled code is kept between runs; ``MJX_MSM_CACHE`` overrides it, ``off`` turns it off."""
    chosen = os.environ.get("MJX_MSM_CACHE", "").strip()
    if chosen.lower() in ("off", "0", "no", "none"):
        return None
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "mjx_msm"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "mjx_msm"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mjx_msm"


def _prepare_jax() -> None:
    """Keep compiled code between runs, so that the second one starts at once."""
    import jax

    folder = cache_folder()
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # it is only a convenience
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


@contextmanager
def _notes(console: Console) -> Iterator[None]:
    """Warnings as one calm line each instead of Python's two."""
    with warnings.catch_warnings():
        seen: set[str] = set()

        def show(message: Any, *_: Any, **__: Any) -> None:
            text = " ".join(str(message).split())
            if text not in seen:
                seen.add(text)
                console.print(f"note: {text}", style="dim", markup=False)

        warnings.simplefilter("default")
        for chatty in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", chatty)
        # OpenGL is probed and ffmpeg run in other processes, which is safe: they exec at once
        warnings.filterwarnings("ignore", message="os.fork", category=RuntimeWarning)
        warnings.showwarning = show
        yield


# Progress --------------------------------------------------------------------------------------------------


def _noise_text(noise: Mapping[str, tuple[float, str]]) -> str:
    degrees = {"rad": "°", "rad/s²": "°/s²"}
    parts = [(math.degrees(v), degrees[u]) if u in degrees else (v, u) for v, u in noise.values()]
    return ", ".join(f"{value:.3g} {unit}" for value, unit in parts)


class Progress:
    """Shows stage, iteration, cost and error: a bar on a terminal, a line per stage elsewhere."""

    def __init__(self, console: Console, quiet: bool = False):
        self._console, self._quiet, self._bar, self._last = console, quiet, None, None
        self._began, self._task = time.perf_counter(), None

    def __enter__(self) -> Progress:
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        if self._console.is_terminal and not self._quiet:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn(),
                       TextColumn("{task.fields[state]}"))  # fmt: skip
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("compiling", total=1.0, state="")
        return self

    def __call__(self, it: Iteration) -> None:
        if self._last is not None and it.stage != self._last.stage:
            self._line()
        self._last = it
        if self._bar is not None and self._task is not None:
            done = 0.99 * (it.index + 1 - 0.5 ** (it.iteration / 20)) / it.stages
            state = f"iteration {it.iteration}  cost {it.cost:.4g}  noise {_noise_text(it.noise)}"
            self._bar.update(self._task, description=_stage(it), completed=done, state=state)

    def _line(self) -> None:
        it = self._last
        if it is not None and not self._quiet:
            seconds = time.perf_counter() - self._began
            self._console.print(
                f"{seconds:6.1f} s  {_stage(it)}: {it.iteration} iterations, "
                f"cost {it.cost:.4g}, noise {_noise_text(it.noise)}"
            )
        self._last = None

    def drawn(self, done: int, count: int) -> None:
        """Another of the posterior's draws goes through the recording."""
        if done == 1:
            self._line()
            if self._bar is None and not self._quiet:
                self._console.print(f"posterior draws: taking {count} through the recording", style="dim")
        if self._bar is not None and self._task is not None:
            part = 0.99 * done / count  # a bar that is full stops its clock
            self._bar.update(self._task, description="posterior draws", completed=part, state=f"{done}/{count}")
        if done == count and not self._quiet:
            seconds = time.perf_counter() - self._began
            self._console.print(f"{seconds:6.1f} s  posterior draws: {count} taken through the recording")

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._line()


def _stage(it: Iteration) -> str:
    return it.stage if it.stage.startswith("cross") else f"stage {it.index + 1}/{it.stages} {it.stage}"


# identify --------------------------------------------------------------------------------------------------

Out = Annotated[Path, typer.Option("--out", help="Folder for the result.", show_default=False)]


@app.command("identify")
def identify_command(
    subject: Annotated[Path, typer.Argument(help="Subject file (TOML).", show_default=False)],
    out: Out,
    cv: Annotated[bool, typer.Option(help="Blocked cross-validation over time, where moments are used.")] = True,
    starts: Annotated[
        int | None, typer.Option(min=1, help="Starting points; default: as the subject file says.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random starting points.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run into --out ended.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing; only write the result.")] = False,
) -> int:
    """Estimate a person's parameters from recordings.

    Example: mjx-msm identify subject.toml --out runs/anna
    """
    console = _console(quiet)
    from mjx_msm.recordings.subject_file.loading import load_subject

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are also in study.notes, printed below
        study = load_subject(subject)
    from mjx_msm.common.interrupts import held_interrupts
    from mjx_msm.knowledge.result import Identification
    from mjx_msm.study.study import load_truth, result_folder, study_model, write_result

    _prepare_jax()
    before = Identification.load(out) if resume else None
    model = study_model(study)
    truth = load_truth(study)
    for note in (*study.notes, *model.host.notes):
        console.print(f"note: {note}", style="dim", markup=False)
    with _notes(console), result_folder(out) as folder:
        result, interrupted = _identify(
            console, study, model, cv=cv, starts=starts, seed=seed, quiet=quiet, resume=before
        )
        with held_interrupts():
            write_result(folder, study, model, result, truth=truth)
    console.print(result)
    if truth is not None:
        console.print()
        console.print(_truth_table(result, truth))
    console.print(f"\nwritten to {out}: {', '.join(_contents(out))}", markup=False)
    if interrupted:
        console.print(_what_is_missing(result))
    return INTERRUPTED if interrupted else 0


def _identify(
    console: Console,
    study: Study,
    model: Model,
    *,
    cv: bool,
    starts: int | None,
    seed: int,
    quiet: bool,
    resume: Identification | None = None,
) -> tuple[Identification, bool]:
    """The identification, its draws and its cross-validation; whether it was interrupted."""
    from mjx_msm.knowledge.posterior_draws import completed_draws
    from mjx_msm.knowledge.result import Outcome
    from mjx_msm.study.study import can_cross_validate, cross_validated, identify_study

    if not quiet:
        console.print("compiling first: a minute or two, less when it was done before", style="dim")
    with Progress(console, quiet) as progress:
        result = identify_study(study, model, starts=starts, seed=seed, listener=progress, resume=resume)
        if result.outcome is Outcome.INTERRUPTED:
            return result, True
        count = len(result.samples)
        try:
            result = completed_draws(model, study.trials, result, lambda done: progress.drawn(done, count))
            if cv and can_cross_validate(study):
                result = cross_validated(study, model, result, starts=starts, seed=seed, listener=progress)
        except KeyboardInterrupt:
            return result, True
    return result, False


def _what_is_missing(result: Identification) -> str:
    """Of an interrupted identification."""
    if result.outcome.name == "INTERRUPTED":
        return "interrupted: the result holds the last completed iteration; --resume goes on from it"
    if result.misses_recording:
        return (
            "interrupted during the posterior's draws: the estimate is complete, but people drawn from it miss the "
            "recording; --resume goes on from there"
        )
    return "interrupted during the cross-validation: the result is complete, its cross-validated error is missing"


def _contents(folder: Path) -> list[str]:
    return sorted(f"{p.name}/" if p.is_dir() else p.name for p in folder.iterdir() if not p.name.startswith("."))


def _truth_table(result: Identification, truth: Mapping[str, float]) -> Table:
    """Estimates against the true parameters of a synthetic subject."""
    table = Table(
        "parameter", "unit", "generic", "truth", "estimate", "error", "95 % interval", "", box=None, pad_edge=False
    )
    for column in table.columns[2:7]:
        column.justify = "right"
    inside = count = 0
    for e in result.estimates:
        if e.path not in truth:
            continue
        true = truth[e.path]
        error = 100 * (e.value - true) / abs(true) if true else math.nan
        hit = e.low <= true <= e.high
        inside, count = inside + hit, count + 1
        table.add_row(
            e.path, e.unit, f"{e.start:.4g}", f"{true:.4g}", f"{e.value:.4g}", f"{error:+.1f} %",
            f"{e.low:.4g} … {e.high:.4g}", f"[dim]{_verdict(e.determined, hit)}[/dim]",
        )  # fmt: skip
    table.caption = f"the truth lies in {inside} of {count} 95 % intervals"
    table.caption_justify = "left"
    return table


def _verdict(determined: bool, hit: bool) -> str:
    return ", ".join([*([] if hit else ["truth outside"]), *([] if determined else ["mostly prior"])])


# profile ---------------------------------------------------------------------------------------------------


@app.command("profile")
def profile_command(
    subject: Annotated[Path, typer.Argument(help="Subject file (TOML).", show_default=False)],
    result: Annotated[Path, typer.Argument(help="Folder written by `mjx-msm identify`.", show_default=False)],
    parameter: Annotated[
        list[str], typer.Option(help="Path of an estimate (repeat), as in the table.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for figure and CSV; default: the result's.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing; only write.")] = False,
) -> int:
    """Profile likelihood: which values of a parameter the recordings contradict, whatever the others are.

    Example: mjx-msm profile subject.toml runs/anna --parameter muscle/BRA/max_isometric_force
    """
    console = _console(quiet)
    from mjx_msm.knowledge.result import Identification
    from mjx_msm.recordings.subject_file.loading import load_subject

    found = Identification.load(result)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they were printed by identify
        study = load_subject(subject)
    from mjx_msm.study.study import profile_study, result_folder, study_model
    from mjx_msm.views.plot import profile_figure

    folder = out if out is not None else result if result.is_dir() else result.parent
    _prepare_jax()
    model = study_model(study)
    for path in parameter:
        console.print(f"{path}: everything else is estimated again at each value", style="dim", markup=False)

        def show(value: float, drop: float) -> None:
            console.print(f"  {value:.6g}  log posterior {-drop:+.3f}", style="dim", markup=False)

        with _notes(console), result_folder(folder) as filled:
            made = profile_study(study, found, path, model=model, listener=show)
            name = f"profile_{path.replace('/', '_').replace('*', 'all')}"
            made.save(filled / f"{name}.csv")
            profile_figure(made).savefig(filled / f"{name}.png", dpi=130)
        console.print(str(made), markup=False, soft_wrap=True)
        console.print(f"written to {folder}: {name}.csv, {name}.png", markup=False)
        if made.interrupted:
            return INTERRUPTED
    return 0


# simulate --------------------------------------------------------------------------------------------------


@app.command()
def simulate(
    out: Out,
    model: Annotated[str, typer.Option(help="arm, knee, or an MJCF file with muscles.")] = "arm",
    trials: Annotated[int, typer.Option(min=1, help="Trials to identify from; one more is held out.")] = 4,
    duration: Annotated[float, typer.Option(help="Of a trial, in seconds.")] = 2.0,
    rate: Annotated[float, typer.Option(help="Samples per second; divides the model's clock.")] = 500.0,
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
) -> None:
    """Make a synthetic subject and trials with known truth, as files that `identify` reads.

    Example: mjx-msm simulate --model arm --out synthetic --noise-angle 0.3
    """
    console = _console()
    _prepare_jax()
    from mjx_msm.study.study import result_folder

    with _notes(console), result_folder(out) as folder:
        made = _simulate(
            folder, model, trials=trials, duration=duration, rate=rate, noise_angle=noise_angle,
            noise_emg=noise_emg, spread=truth_spread, free=free, seed=seed,
        )  # fmt: skip
    console.print(
        f"{out}: {len(made)} trials of {duration:g} s at {rate:g} Hz, the last one held out; truth.json", markup=False
    )
    console.print(f"next: mjx-msm identify {out / 'subject.toml'} --out {out / 'result'}", markup=False)


EMG_NOISE = (0.05, 0.02)


def _simulate(
    folder: Path,
    source: str,
    *,
    trials: int,
    held_out: int = 1,
    duration: float,
    rate: float,
    noise_angle: float,
    noise_emg: bool,
    spread: float,
    free: list[str] | None,
    seed: int,
) -> tuple[Trial, ...]:
    """Fill a folder with a synthetic study."""
    from mjx_msm.common.files import write_text
    from mjx_msm.person.model import load_model
    from mjx_msm.recordings.subject_file.loading import write_subject
    from mjx_msm.recordings.synthetic import matching, muscle_and_bone, synthetic_subject, synthetic_trials

    everything = load_model(source)
    if not free:
        free = ["knee_angle"] if source == "knee" else list(everything.free)
    for name in free:
        if name not in everything.coordinates:
            raise InputError(f"--free: {source} has no coordinate '{name}'; it has {', '.join(everything.coordinates)}")
    prescribed = [c for c in everything.coordinates if c not in free]
    model = load_model(source, free=free, prescribed=prescribed)
    truth = synthetic_subject(model, seed=seed, spread=spread)
    recorded = synthetic_trials(
        model, truth, count=trials + held_out, duration=duration, rate=rate, seed=seed,
        angle_noise=math.radians(noise_angle), emg_noise=EMG_NOISE if noise_emg else (0.0, 0.0),
    )  # fmt: skip
    entries: list[dict[str, object]] = [t.save(folder) for t in recorded]
    for entry in entries[trials:]:
        entry["role"] = "held-out"
    bundled = source in ("arm", "knee")
    mass = float(sum(everything.nominal.body.mass))
    patterns = muscle_and_bone(model)
    write_subject(
        folder / "subject.toml",
        {
            "units": "rad",
            "subject": {"name": f"synthetic {source if bundled else Path(source).stem}", "mass": max(2.0, mass)},
            "model": {
                "source": source if bundled else str(Path(source).resolve()),
                "muscle": "mujoco",
                "free": free,
                "prescribed": prescribed,
            },
            "emg": {"kind": "envelope", "muscles": {m: m for m in model.muscles}},
            "trials": entries,
            "identify": {"free": patterns, "residuals": ["motion"], "rate": rate},
        },
    )
    values = truth.to_dict()
    note = {
        "parameters": {path: values[path] for path in matching(truth, patterns)},
        "seed": seed,
        "spread": spread,
        "noise": {"angle_deg": noise_angle, "emg": EMG_NOISE if noise_emg else [0.0, 0.0]},
    }
    write_text(folder / "truth.json", json.dumps(note, indent=1) + "\n")
    return recorded


# render ----------------------------------------------------------------------------------------------------


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InputError(f"--size '{text}': write width x height in pixels, e.g. 640x480")
    return int(width), int(height)


@app.command()
def render(
    folder: Annotated[Path, typer.Argument(help="Folder written by `mjx-msm identify`.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Video, .mp4 or .gif.", show_default=False)],
    trial: Annotated[str | None, typer.Option(help="Which trial; the first one by default.")] = None,
    size: Annotated[str, typer.Option(help="Width x height of the scene, in pixels.")] = "640x480",
    fps: Annotated[float, typer.Option(min=1, max=240, help="Frames per second.")] = 30.0,
    speed: Annotated[float, typer.Option(min=0.01, max=10, help="0.5 is slow motion.")] = 1.0,
) -> None:
    """Video of a trial: measured (translucent) and simulated motion, or the joint moment under the recorded motion.

    Example: mjx-msm render runs/anna --out anna.mp4
    """
    console = _console()
    pixels = _size(size)
    from mjx_msm.study.study import load_result

    _, trials = load_result(folder)
    chosen = next((t for t in trials if trial in (None, t.name)), None)
    if chosen is None:
        raise InputError(f"--trial '{trial}': {folder} has {', '.join(t.name for t in trials)}")
    with _notes(console):
        _render(folder, chosen, out, size=pixels, fps=fps, speed=speed)
    console.print(f"{out}: trial {chosen.name}", markup=False)


def _render(folder: Path, trial: Replay, out: Path, *, size: tuple[int, int], fps: float, speed: float = 1.0) -> None:
    import mujoco
    import numpy as np

    from mjx_msm.views.render import captioned, frame_times, render_frames, video, with_traces

    path = folder / "model.xml"
    try:
        scene = mujoco.MjModel.from_xml_path(str(path))
    except ValueError as error:
        raise InputError(f"{path}: cannot be loaded ({str(error).splitlines()[0]}); identify again") from None
    if scene.nq != len(trial.coordinates):
        raise InputError(f"{path}: does not fit trials/{trial.name}.csv; identify again")
    measured = trial.pose()
    if trial.simulated:
        pose, ghost = trial.pose("identified"), measured
        text = f"{trial.name}: simulated; measured translucent"
    else:
        pose, ghost = _filled(measured), None
        text = f"{trial.name}: measured motion, identified activation"
    frames = render_frames(
        scene, trial.time, pose, trial.activation, size=size, fps=fps, speed=speed, ghost=ghost,
        camera="sagittal" if "sagittal" in [scene.camera(i).name for i in range(scene.ncam)] else None,
    )  # fmt: skip
    frames = captioned(frames, text)
    at = frame_times(trial.time, fps, speed)
    for k, name in enumerate(trial.free):
        if trial.simulated:
            series = {"measured": measured[:, trial.coordinates.index(name)]}
            series["simulated"] = trial.simulated["identified"][:, k]
            series = {v: np.rad2deg(x) for v, x in series.items()}
            label = f"{name} [°]"
        elif trial.moment is not None and trial.predicted is not None:
            series = {"measured": trial.moment[:, k], "simulated": trial.predicted["identified"][:, k]}
            label = f"moment of {name} [N·m]"
        else:
            continue
        panel = size[1] // (3 if len(trial.free) == 1 else 4)
        frames = with_traces(frames, trial.time, series, at=at, ylabel=label, height=max(panel, 40))
    video(out, frames, fps)


def _filled(values: Any) -> Any:
    """Gaps of a recording bridged, so that there is a pose to draw at every instant."""
    import numpy as np

    out = values.copy()
    for column in out.T:
        good = np.isfinite(column)
        if good.any() and not good.all():
            column[~good] = np.interp(np.flatnonzero(~good), np.flatnonzero(good), column[good])
    return out


# verify ----------------------------------------------------------------------------------------------------


@app.command("verify")
def verify_command(
    environment: Annotated[str, typer.Argument(help="KneeExo-v0, ArmCoTransport-v0 or ArmReach-v0.")],
    subject: Annotated[Path, typer.Option(help="Folder written by `mjx-msm identify`.", show_default=False)],
    controller: Annotated[
        str, typer.Option(help="Name of a controller, or a policy saved by stable-baselines3 (.zip).")
    ],
    out: Out,
    people: Annotated[int, typer.Option(min=1, help="People to draw from the subject's posterior.")] = 200,
    scenarios: Annotated[
        Path | None, typer.Option(help="Scenario file (TOML); default: the environment's own.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of people beyond those saved, disturbances and noise.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one for every core.", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run into --out ended.")] = False,
    episode: Annotated[
        int | None, typer.Option(min=0, help="Only film this episode, e.g. the report's worst.", show_default=False)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing; only write the result.")] = False,
) -> int:
    """What can go wrong between a robot and a person who is known only so well, and how probable it is.

    Everybody drawn from the posterior, and the point estimate, go through every scenario of disturbances.

    Example: mjx-msm verify KneeExo-v0 --subject runs/anna --controller tracking --out runs/safe
    """
    console = _console(quiet)
    _prepare_jax()
    from mjx_msm.verification.campaign import prepare
    from mjx_msm.verification.film import film, find_episode
    from mjx_msm.verification.report import write_report
    from mjx_msm.verification.running import run as run_campaign

    with _notes(console):
        campaign = prepare(
            environment, subject=subject, controller=controller, people=people, scenarios=scenarios, seed=seed
        )
        if episode is not None:
            find_episode(campaign, episode)
            _make_folder(out)
            film(campaign, episode, out / f"episode_{episode}.mp4")
            console.print(f"written to {out}: episode_{episode}.mp4, episode_{episode}.csv", markup=False)
            return 0
        with Count(console, "episodes", quiet) as count:
            try:
                result = run_campaign(campaign, out, workers=workers, resume=resume, listener=count)
            except KeyboardInterrupt:
                console.print(
                    f"interrupted: {count.done} of {count.total} episodes are kept; --resume goes on from there"
                )
                return INTERRUPTED
        film(campaign, result.worst.episode.number, out / "worst.mp4")
        parts = ["mjx-msm", "verify", environment, "--subject", str(subject), "--controller", controller]
        parts += ["--people", str(people), "--seed", str(seed)]
        parts += [] if scenarios is None else ["--scenarios", str(scenarios)]
        write_report(out, result, shlex.join(parts), "worst.mp4")
    console.print(result)
    console.print(f"\nwritten to {out}: {', '.join(_contents(out))}", markup=False)
    return 0


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from None


class Count:
    """Shows how many of a number of things are done: a bar on a terminal, a line every tenth elsewhere."""

    def __init__(self, console: Console, what: str, quiet: bool = False):
        self._console, self._what, self._quiet, self._bar, self._task = console, what, quiet, None, None
        self.done = self.total = 0
        self._began = time.perf_counter()

    def __enter__(self) -> Count:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        if self._console.is_terminal and not self._quiet:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                       TextColumn("left"), TimeRemainingColumn())  # fmt: skip
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=None)
        return self

    def __call__(self, done: int, total: int) -> None:
        tenth = total > 0 and (10 * done) // total > (10 * self.done) // total
        self.done, self.total = done, total
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)
        elif tenth:
            seconds = time.perf_counter() - self._began
            self._console.print(f"{seconds:6.1f} s  {done} of {total} {self._what}", style="dim", markup=False)

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()


# info ------------------------------------------------------------------------------------------------------


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="arm, knee, an MJCF file, or a result folder.", show_default=False)],
) -> None:
    """What a model holds: coordinates, muscles with their moment arms, bodies, notes, credit.

    Example: mjx-msm info arm
    """
    import numpy as np

    from mjx_msm.person.model import load_model
    from mjx_msm.recordings.synthetic import coordinate_range, moment_arm_ranges

    console = _console()
    path = Path(model)
    loaded = load_model(path / "model.xml" if (path / "model.xml").is_file() else model)
    m, p = loaded.host.mj_model, loaded.nominal
    console.print(
        f"[bold]{escape(model)}[/bold]: {m.nq} coordinates, {m.nu} muscles, step {1e3 * loaded.timestep:g} ms\n"
    )

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
    console.print("moment arms: one coordinate over its range, the others at their reference; positive drives it up\n")

    table = Table("body", "mass (kg)", "centre of mass (mm)", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for i, name in enumerate(p.names.body):
        com = ", ".join(f"{1e3 * x:.0f}" for x in np.asarray(p.body.com)[i])
        table.add_row(name, f"{np.asarray(p.body.mass)[i]:.3f}", com)
    console.print(table)
    for note in loaded.host.notes:
        console.print(f"note: {note}", markup=False)
    credit = next((t.data for t in loaded.host.spec.texts if t.name == "credit"), "the file names none")
    console.print(f"\ncredit: {credit}", markup=False)


# demo ------------------------------------------------------------------------------------------------------

# As many held-out trials as others: then what was compiled for the one serves the other.
DEMO: dict[str, Any] = {
    "trials": 2,
    "held_out": 2,
    "duration": 1.5,
    "rate": 250.0,
    "noise_angle": 0.3,
    "noise_emg": False,
    "spread": 0.1,
}


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything it makes.")] = Path("mjx_msm_demo"),
    seed: Annotated[int, typer.Option(help="Of truth, excitations and noise.")] = 0,
) -> int:
    """The main job end to end on the bundled arm: simulate, identify, compare to the truth, export, act, film.

    Example: mjx-msm demo --out demo
    """
    console = _console()
    _prepare_jax()
    from mjx_msm.recordings.subject_file.loading import load_subject
    from mjx_msm.study.study import load_result, load_truth, result_folder, study_model, write_result

    steps: list[tuple[str, float]] = []

    def step(name: str, job: Callable[[], Any]) -> Any:
        console.print(f"[bold]{len(steps) + 1}. {name}[/bold]")
        began = time.perf_counter()
        done = job()
        steps.append((name, time.perf_counter() - began))
        return done

    with _notes(console), result_folder(out) as folder:
        data, person = folder / "recording", folder / "subject"

        def recording() -> None:
            made = _simulate(data, "arm", free=None, seed=seed, **DEMO)
            console.print(
                f"   a person whose strength, fiber and tendon lengths and segment masses differ by up to "
                f"{100 * DEMO['spread']:.0f} % from the model;\n   {len(made)} trials of {DEMO['duration']:g} s with "
                f"{DEMO['noise_angle']:g}° of angle noise, {DEMO['held_out']} held out"
            )

        def identification() -> tuple[Identification, bool]:
            study = load_subject(data / "subject.toml")
            model, truth = study_model(study), load_truth(study)
            found, stopped = _identify(console, study, model, cv=False, starts=None, seed=seed, quiet=False)
            person.mkdir()
            write_result(person, study, model, found, truth=truth)
            console.print(_truth_table(found, truth or {}))
            for row in found.fits:
                if row.kind == "motion":
                    console.print(
                        f"   {row.trial} ({row.role}), {row.coordinate}: generic {math.degrees(row.generic):.2f}° → "
                        f"identified {math.degrees(row.identified):.2f}° RMSE, r = {row.correlation:.3f}"
                    )
            return found, stopped

        step("simulate a recording of a person we know", recording)
        _, interrupted = step("identify the person from it", identification)
        step("load the exported MJCF in plain MuJoCo", lambda: _step_exported(console, person))
        step("an episode with the knee exoskeleton", lambda: _episode(console, folder / "exoskeleton.mp4", seed))
        _, trials = load_result(person)
        step(
            "film measured and simulated arm",
            lambda: _render(person, trials[-1], folder / "arm.mp4", size=(640, 480), fps=30, speed=0.5),
        )
    console.print()
    table = Table("step", "time", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for name, seconds in (*steps, ("all", sum(s for _, s in steps))):
        table.add_row(name, f"{seconds:.1f} s")
    console.print(table)
    console.print(
        f"\nLook at {out / 'arm.mp4'}, {out / 'exoskeleton.mp4'} and {out / 'subject' / 'motion.png'}.\n"
        "Your own recording: write a subject.toml (python -m pydoc mjx_msm.recordings.subject_file), then mjx-msm "
        "identify it.\n"
        f"Personalised model for any MuJoCo tool: {out / 'subject' / 'model.xml'}"
    )
    return INTERRUPTED if interrupted else 0


def _step_exported(console: Console, person: Path) -> None:
    """Drive the exported file with the recorded excitations in MuJoCo alone."""
    import mujoco
    import numpy as np

    from mjx_msm.recordings.readers.delimited import read_csv

    model = mujoco.MjModel.from_xml_path(str(person / "model.xml"))
    data = mujoco.MjData(model)
    table = read_csv(person / "excitation.csv")
    names = [model.actuator(i).name for i in range(model.nu)]
    drive = np.stack([table[f"excitation/{n}"] for n in names], -1)
    joints = [model.joint(j).name for j in range(model.njnt)]
    data.qpos[:] = [table[f"position/{j}"][0] for j in joints]
    data.act[:] = drive[0]
    began = time.perf_counter()
    for u in drive[:-1]:
        data.ctrl[:] = u
        mujoco.mj_step(model, data)
    seconds = time.perf_counter() - began
    end = ", ".join(f"{j} {math.degrees(q):.1f}°" for j, q in zip(joints, data.qpos, strict=True))
    measured = ", ".join(f"{math.degrees(table[f'position/{j}'][-1]):.1f}°" for j in joints)
    console.print(
        f"   {len(drive) - 1} steps in {1e3 * seconds:.0f} ms; after {data.time:.2f} s {end} (measured {measured})"
    )


def _episode(console: Console, path: Path, seed: int) -> None:
    """A short episode of the exoskeleton on the generic leg, recorded: it follows the wanted knee angle."""
    import gymnasium

    from mjx_msm import envs
    from mjx_msm.views.render import video

    seconds, every = 4.0, 4  # a frame every `every` actions
    env: Any = gymnasium.make(envs.KNEE_EXO, render_mode="rgb_array", width=480, height=360)
    try:
        _, state = env.reset(seed=seed)
        rate = float(env.metadata["render_fps"])
        frames, errors, torques = [env.render()], [], []
        for k in range(1, round(seconds * rate) + 1):
            action = env.action_space.low * 0 + max(-1.0, min(1.0, 3.0 * (state["reference"] - state["knee_angle"])))
            _, _, terminated, truncated, state = env.step(action)
            errors.append(state["tracking_error"])
            torques.append(state["robot_torque"])
            if k % every == 0:
                frames.append(env.render())
            if terminated or truncated:
                break
        video(path, frames, rate / every)
    finally:
        env.close()

    def rms(values: Sequence[float]) -> float:
        return math.sqrt(sum(v * v for v in values) / len(values))

    console.print(
        f"   {len(errors) / rate:g} s of knee extensions on a bench, assisted: tracking error "
        f"{math.degrees(rms(errors)):.1f}° RMS, motor torque {rms(torques):.1f} N·m RMS"
    )
