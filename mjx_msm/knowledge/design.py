"""Which recordings would tell most about a person: excitations, starting postures and payloads, before the session.

The information that a recording holds about the unknowns z is known before it is made: for angles with white noise of
standard deviation σ it is F = JᵀJ/σ², J the sensitivity of the simulated motion with the initial state eliminated. The
information of trials adds up, so a session is chosen like the points of a classical optimal design: many random
candidates are simulated and the best set among them is picked greedily and by exchange (Fedorov 1972, Theory of Optimal
Experiments), then every trial is refined by random search. The criterion is the expected gain of information over the
prior (Bayesian D-optimality; Lindley 1956, doi 10.1214/aoms/1177728069; Chaloner and Verdinelli 1995, doi
10.1214/ss/1177009939), or the widest relative interval. The design is local: it is the best for the subject at which
it is made, the prior mean unless another is given.

A trial starts at rest in a posture that the limb is held in, with the muscles at their first excitation; then it is
let go. Prescribed coordinates stay where they start.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import BSpline

from mjx_msm.common.compiled import float64, jit
from mjx_msm.common.errors import InputError, one_of
from mjx_msm.common.files import write_text
from mjx_msm.dynamics.excitation import excitation, shaped
from mjx_msm.dynamics.geometry import geometry
from mjx_msm.dynamics.simulation import activate, generalised_force, mechanics, simulate_motion, spatial_inertia
from mjx_msm.estimation.residuals.motion import motion_term
from mjx_msm.knowledge.uncertainty import Knowledge, uncertainty
from mjx_msm.knowledge.wording import direction_words
from mjx_msm.person.model import Model
from mjx_msm.person.parameters import Parameters, ParameterSpace
from mjx_msm.person.payload import Grip, find_grip, parameters_with_payload, space_with_payload, with_payload
from mjx_msm.recordings.model_clock import Recording, mixing_matrix, record
from mjx_msm.recordings.readers.delimited import read_csv, write_csv
from mjx_msm.recordings.synthetic import coordinate_range
from mjx_msm.recordings.trial import Trial

ANGLE_NOISE = math.radians(0.3)
"""Standard deviation of a measured joint angle [rad]: optical motion capture."""
BATCH = 16
"""Candidates simulated side by side; a compiled function is made for this number once."""
LEVELS = 256
"""Co-contractions tried in a posture in search of balanced ones."""
POOL = 0.4
"""Part of the budget that goes into random candidates."""
LOOSE = 30.0
"""Without a prior, the criterion takes the bounds for one, widened by this factor: it then weighs what the data
determine and is constant in what they do not."""
NORMAL = 1.959963984540054
"""Half the width of a 95 % interval in standard deviations."""
CRITERIA = ("D", "worst")


@dataclass(frozen=True)
class Comfort:
    """What a person may be asked to do."""

    margin: float = 0.05
    """Free coordinates keep off both ends of their range by this part of it."""
    speed: float = 8.0
    """Of a free coordinate, at most [rad/s or m/s]."""
    excitation: tuple[float, float] = (0.01, 0.5)
    """Least and most of every channel, of a maximal voluntary contraction."""
    slope: float = 4.0
    """Of an excitation, at most [1/s]."""
    band: float = 2.5
    """Excitations hold frequencies up to about this [Hz]: their splines have a knot every half period."""

    def __post_init__(self) -> None:
        low, high = self.excitation
        if not 0 <= low < high <= 1:
            raise InputError(f"comfort.excitation {self.excitation} must be least and most within 0 and 1")
        if not 0 <= self.margin < 0.4:
            raise InputError(f"comfort.margin {self.margin:g} must be between 0 and 0.4 of the range; choose e.g. 0.05")
        for name in ("speed", "slope", "band"):
            if not getattr(self, name) > 0:
                raise InputError(f"comfort.{name} {getattr(self, name):g} must be positive")


@dataclass(frozen=True)
class Progress:
    """What a progress display is told after every batch."""

    stage: str
    """"pool" or "refine"."""
    evaluations: int
    """Candidates simulated so far."""
    budget: int
    score: float
    """Of the best set so far; NaN while the pool is made."""


Listener = Callable[[Progress], None]


@dataclass(frozen=True)
class Expectation:
    """What the session is expected to say about one parameter."""

    path: str
    unit: str
    value: float
    """At which the design was made, in `unit`."""
    size: float
    """What the intervals are relative to, in `unit`: the value, or the usual spread of its kind where that is more."""
    before: float
    """Half the width of the 95 % interval that is known before, relative; infinite without a prior."""
    after: float
    """The same after the session; infinite if nothing determines the parameter."""
    data_share: float
    """Part of the estimate that will come from the data, 0 (all prior) to 1."""

    @property
    def determined(self) -> bool:
        """Whether the session holds at least as much information on it as the prior."""
        return self.data_share >= 0.5 and math.isfinite(self.after)

    def __str__(self) -> str:
        return f"{self.path} ±{100 * self.after:.3g} %" if math.isfinite(self.after) else f"{self.path} not determined"


@dataclass(frozen=True)
class Forecast:
    """What recordings are expected to say about all unknowns."""

    information: Float[np.ndarray, "free free"]
    """F of the data alone, in z."""
    covariance: Float[np.ndarray, "free free"]
    """Of z, prior included; infinite on the diagonal where neither says anything."""
    expectations: tuple[Expectation, ...]
    undetermined: tuple[str, ...]
    """Combinations of parameters that the data leave to the prior, in words."""

    @property
    def worst(self) -> Expectation:
        """The parameter whose relative interval is the widest, among those that are determined."""
        return worst_of([self])[0]

    def __getitem__(self, path: str) -> Expectation:
        for e in self.expectations:
            if e.path == path:
                return e
        raise KeyError(f"{path} is not among the unknowns")


def worst_of(forecasts: Sequence[Forecast]) -> tuple[Expectation, ...]:
    """For every forecast the parameter whose relative interval is the widest.

    What none of the sessions determines says nothing of any of them; what one determines counts for all.

    **Raises:** `InputError` if they determine nothing, or are of different unknowns.
    """
    names = [tuple(e.path for e in f.expectations) for f in forecasts]
    if len(set(names)) != 1:
        raise InputError("forecasts of different unknowns do not compare; make them with one space")
    known = [path for path in names[0] if any(f[path].determined for f in forecasts)]
    if not known:
        raise InputError(
            "no session determines any of the unknowns; record longer, choose other parameters, or lower angle_noise"
        )
    return tuple(max((f[path] for path in known), key=lambda e: e.after) for f in forecasts)


@dataclass(frozen=True)
class Task:
    """What the person is asked to do in one trial."""

    name: str
    posture: Mapping[str, float]
    """In which the limb is held until the trial begins [rad or m]."""
    payload: float
    """[kg]."""
    channels: tuple[str, ...]
    time: Float[np.ndarray, "time"]
    """[s]."""
    excitation: Float[np.ndarray, "time channel"]
    """To be followed, for instance as targets of EMG feedback; 0..1."""

    def __str__(self) -> str:
        angles = ", ".join(f"{c} {math.degrees(x):.0f}°" for c, x in self.posture.items())
        load = f", {self.payload:g} kg in the hand" if self.payload else ""
        return f"{self.name}: {self.time[-1]:g} s from {angles}{load}"


@dataclass(frozen=True)
class Design:
    """A session to perform and what it is expected to tell. Immutable; prints as a table, saves to a folder."""

    trials: tuple[Trial, ...]
    """Excitations as EMG, the predicted motion; payload [kg] in the metadata."""
    tasks: tuple[Task, ...]
    grip: Grip | None
    """Where payloads are held."""
    forecast: Forecast
    informations: Float[np.ndarray, "trial free free"]
    """Of every trial; with what was known before they add up to that of the forecast."""
    judged: tuple[str, ...]
    """Parameters that all candidates together determine, among which the criterion "worst" looks for the widest."""
    criterion: str
    history: tuple[tuple[int, float], ...]
    """Candidates simulated and the criterion of the best set: expected gain of information [nat] for "D", minus the
    logarithm of the widest relative interval for "worst"."""
    angle_noise: float
    """[rad]."""
    rate: float
    """Of the recording [Hz]."""
    interrupted: bool = False

    @property
    def worst(self) -> Expectation:
        """The parameter whose relative interval will be the widest, among those judged."""
        return max((self.forecast[path] for path in self.judged), key=lambda e: e.after)

    def save(self, folder: str | Path) -> Path:
        """Write ``design.json`` and, for every trial, its excitations and predicted motion as CSV; see `load`.

        **Returns:** the JSON file.
        """
        folder = Path(folder)
        tasks = []
        for trial, task in zip(self.trials, self.tasks, strict=True):
            files = trial.save(folder)
            if trial.velocity is not None:
                files["velocity"] = f"{trial.name}_velocity.csv"
                columns = dict(zip(trial.coordinates, trial.velocity.T, strict=True))
                write_csv(folder / str(files["velocity"]), trial.time, columns)
            tasks.append({**files, "posture": dict(task.posture), "payload": task.payload})
        data = {
            "criterion": self.criterion,
            "angle_noise": self.angle_noise,
            "rate": self.rate,
            "grip": asdict(self.grip) if self.grip else None,
            "trials": tasks,
            "parameters": [asdict(e) for e in self.forecast.expectations],
            "judged": list(self.judged),
            "undetermined": list(self.forecast.undetermined),
            "information": self.informations.tolist(),
            "total_information": self.forecast.information.tolist(),
            "covariance": self.forecast.covariance.tolist(),
            "history": [list(h) for h in self.history],
            "interrupted": self.interrupted,
        }
        write_text(folder / "design.json", json.dumps(_finite(data), indent=1, ensure_ascii=False) + "\n")
        return folder / "design.json"

    @staticmethod
    def load(path: str | Path) -> Design:
        """Read what `save` wrote: its folder, or the JSON file in it.

        **Raises:** `InputError` if it is not one.
        """
        path = Path(path)
        path = path / "design.json" if path.is_dir() else path
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); give the folder that a design was saved in"
            ) from None
        except ValueError as error:
            raise InputError(f"{path}: is not valid JSON ({error}); save the design again") from None
        try:
            return _restored(data, path.parent)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: is not a design, or is damaged ({error}); save it again") from None

    def __str__(self) -> str:
        """The table, as plain text."""
        from io import StringIO

        from rich.console import Console

        console = Console(file=StringIO(), width=118)
        console.print(self)
        return console.file.getvalue()  # type: ignore[attr-defined]

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from rich.markup import escape
        from rich.table import Table

        noise = f"angles at {self.rate:g} Hz ± {math.degrees(self.angle_noise):.2g}°"
        yield f"[bold]{len(self.tasks)} trials[/bold], {noise}"
        for task in self.tasks:
            yield f"  {escape(str(task))}"
        table = Table("parameter", "unit", "value", "± before", "± after", "data", "", box=None, pad_edge=False)
        for column in table.columns[2:6]:
            column.justify = "right"
        for e in self.forecast.expectations:
            known = f"{100 * e.before:.3g} %" if math.isfinite(e.before) else ""
            after = f"{100 * e.after:.3g} %" if e.determined else "[dim]not determined[/dim]"
            mark = "[yellow]worst[/yellow]" if e is self.worst else ""
            table.add_row(escape(e.path), e.unit, f"{e.value:.4g}", known, after, f"{100 * e.data_share:.0f} %", mark)
        yield ""
        yield table
        if self.forecast.undetermined:
            yield "\n[bold]Not determined by this session[/bold] (the prior decides):"
            for line in self.forecast.undetermined[:12]:
                yield f"  {escape(line)}"


def design_experiment(
    model: Model,
    space: ParameterSpace,
    budget: int = 1000,
    *,
    trials: int = 4,
    duration: float = 2.0,
    criterion: str = "worst",
    angle_noise: float = ANGLE_NOISE,
    rate: float = 100.0,
    payloads: Sequence[float] = (0.0,),
    grip: Grip | None = None,
    comfort: Comfort | None = None,
    emg_map: Mapping[str, Mapping[str, float]] | None = None,
    z: Float[np.ndarray, "free"] | None = None,
    known: Float[np.ndarray, "free free"] | None = None,
    seed: int = 0,
    listener: Listener | None = None,
) -> Design:
    """Choose excitations, starting postures and payloads whose recording tells most about the unknowns.

    **Arguments:**

    - `space`: the unknowns and what is known of them before: its priors.
    - `budget`: candidate trials to simulate.
    - `trials`, `duration`: how many, and how long each [s].
    - `criterion`: ``"worst"``: the widest relative 95 % interval; ``"D"``: the information gained over all unknowns.
    - `angle_noise`: assumed standard deviation of a measured angle [rad]. `rate`: of the recording [Hz].
    - `payloads`: masses to choose from [kg]. `grip`: where they are held, by default at the model's site ``hand``.
    - `comfort`: what may be asked of the person.
    - `emg_map`: muscle to {channel: weight}; by default every muscle can be excited by itself.
    - `z`: the subject to design for, by default the prior mean.
    - `known`: information at hand, of recordings made already (see `information`).
    - `listener`: told after every batch. A `KeyboardInterrupt` keeps the best so far.

    **Returns:** a `Design`. The same seed gives the same design.

    **Raises:** `InputError` if an argument is out of range, or nothing that stays within `comfort` can be found.
    """
    one_of("criterion", criterion, CRITERIA)
    if trials < 1:
        raise InputError(f"trials = {trials}: ask for at least one")
    if budget < 4 * BATCH:
        raise InputError(f"budget = {budget} candidates is too small to choose from; give at least {4 * BATCH}")
    bench = _Bench(
        model, space, z=z, duration=duration, rate=rate, angle_noise=angle_noise, payloads=tuple(payloads), grip=grip,
        comfort=comfort or Comfort(), emg_map=emg_map,
    )  # fmt: skip
    start = np.zeros((space.size, space.size)) if known is None else np.asarray(known, dtype=float)
    if start.shape != (space.size, space.size):
        raise InputError(f"known has shape {start.shape}, expected {(space.size, space.size)}, one row an unknown")
    search = _Search(bench, criterion, trials, start, budget, np.random.default_rng(seed), listener or (lambda p: None))
    search.run()
    runs = search.chosen
    each = np.array([r.information for r in runs])
    made = [bench.trial(f"design{k + 1}", r) for k, r in enumerate(runs)]
    return Design(
        trials=tuple(made),
        tasks=tuple(bench.task(t, r) for t, r in zip(made, runs, strict=True)),
        grip=bench.grip,
        forecast=forecast(space, start + each.sum(0), bench.z),
        informations=each,
        judged=tuple(p for p, known in zip(space.paths, search.score.judged, strict=True) if known),
        criterion=criterion,
        history=tuple(search.history),
        angle_noise=angle_noise,
        rate=rate,
        interrupted=search.interrupted,
    )


def perform(
    model: Model,
    person: Parameters,
    tasks: Sequence[Task],
    *,
    angle_noise: float = 0.0,
    seed: int = 0,
    emg_map: Mapping[str, Mapping[str, float]] | None = None,
    grip: Grip | None = None,
) -> tuple[Trial, ...]:
    """Simulate a person who does exactly what is asked: to rehearse a session, or to compare it with one made by hand.

    **Arguments:** `angle_noise`: standard deviation of white noise on the free coordinates [rad]; without it trials
    hold the exact velocities. `emg_map`, `grip`: as of `design_experiment`.

    **Returns:** trials on the clocks of the tasks.

    **Raises:** `InputError` if the person's motion does not stay finite, or a task does not fit the model.
    """
    mapping = emg_map or {m: {m: 1.0} for m in model.muscles}
    rng, free, out = np.random.default_rng(seed), model.host.free_index, []
    loaded = with_payload(model, 1.0, grip) if any(t.payload for t in tasks) else model
    used = [c for c in range(len(model.coordinates)) if model.coordinates[c] not in model.host.locked]
    for task in tasks:
        if not set(task.posture) <= set(model.coordinates):
            raise InputError(f"task '{task.name}': its posture names coordinates the model does not have; rename them")
        values = {**model.host.locked, **task.posture}
        start = [values.get(c, q) for c, q in zip(model.coordinates, model.host.mj_model.qpos0, strict=True)]
        steps = (task.time - task.time[0]) / model.timestep
        index = np.rint(steps).astype(int)
        if np.abs(steps - index).max() > 1e-6:
            raise InputError(f"task '{task.name}': its samples are not on the model's clock of {model.timestep:g} s")
        clock = task.time[0] + model.timestep * np.arange(index[-1] + 1)
        envelope = np.stack([np.interp(clock, task.time, u) for u in task.excitation.T], -1)
        own = person if person.names.emg else person.with_channels(task.channels)
        own = parameters_with_payload(own, loaded, task.payload) if loaded is not model else own
        with float64():
            motion = _moved(
                loaded, own, envelope[None], mixing_matrix(model, task.channels, mapping), np.array([start])
            )  # fmt: skip
        q, v, failed = (np.asarray(x)[0] for x in motion)
        if failed >= 0:
            raise InputError(f"task '{task.name}': the motion is not finite after {failed * model.timestep:.3g} s")
        q = q.copy()
        q[:, free] += angle_noise * rng.standard_normal((len(q), len(free)))
        out.append(
            Trial(
                name=task.name,
                time=task.time,
                coordinates=tuple(model.coordinates[c] for c in used),
                position=q[index][:, used],
                velocity=v[index][:, used] if angle_noise == 0 else None,
                channels=task.channels,
                emg=task.excitation,
                metadata={"payload": task.payload} if task.payload else {},
            )
        )
    return tuple(out)


def information(
    model: Model,
    space: ParameterSpace,
    trials: Sequence[Trial],
    *,
    angle_noise: float = ANGLE_NOISE,
    rate: float | None = None,
    emg_map: Mapping[str, Mapping[str, float]] | None = None,
    z: Float[np.ndarray, "free"] | None = None,
    grip: Grip | None = None,
) -> Float[np.ndarray, "trial free free"]:
    """What recordings tell about the unknowns, about the motion that was recorded.

    **Arguments:** as of `design_experiment`. `rate`: samples to count [Hz]; None: all. A trial with a payload names its
    mass under ``metadata["payload"]`` [kg].

    **Returns:** F = JᵀJ/σ² of every trial, its initial state eliminated.
    """
    _check_noise(angle_noise)
    mapping = emg_map or {m: {m: 1.0} for m in model.muscles}
    masses = [float(t.metadata.get("payload", 0.0)) for t in trials]  # type: ignore[arg-type]
    variant, spaces = _variants(model, space, tuple(dict.fromkeys(masses)), grip)
    out = np.zeros((len(trials), space.size, space.size))
    for mass, own in spaces.items():
        rows = [k for k, m in enumerate(masses) if m == mass]
        recordings = [record(variant, trials[k], mapping) for k in rows]
        own = _with_channels(own, trials[rows[0]].channels)
        at = own.prior_mean if z is None else np.asarray(z, dtype=float)
        if rate is not None:
            recordings = [_thinned(r, max(1, round(1 / (rate * model.timestep)))) for r in recordings]
        out[rows] = _information(variant, own, recordings, at, angle_noise)
    return out


def forecast(
    space: ParameterSpace, information: Float[np.ndarray, "free free"], z: Float[np.ndarray, "free"] | None = None
) -> Forecast:
    """Intervals to expect from an amount of information, with the priors of the space."""
    z = np.asarray(space.prior_mean if z is None else z, dtype=float)
    result = uncertainty(information, space.prior_scale, width=space.upper - space.lower)
    with np.errstate(invalid="ignore"):
        sd = np.sqrt(np.diag(result.covariance))
    size = relative_size(space, z)
    rows = []
    for k, (path, kind) in enumerate(zip(space.paths, space.kinds, strict=True)):
        unit, value = (kind.unit, float(space.physical(z)[k])) if kind.transform != "inertia" else ("-", float(z[k]))
        rows.append(
            Expectation(
                path=path,
                unit=unit,
                value=value,
                size=abs(value) if kind.transform == "log" else float(size[k]),
                before=float(NORMAL * space.prior_scale[k] / size[k]),
                after=float(NORMAL * sd[k] / size[k]),
                data_share=float(result.data_share[k]),
            )
        )
    left = [m for m in result.modes if m.knowledge is not Knowledge.DETERMINED]
    words = tuple(direction_words(m.weights, result.unit, space, z) for m in left)
    return Forecast(information, result.covariance, tuple(rows), words)


def relative_size(space: ParameterSpace, z: Float[np.ndarray, "free"]) -> Float[np.ndarray, "free"]:
    """What a change of z is relative to: 1 for ln(x) and inertias, else |x|, at least the spread usual of its kind."""
    usual = np.array([1.0 if k.transform != "linear" else k.prior_scale for k in space.kinds])
    linear = np.array([k.transform == "linear" for k in space.kinds])
    return np.where(linear, np.maximum(np.abs(z), usual), 1.0)


# Candidates ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A trial that might be performed."""

    posture: Float[np.ndarray, "coordinate"]
    effort: Float[np.ndarray, "knot channel"]
    """Spline coefficients of the logit of the excitation within its limits."""
    payload: int


@dataclass(frozen=True, eq=False)
class _Run:
    """A candidate that was simulated and stays within comfort."""

    candidate: _Candidate
    position: Float[np.ndarray, "time coordinate"]
    velocity: Float[np.ndarray, "time coordinate"]
    information: Float[np.ndarray, "free free"]


@dataclass(eq=False)
class _Bench:
    """Simulates candidates and weighs what they tell."""

    base: Model
    space: ParameterSpace
    z: Any
    duration: float
    rate: float
    angle_noise: float
    payloads: tuple[float, ...]
    grip: Grip | None
    comfort: Comfort
    emg_map: Mapping[str, Mapping[str, float]] | None
    model: Model = field(init=False)
    spaces: list[ParameterSpace] = field(init=False)
    channels: tuple[str, ...] = field(init=False)
    mixing: Float[np.ndarray, "muscle channel"] = field(init=False)

    def __post_init__(self) -> None:
        h = self.base.timestep
        _check_noise(self.angle_noise)
        self.stride = round(1 / (self.rate * h)) if self.rate > 0 else 0
        if self.stride < 1 or abs(self.stride * self.rate * h - 1) > 1e-9:
            near = 1 / (h * max(self.stride, 1))
            raise InputError(
                f"rate {self.rate:g} Hz does not divide the model's clock of {1 / h:g} Hz; choose e.g. {near:g}"
            )
        self.samples = int(round(self.duration * self.rate, 6))
        if self.samples < 20:
            raise InputError(
                f"duration {self.duration:g} s is {self.samples} samples at {self.rate:g} Hz; at least 20 are needed"
            )
        if not self.payloads or not all(0 <= m < np.inf for m in self.payloads):
            raise InputError(f"payloads {self.payloads} must be masses of 0 kg or more, e.g. (0, 1, 2)")
        mapping = self.emg_map or {m: {m: 1.0} for m in self.base.muscles}
        named = tuple(dict.fromkeys(c for shares in mapping.values() for c in shares))
        self.channels = self.space.nominal.names.emg or named
        self.mixing = mixing_matrix(self.base, self.channels, mapping)
        self.z = np.asarray(self.space.prior_mean if self.z is None else self.z, dtype=float)
        if self.z.shape != (self.space.size,):
            raise InputError(f"z has shape {self.z.shape}, expected ({self.space.size},), one entry an unknown")
        if any(self.payloads) and self.grip is None:
            self.grip = find_grip(self.base)
        self.model, spaces = _variants(self.base, self.space, self.payloads, self.grip)
        self.spaces = [_with_channels(spaces[m], self.channels) for m in self.payloads]
        self.recorded = h * self.stride * np.arange(self.samples + 1)
        self.clock = h * np.arange(self.samples * self.stride + 1)
        count = max(2, round(2 * self.comfort.band * self.duration))
        knots = np.concatenate([np.zeros(3), np.linspace(0, 1, count + 1), np.ones(3)])
        self.basis = BSpline.design_matrix(self.recorded / self.recorded[-1], knots, 3).toarray()

    @cached_property
    def ranges(self) -> Float[np.ndarray, "coordinate 2"]:
        """Where coordinates may be [rad or m]: their range without the margin; infinite without stops."""
        ranges = np.array([coordinate_range(self.base, c) for c in self.base.coordinates])
        gap = np.where(np.isfinite(ranges).all(axis=1), self.comfort.margin * np.ptp(ranges, axis=1), 0.0)
        return ranges + gap[:, None] * [1, -1]

    @cached_property
    def postures(self) -> Float[np.ndarray, "coordinate 2"]:
        """Where a trial may start: a bit further inside."""
        middle = self.base.host.mj_model.qpos0[:, None] + [-0.5, 0.5]
        out = np.where(np.isfinite(self.ranges).all(axis=1, keepdims=True), self.ranges, middle)
        out = out + 0.05 * np.ptp(out, axis=1)[:, None] * [1, -1]
        for name, value in self.base.host.locked.items():
            out[self.base.coordinates.index(name)] = value
        return out

    def excitation(self, effort: Float[np.ndarray, "knot channel"]) -> Float[np.ndarray, "time channel"]:
        """On the recording's clock."""
        low, high = self.comfort.excitation
        return low + (high - low) / (1 + np.exp(-(self.basis @ effort)))

    def eased(self, effort: Float[np.ndarray, "knot channel"]) -> Float[np.ndarray, "knot channel"]:
        """The same about its mean, flattened until no excitation changes faster than it may."""
        effort = np.clip(effort, -6, 6)
        centre = effort.mean(axis=0)
        for _ in range(60):
            steepest = np.abs(np.diff(self.excitation(effort), axis=0)).max(axis=0) * self.rate
            over = np.maximum(steepest / self.comfort.slope, 1.0)
            if np.all(over <= 1.0):
                break
            effort = centre + (effort - centre) / np.maximum(over, 1.0 + 1e-3 * (over > 1.0))
        return effort

    def random(self, rng: np.random.Generator, level: float) -> list[_Candidate]:
        """A batch of co-contractions that nearly balance, in as many postures, with smooth deviations."""
        low, high = self.comfort.excitation
        payload = rng.integers(len(self.payloads), size=BATCH)
        posture = rng.uniform(self.postures[:, 0], self.postures[:, 1], (BATCH, len(self.postures)))
        floor = max(low, 0.02)
        levels = np.exp(rng.uniform(np.log(floor), np.log(0.9 * high), (BATCH, LEVELS, len(self.channels))))
        unrest = np.zeros((BATCH, LEVELS))
        with float64():
            for k, space in enumerate(self.spaces):
                moment = np.asarray(_net_moment(self.model, space.unpack(self.z), self.mixing, posture, levels))
                unrest[payload == k] = np.sum(moment**2, axis=2)[payload == k]
        out = []
        for i in range(BATCH):
            centre = levels[i, rng.choice(np.argsort(unrest[i])[:4])]
            share = (centre - low) / (high - low)
            wave = rng.standard_normal((self.basis.shape[1], len(self.channels)))
            effort = np.log(share / (1 - share)) + level * rng.uniform(0.3, 1.5) * wave
            out.append(_Candidate(posture[i], self.eased(effort), int(payload[i])))
        return out

    def mutated(self, c: _Candidate, step: float, rng: np.random.Generator) -> _Candidate:
        """A neighbour."""
        effort, posture, payload = c.effort.copy(), c.posture.copy(), c.payload
        kind = rng.choice(["all", "channel", "time", "posture"], p=[0.4, 0.25, 0.2, 0.15])
        if kind == "all":
            effort += step * rng.standard_normal(effort.shape)
        elif kind == "channel":
            effort[:, rng.integers(effort.shape[1])] += 2.5 * step * rng.standard_normal(len(effort))
        elif kind == "time":
            effort[rng.integers(len(effort))] += 3 * step * rng.standard_normal(effort.shape[1])
        if kind == "posture" or rng.random() < 0.3:
            posture += 0.3 * step * np.ptp(self.postures, axis=1) * rng.standard_normal(len(posture))
            posture = np.clip(posture, *self.postures.T)
        if len(self.payloads) > 1 and rng.random() < 0.1:
            payload = int(rng.integers(len(self.payloads)))
        return _Candidate(posture, self.eased(effort), payload)

    def perform(self, candidates: Sequence[_Candidate]) -> list[_Run]:
        """Simulate candidates; those within comfort, with their information."""
        runs = []
        for payload, space in enumerate(self.spaces):
            mine = [c for c in candidates if c.payload == payload]
            for first in range(0, len(mine), BATCH):
                runs += self._batch(mine[first : first + BATCH], space)
        return runs

    def _batch(self, candidates: list[_Candidate], space: ParameterSpace) -> list[_Run]:
        drive = [self.excitation(c.effort) for c in candidates]
        envelope = np.stack([[np.interp(self.clock, self.recorded, u) for u in d.T] for d in drive]).swapaxes(1, 2)
        posture = np.array([c.posture for c in candidates])
        with float64():
            motion = _moved(self.model, space.unpack(self.z), _full(envelope), self.mixing, _full(posture))
            q, v, failed = (np.asarray(x)[: len(candidates)] for x in motion)
        fine = [i for i in range(len(candidates)) if failed[i] < 0 and self.comfortable(q[i], v[i])]
        if not fine:
            return []
        recordings = [self._recording(envelope[i], q[i], v[i]) for i in fine]
        matrices = _information(self.model, space, recordings, self.z, self.angle_noise)
        return [_Run(candidates[i], q[i], v[i], f) for i, f in zip(fine, matrices, strict=True)]

    def comfortable(self, q: Float[np.ndarray, "time coordinate"], v: Float[np.ndarray, "time coordinate"]) -> bool:
        """Off the stops and not too fast."""
        free = self.base.host.free_index
        low, high = self.ranges[free].T
        inside = (q[:, free] >= low).all() and (q[:, free] <= high).all()
        return bool(inside and (np.abs(v[:, free]) <= self.comfort.speed).all())

    def _recording(self, envelope: np.ndarray, q: np.ndarray, v: np.ndarray) -> Recording:
        """The simulated motion as it will be recorded: the exact state, and weight where there will be a sample."""
        free = self.base.host.free_index
        nothing = np.zeros((len(q), len(free)))
        recording = Recording(
            envelope=envelope, mixing=self.mixing, position=q[:, free], weight=np.ones_like(nothing),
            smooth_position=q, smooth_velocity=v, smooth_acceleration=np.zeros_like(q),
            moment=nothing, moment_weight=nothing, known=np.ones(len(q), dtype=bool),
            complete=np.ones(len(q), dtype=bool), clock=np.arange(0, len(q), self.stride), name="candidate", start=0.0,
        )  # fmt: skip
        return _thinned(recording, self.stride)

    def trial(self, name: str, run: _Run) -> Trial:
        """On the recording's clock; excitations between its samples are linear, which is how they are read."""
        used = [c for c in range(len(self.base.coordinates)) if self.base.coordinates[c] not in self.base.host.locked]
        mass = self.payloads[run.candidate.payload]
        return Trial(
            name=name,
            time=self.recorded,
            coordinates=tuple(self.base.coordinates[c] for c in used),
            position=run.position[:: self.stride, used],
            velocity=run.velocity[:: self.stride, used],
            channels=self.channels,
            emg=self.excitation(run.candidate.effort),
            metadata={"designed": True, **({"payload": mass} if mass else {})},
        )

    def task(self, trial: Trial, run: _Run) -> Task:
        return Task(
            name=trial.name,
            posture={c: float(x) for c, x in zip(trial.coordinates, trial.position[0], strict=True)},
            payload=float(self.payloads[run.candidate.payload]),
            channels=self.channels,
            time=trial.time,
            excitation=trial.emg,
        )


def _check_noise(angle_noise: float) -> None:
    if not 0 < angle_noise < np.inf:
        raise InputError(f"angle_noise {angle_noise:g} rad must be positive; motion capture has about 0.005")


def _variants(
    model: Model, space: ParameterSpace, masses: tuple[float, ...], grip: Grip | None
) -> tuple[Model, dict[float, ParameterSpace]]:
    """One model for all payloads, 0 included, so that everything is compiled once; and a space for each."""
    if not any(masses):
        return model, dict.fromkeys(masses, space)
    loaded = with_payload(model, 1.0, grip)  # the spaces say how much
    return loaded, {m: space_with_payload(space, loaded, m) for m in masses}


def _with_channels(space: ParameterSpace, channels: Sequence[str]) -> ParameterSpace:
    """The space, with neutral EMG parameters where it has none."""
    if space.nominal.names.emg:
        return space
    nominal = space.nominal.with_channels(channels)
    return ParameterSpace(
        nominal, space.lower, space.upper, space.prior_mean, space.prior_scale, space.offset, space.scalars,
        space.owner, space.paths,
    )  # fmt: skip


def _thinned(recording: Recording, stride: int) -> Recording:
    """Only every so many samples measured."""
    weight = np.zeros_like(recording.weight)
    own = np.flatnonzero(recording.weight.any(axis=1))
    kept = own[:: max(1, round(stride / max(1.0, float(np.median(np.diff(own))))))]
    weight[kept] = recording.weight[kept]
    values = {f: getattr(recording, f) for f in recording.__dataclass_fields__}
    return Recording(**{**values, "weight": weight})


def _full(array: np.ndarray) -> np.ndarray:
    """The last entry repeated up to a batch."""
    return np.concatenate([array, np.repeat(array[-1:], BATCH - len(array), axis=0)])


def _information(
    model: Model, space: ParameterSpace, recordings: Sequence[Recording], z: np.ndarray, angle_noise: float
) -> Float[np.ndarray, "recording free free"]:
    """JᵀJ/σ² of every recording about its motion, its initial state eliminated."""
    term = motion_term(model, space, recordings, max(len(r.position) for r in recordings))
    short = BATCH - len(term.envelope)
    if short > 0:  # one shape for any number of recordings; rows that no window reads
        term = replace(term, envelope=np.concatenate([term.envelope, np.repeat(term.envelope[-1:], short, axis=0)]))
    out = term.expand(z).information(np.full(len(model.free), angle_noise))
    recording = term.recording[term.place == 0]
    sums = np.zeros((len(recordings), *out.shape[1:]))
    np.add.at(sums, recording, 0.5 * (out + np.swapaxes(out, 1, 2)))
    return sums


@jit
def _moved(
    model: Model,
    parameters: Parameters,
    envelope: Float[Any, "batch time channel"],
    mixing: Float[Any, "muscle channel"],
    posture: Float[Any, "batch coordinate"],
) -> tuple[Array, Array, Array]:
    """Positions, velocities and first failed step from rest in a posture."""
    held = model.host.held_index

    def one(q: Array, envelope: Array) -> tuple[Array, Array, Array]:
        drive = excitation(parameters.emg, envelope, mixing, model.timestep)
        activation = activate(model, parameters, drive[0], drive[:-1])
        still = jnp.broadcast_to(q[held], (len(envelope), len(held)))
        return simulate_motion(model, parameters, q, jnp.zeros_like(q), activation[:-1], still)[:3]

    return jax.vmap(one)(jnp.asarray(posture), jnp.asarray(envelope))


@jit
def _net_moment(
    model: Model,
    p: Parameters,
    mixing: Float[Any, "muscle channel"],
    posture: Float[Any, "batch coordinate"],
    level: Float[Any, "batch level channel"],
) -> Float[Array, "batch level free"]:
    """Moment that moves the free coordinates of a limb at rest [N·m]."""
    inertia = spatial_inertia(p.body)

    def one(q: Array, levels: Array) -> Array:
        still = jnp.zeros_like(q)
        terms = mechanics(model, p, inertia, geometry(model, q, still), q, still)

        def moment(u: Array) -> Array:
            signal = jnp.clip(jnp.asarray(p.emg.gain) * u, 0, 1)
            drive = shaped(signal, jnp.asarray(p.emg.shape)) @ jnp.asarray(mixing).T
            tension = model.muscle.tension(p.muscle, drive, terms.path_length, jnp.zeros_like(drive))
            return generalised_force(terms, tension)[model.host.free_index]

        return jax.vmap(moment)(levels)

    return jax.vmap(one)(jnp.asarray(posture), jnp.asarray(level))


# Search ----------------------------------------------------------------------------------------------------


class _Criterion:
    """What a set of trials is worth, as a function of its information."""

    def __init__(self, space: ParameterSpace, z: np.ndarray, name: str) -> None:
        loose = LOOSE * (space.upper - space.lower) / math.sqrt(12)
        self.unit = np.where(np.isfinite(space.prior_scale), space.prior_scale, loose)
        self.name = name
        self.size = relative_size(space, z)
        self.judged = np.ones(space.size, dtype=bool)
        self.space = space

    def judge(self, everything: Float[np.ndarray, "free free"]) -> None:
        """Leave out of the widest interval what not even all candidates together determine."""
        width = self.space.upper - self.space.lower
        result = uncertainty(everything, self.space.prior_scale, width=width)
        known = (result.data_share >= 0.5) & np.isfinite(np.diag(result.covariance))
        if not known.any():
            raise InputError(
                "no candidate says anything about the unknowns; choose other parameters, a longer duration, or lower "
                "angle_noise"
            )
        self.judged = known

    def __call__(self, information: Float[np.ndarray, "*batch free free"]) -> Float[np.ndarray, "*batch"]:
        scaled = self.unit[:, None] * information * self.unit + np.eye(len(self.unit))
        root = np.sqrt(np.diagonal(scaled, axis1=-2, axis2=-1))
        scaled = scaled / (root[..., :, None] * root[..., None, :])
        if self.name == "D":
            return 0.5 * np.linalg.slogdet(scaled)[1] + np.log(root).sum(-1)
        sd = self.unit * np.sqrt(np.abs(np.diagonal(np.linalg.inv(scaled), axis1=-2, axis2=-1))) / root
        return -np.log((NORMAL * sd / self.size)[..., self.judged].max(-1))


@dataclass(eq=False)
class _Search:
    """The best set so far."""

    bench: _Bench
    criterion: str
    count: int
    known: Float[np.ndarray, "free free"]
    budget: int
    rng: np.random.Generator
    listener: Listener
    chosen: list[_Run] = field(default_factory=list)
    history: list[tuple[int, float]] = field(default_factory=list)
    evaluations: int = 0
    interrupted: bool = False

    def run(self) -> None:
        self.score = _Criterion(self.bench.space, self.bench.z, self.criterion)
        pool: list[_Run] = []
        try:
            self._fill(pool)
        except KeyboardInterrupt:
            self.interrupted = True
            if not pool:
                raise
        self.score.judge(self.known + sum(r.information for r in pool))
        self._greedy(pool)
        while self._exchange(pool):
            pass
        if self.interrupted:
            return
        try:
            self._refine()
        except KeyboardInterrupt:
            self.interrupted = True

    def _fill(self, pool: list[_Run]) -> None:
        """Random candidates; calmer ones if few stay within comfort."""
        level = 1.0
        while self.evaluations < POOL * self.budget or (not pool and self.evaluations < self.budget):
            fine = self.bench.perform(self.bench.random(self.rng, level))
            pool += fine
            self.evaluations += BATCH
            level *= 0.85 if len(fine) < BATCH / 4 else 1.1 if level < 1.0 and len(fine) > BATCH / 2 else 1.0
            self.listener(Progress("pool", self.evaluations, self.budget, math.nan))
        if not pool:
            raise InputError(
                f"none of {self.evaluations} candidates stays within comfort for {self.bench.duration:g} s; choose a "
                "shorter duration, wider comfort, or prescribe more coordinates"
            )

    def _greedy(self, pool: list[_Run]) -> None:
        matrices = np.array([r.information for r in pool])
        total = self.known
        for _ in range(self.count):
            best = int(np.argmax(self.score(total + matrices)))
            self.chosen.append(pool[best])
            total = total + matrices[best]
        self._note()

    @property
    def total(self) -> Float[np.ndarray, "free free"]:
        return self.known + sum(r.information for r in self.chosen)

    def _note(self) -> None:
        self.history.append((self.evaluations, float(self.score(self.total))))

    def _exchange(self, others: Sequence[_Run]) -> tuple[int, int] | None:
        """The one swap that gains most, if any gains."""
        if not others:
            return None
        matrices = np.array([r.information for r in others])
        total, now = self.total, self.history[-1][1]
        value = np.array([self.score(total - r.information + matrices) for r in self.chosen])
        slot, best = np.unravel_index(int(np.argmax(value)), value.shape)
        if not value[slot, best] > now + 1e-9:
            return None
        before = self.chosen[slot]
        self.chosen[slot] = others[int(best)]
        if float(self.score(self.total)) <= now:  # round-off
            self.chosen[slot] = before
            return None
        self._note()
        return int(slot), int(best)

    def _refine(self) -> None:
        """Random search about every trial, with a step that follows its success."""
        step = np.full(self.count, 0.3)
        slot = 0
        while self.evaluations + BATCH <= self.budget:
            slots = [(slot + k) % self.count for k in range(BATCH)]
            slot = (slot + BATCH) % self.count
            children = [
                self.bench.mutated(self.chosen[s].candidate, step[s] * self.rng.uniform(0.3, 1.7), self.rng)
                for s in slots
            ]
            fine = self.bench.perform(children)
            self.evaluations += BATCH
            hit = set()
            while swap := self._exchange(fine):
                hit.add(swap[0])
            for s in set(slots):
                step[s] = min(step[s] * 1.25, 1.0) if s in hit else max(step[s] * 0.93, 0.01)
            self.listener(Progress("refine", self.evaluations, self.budget, self.history[-1][1]))


def _restored(data: Mapping[str, Any], folder: Path) -> Design:
    trials, tasks = [], []
    for entry in data["trials"]:
        motion, emg = (read_csv(folder / entry[what]) for what in ("motion", "emg"))
        payload = float(entry["payload"])
        velocity = read_csv(folder / entry["velocity"]).values if "velocity" in entry else None
        metadata = {"designed": True, **({"payload": payload} if payload else {})}
        trials.append(
            Trial(
                entry["name"], motion.time, motion.columns, motion.values, emg.columns, emg.values, velocity=velocity,
                metadata=metadata,
            )
        )  # fmt: skip
        tasks.append(Task(entry["name"], entry["posture"], payload, emg.columns, emg.time, emg.values))
    numbers = ("value", "size", "before", "after", "data_share")
    return Design(
        trials=tuple(trials),
        tasks=tuple(tasks),
        grip=Grip(data["grip"]["body"], tuple(data["grip"]["position"])) if data["grip"] else None,
        forecast=Forecast(
            information=np.array(data["total_information"], dtype=float),
            covariance=np.array(data["covariance"], dtype=float),
            expectations=tuple(
                Expectation(row["path"], row["unit"], *(float(row[n]) for n in numbers)) for row in data["parameters"]
            ),
            undetermined=tuple(data["undetermined"]),
        ),
        informations=np.array(data["information"], dtype=float),
        judged=tuple(data["judged"]),
        criterion=data["criterion"],
        history=tuple((int(count), float(score)) for count, score in data["history"]),
        angle_noise=float(data["angle_noise"]),
        rate=float(data["rate"]),
        interrupted=bool(data["interrupted"]),
    )


def _finite(value: Any) -> Any:
    """JSON has no infinity; it is written as a string."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value
