"""`Identification`: what was estimated, how well, and what the data left open. One value, one JSON file."""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.common.files import write_text
from mjx_msm.knowledge.uncertainty import FLAT, Knowledge, Uncertainty, truncated_normal
from mjx_msm.knowledge.wording import direction_words
from mjx_msm.person.model import MUSCLES, Model, load_model, with_muscle_constants
from mjx_msm.person.parameters import Parameters
from mjx_msm.person.personalisation import export
from mjx_msm.person.space import ParameterSpace, restored_space
from mjx_msm.recordings.emg import EmgNoise

SCHEMA = 2
SAMPLES = 200
"""Draws saved with a result."""
LISTED = 12
"""Most directions that the table names."""


class Outcome(enum.Enum):
    """How the solver ended."""

    CONVERGED = "converged"
    MAX_EVALUATIONS = "ran out of evaluations"
    NOT_FINITE = "the simulation of some segments is not finite at the estimate: do not use it"
    INTERRUPTED = "interrupted; the last completed iteration is kept"


@dataclass(frozen=True)
class Estimate:
    """One estimated parameter. Numbers are in `unit`; of an inertia, log-Cholesky coordinates."""

    path: str
    unit: str
    start: float
    value: float
    sd: float
    """Standard deviation of the posterior; infinite if nothing determines the parameter."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    data_share: float
    """Part of the estimate that comes from the data, 0 (all prior) to 1."""
    bound: str = ""
    """"lower" or "upper" where the estimate sits on a bound."""

    @property
    def determined(self) -> bool:
        """Whether the data hold at least as much information on it as the prior."""
        return self.data_share >= 0.5 and math.isfinite(self.sd)


@dataclass(frozen=True)
class Unknown:
    """One entry of z, as the solver saw it: the logarithm of a positive parameter, else the parameter."""

    members: tuple[str, ...]
    """Paths of the parameters behind it, more than one where they are tied."""
    lower: float
    """Bound."""
    upper: float
    prior_mean: float
    prior_scale: float
    """Standard deviation of the prior; infinite where there is none."""


@dataclass(frozen=True)
class Direction:
    """One of a complete set of combinations of parameters, and where what is known of it comes from."""

    text: str
    knowledge: Knowledge
    share: float
    """Part that comes from the data, 0 to 1."""
    weights: Mapping[str, float]
    """Path to weight of the leading parameters, in standard deviations of their priors (without a prior, of a uniform
    between the bounds); all of them make a unit vector."""


@dataclass(frozen=True)
class Fit:
    """Error of one coordinate in one trial, before and after."""

    trial: str
    role: str
    """"identify", "held-out" or "cross-validated"."""
    kind: str
    coordinate: str
    unit: str
    generic: float
    """Root mean square error of the starting model."""
    identified: float
    correlation: float
    """Pearson correlation of identified and recorded signal."""
    spread: float
    """Standard deviation of the recorded signal."""
    beside: Mapping[str, float] = field(default_factory=dict)
    """Root mean square errors of other predictions of the same samples: of regressions on the same inputs, and of the
    model with its discrepancy."""


@dataclass(frozen=True)
class Stage:
    """One stage of the estimator."""

    name: str
    cost: float
    evaluations: int
    seconds: float
    noise: Mapping[str, float]
    """Estimated noise scale per kind and coordinate."""
    starts: int = 0
    """Starting points tried to their end; 0 where there was one only."""


@dataclass(frozen=True)
class Identification:
    """The result of `identify`. Immutable; prints as a table, saves to JSON, reloads, exports."""

    subject: str
    source: str
    """Model name or MJCF path it was identified on."""
    muscle_model: str
    timestep: float
    """Of the model [s]."""
    free: tuple[str, ...]
    prescribed: tuple[str, ...]
    locked: Mapping[str, float]
    channels: tuple[str, ...]
    emg_map: Mapping[str, Mapping[str, float]]
    outcome: Outcome
    parameters: Mapping[str, float]
    """Every scalar parameter of the personalised model by path, estimated or not."""
    estimates: tuple[Estimate, ...]
    z: tuple[float, ...]
    """The estimate in the solver's coordinates."""
    covariance: tuple[tuple[float, ...], ...]
    """Of z; wider than the bounds along directions that neither data nor prior determine."""
    fits: tuple[Fit, ...]
    stages: tuple[Stage, ...]
    seed: int
    versions: Mapping[str, str]
    hashes: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the input files."""
    unknowns: tuple[Unknown, ...] = ()
    """Every entry of z: what it stands for, its bounds and prior."""
    directions: tuple[Direction, ...] = ()
    """What is known of combinations of parameters, the least determined first."""
    samples: tuple[tuple[float, ...], ...] = ()
    """Draws of z from the posterior: `sample(SAMPLES, seed)`, or what `completed_draws` makes of it; seven digits."""
    completed: bool = False
    """Whether `completed_draws` has made the draws go through the recording; `sample` never does."""
    residuals: tuple[str, ...] = ()
    """Kinds of residual the estimate was made with."""
    rate: float = 0.0
    """Samples per second of acceleration and moment residuals."""
    horizon: int = 0
    """Steps of motion simulated from one initial state."""
    muscle_constants: Mapping[str, float | tuple[float, ...]] = field(default_factory=dict)
    """Constants of the muscle model that are not its usual ones, for all muscles or one a muscle."""
    emg_noise: EmgNoise | None = None
    """Error of the envelopes that the estimate allows for; None: they count as exact."""
    schema: int = SCHEMA

    @property
    def misses_recording(self) -> bool:
        """Whether its draws are those of a Laplace approximation that `completed_draws` would take through moments."""
        ended = self.outcome in (Outcome.CONVERGED, Outcome.MAX_EVALUATIONS)
        return ended and not self.completed and bool(self.residuals) and "motion" not in self.residuals

    def __getitem__(self, path: str) -> Estimate:
        """The estimate of one parameter."""
        for e in self.estimates:
            if e.path == path:
                return e
        raise KeyError(f"{path} was not estimated")

    @property
    def knowledge(self) -> tuple[Knowledge, ...]:
        """Where what is known of every estimate comes from."""
        prior = [math.isfinite(u.prior_scale) for u in self.unknowns] or [math.isfinite(e.sd) for e in self.estimates]
        return tuple(
            Knowledge.DETERMINED if e.determined else Knowledge.PRIOR if p else Knowledge.UNDETERMINED
            for e, p in zip(self.estimates, prior, strict=True)
        )

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Combinations of parameters the data do not determine, in words."""
        return tuple(d.text for d in self.directions if d.knowledge is not Knowledge.DETERMINED)

    # Files -------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write as JSON, whole or not at all."""
        path = Path(path)
        write_text(path, _one_line_lists(json.dumps(_plain(asdict(self)), indent=1, ensure_ascii=False)) + "\n")
        return path

    @staticmethod
    def load(path: str | Path) -> Identification:
        """Read a saved result: the JSON file, or the folder it was saved in.

        **Raises:** `InputError` if it is not one.
        """
        path = Path(path)
        if path.is_dir():
            path = path / "identification.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as e:
            raise InputError(
                f"{path}: cannot be read ({e.strerror}); give a folder that `mjx-msm identify` wrote"
            ) from None
        except ValueError as e:
            raise InputError(
                f"{path}: is not valid JSON ({e}); it was not written by `mjx-msm identify`, or it was edited"
            ) from None
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, dict) else None
            raise InputError(f"{path}: schema {found} is not {SCHEMA}; identify again with this version")
        try:
            return _restore(data)
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            raise InputError(f"{path}: is damaged ({e}); identify again") from None

    # Use ---------------------------------------------------------------------------------------------------

    def model(self) -> Model:
        """The model it was identified on, with the same coordinates free, prescribed and locked.

        **Raises:** `InputError` if its muscle model is a class of your own, which a file cannot name.
        """
        if self.muscle_model not in MUSCLES:
            raise InputError(
                f"muscle model '{self.muscle_model}' is not one of {', '.join(MUSCLES)}; pass the model it was "
                "identified on"
            )
        model = load_model(
            self.source,
            timestep=self.timestep,
            muscle=self.muscle_model,
            free=self.free,
            prescribed=self.prescribed,
            locked=self.locked,
        )
        return with_muscle_constants(model, self.muscle_constants)

    def personalised(self, model: Model | None = None) -> Parameters:
        """The subject's parameters."""
        model = self.model() if model is None else model
        return model.nominal.with_channels(self.channels).updated(self.parameters)

    def export(self, path: str | Path, model: Model | None = None) -> Path:
        """Write the subject as an ordinary MJCF file.

        **Arguments:** `model`: what it was identified on; needed where its muscle model was a class of your own, by
        default loaded from `source`.

        A muscle model that MJCF cannot hold is approximated by MuJoCo's native muscle; its force error is
        written into the file.
        """
        model = self.model() if model is None else model
        return export(model, self.personalised(model), path, subject=self.subject, allow_approximation=True)

    def space(self, model: Model | None = None) -> ParameterSpace:
        """The space z lives in, with the bounds and priors of the identification; what is not free is the subject's."""
        lower, upper, mean, scale = (
            np.array([getattr(u, name) for u in self.unknowns])
            for name in ("lower", "upper", "prior_mean", "prior_scale")
        )
        members, paths = [u.members for u in self.unknowns], tuple(e.path for e in self.estimates)
        return restored_space(self.personalised(model), members, lower, upper, mean, scale, paths)

    def sample(self, count: int, seed: int) -> Float[np.ndarray, "count free"]:
        """Draws of z from the posterior: the Laplace approximation inside the bounds.

        A normal distribution about the estimate with its `covariance`, restricted to the box of the bounds (not
        clipped to it: clipped draws would pile up on the bounds). Every draw is inside the bounds, and so physically
        possible. Along directions that the data leave to the prior, draws spread as the prior does; along those that
        nothing determines, evenly between the bounds, because a population should hold everybody the recording could
        have come from. Take the estimate itself, or a narrower prior, where that is too wide.
        """
        if count < 1:
            raise InputError(f"count = {count} draws must be at least 1")
        lower, upper = (np.array([getattr(u, name) for u in self.unknowns]) for name in ("lower", "upper"))
        return _draws(np.array(self.z), np.array(self.covariance), lower, upper, count, seed)

    def population(self, count: int | None = None, seed: int = 0, model: Model | None = None) -> Parameters:
        """Subjects drawn from the posterior, as `Parameters` with a leading batch axis, for ``jax.vmap``.

        **Arguments:** `count`, `seed`: of `sample`; without `count`, the draws saved with the result. `model`: what it
        was identified on; by default loaded from `source`.
        """
        draws = np.array(self.samples) if count is None else self.sample(count, seed)
        if not len(draws):
            raise InputError("the result holds no draws; give their count")
        space = self.space(model)
        with float64():
            return jax.tree.map(np.asarray, jax.vmap(space.unpack)(draws))

    # Words -------------------------------------------------------------------------------------------------

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

        name = escape(self.subject or "subject")
        yield f"[bold]{name}[/bold] on model {escape(Path(self.source).name)}: {self.outcome.value}"
        table = Table("parameter", "unit", "start", "estimate", "95 % interval", "data", "", box=None, pad_edge=False)
        for column in table.columns[2:6]:
            column.justify = "right"
        for e, known in zip(self.estimates, self.knowledge, strict=True):
            share, bound = f"{100 * e.data_share:.0f} %", f"[yellow]at {e.bound} bound[/yellow]" if e.bound else ""
            interval = f"{e.low:.4g} … {e.high:.4g}" if math.isfinite(e.sd) else ""
            if known is Knowledge.DETERMINED:
                row = (f"{e.value:.4g}", interval, share, bound)
            elif known is Knowledge.PRIOR:  # a number with no identifiability behind it is not printed as one
                row = ("[dim]not determined[/dim]", f"[dim]{interval}[/dim]", share, bound or "[dim]its prior's[/dim]")
            else:
                row = ("[dim]not determined[/dim]", "", share, bound or "[dim]no prior[/dim]")
            table.add_row(escape(e.path), e.unit, f"{e.start:.4g}", *row)
        table.columns[0].overflow = "fold"  # a name that is cut is none
        yield table
        open_ = [d for d in self.directions if d.knowledge is not Knowledge.DETERMINED]
        if open_:
            yield "\n[bold]Not determined by these data[/bold]:"
            for d in open_[:LISTED]:
                left = "left to the prior" if d.knowledge is Knowledge.PRIOR else "neither data nor prior"
                share = f" (data {100 * d.share:.0f} %)" if d.share >= 0.005 else ""
                yield f"  {escape(d.text)}: [dim]{left}{share}[/dim]"
            if len(open_) > LISTED:
                yield f"  … and {len(open_) - LISTED} more"
        if self.fits:
            errors = Table(
                "trial",
                "role",
                "coordinate",
                "error in",
                "generic",
                "identified",
                "r",
                "spread of data",
                box=None,
                pad_edge=False,
            )
            others = tuple(dict.fromkeys(name for f in self.fits for name in f.beside))
            for name in others:
                errors.add_column(name)
            for column in errors.columns[4:]:
                column.justify = "right"
            for f in self.fits:
                unit, factor = ("°", 180 / math.pi) if f.unit == "rad" else (f.unit, 1.0)
                errors.add_row(
                    escape(f.trial),
                    f.role,
                    escape(f.coordinate),
                    f.kind,
                    f"{f.generic * factor:.3g} {unit}",
                    f"{f.identified * factor:.3g} {unit}",
                    f"{f.correlation:.3f}" if math.isfinite(f.correlation) else "",
                    f"{f.spread * factor:.3g} {unit}",
                    *(f"{f.beside[name] * factor:.3g} {unit}" if name in f.beside else "" for name in others),
                )
            yield ""
            yield errors
            if self.horizon and any(f.kind == "motion" for f in self.fits):
                span = f"{self.horizon * self.timestep:.3g} s"
                yield f"motion: simulated over {span} at a time, from a fitted initial state"
            for name in others:
                beaten = dict.fromkeys(f.trial for f in self.fits if f.beside.get(name, math.inf) < f.identified)
                if beaten:
                    where = ", ".join(map(escape, beaten))
                    yield f"[yellow]{name} predicts better than the identified model: {where}.[/yellow]"
            if any(f.identified > f.spread > 0 for f in self.fits):
                yield "[yellow]The identified model predicts worse than a constant: check units and signs.[/yellow]"

    def with_fits(self, fits: tuple[Fit, ...]) -> Identification:
        """A copy with further error rows, e.g. of a cross-validation."""
        return replace(self, fits=self.fits + fits)


def posterior_record(
    space: ParameterSpace, z: Float[np.ndarray, "free"], known: Uncertainty, seed: int
) -> dict[str, Any]:
    """The fields of an `Identification` that say what is known, from the estimator's numbers."""
    directions = []
    for mode in known.modes:
        order = np.argsort(-np.abs(mode.weights))
        kept = [k for k in order if abs(mode.weights[k]) > 0.1] or [order[0]]
        weights = {space.paths[k]: round(float(mode.weights[k]), 4) for k in kept}
        text = direction_words(mode.weights, known.unit, space, z)
        directions.append(Direction(text, mode.knowledge, mode.share, weights))
    each = (space.lower, space.upper, space.prior_mean, space.prior_scale)
    unknowns = tuple(Unknown(m, *map(float, x)) for m, *x in zip(space.members, *each, strict=True))
    draws = _draws(z, known.spread, space.lower, space.upper, SAMPLES, seed)
    return {
        "z": tuple(map(float, z)),
        "covariance": tuple(tuple(map(float, row)) for row in known.spread),
        "unknowns": unknowns,
        "directions": tuple(directions),
        "samples": rounded_draws(draws, space.lower, space.upper),
    }


def rounded_draws(
    draws: Float[np.ndarray, "count free"], lower: Float[np.ndarray, "free"], upper: Float[np.ndarray, "free"]
) -> tuple[tuple[float, ...], ...]:
    """Draws as a result holds them: with seven digits, inside the bounds."""
    rows = np.clip([[float(f"{x:.7g}") for x in row] for row in draws], lower, upper)
    return tuple(map(tuple, rows.tolist()))


def _draws(
    z: np.ndarray, covariance: np.ndarray, lower: np.ndarray, upper: np.ndarray, count: int, seed: int
) -> Float[np.ndarray, "count free"]:
    covariance = covariance.copy()
    unknown = ~np.isfinite(np.diag(covariance))  # a result made elsewhere may say so with an infinity
    covariance[unknown, :] = covariance[:, unknown] = 0.0
    covariance[unknown, unknown] = np.square(FLAT * (upper - lower))[unknown]
    return truncated_normal(z, covariance, lower, upper, count, seed)


# JSON ------------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """What JSON has no word for: infinities and NaN are written as strings, enumerations by name."""
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _one_line_lists(text: str) -> str:
    """A row of numbers on one line, for readers of the file."""
    number = r'(?:-?[\d.]+(?:e[-+]?\d+)?|"-?inf"|"nan")'
    return re.sub(rf"\[\s+({number}(?:,\s+{number})*)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)


def _number(x: Any) -> float:
    if isinstance(x, bool) or not (isinstance(x, int | float) or x in ("inf", "-inf", "nan")):
        raise ValueError(f"{x!r} is not a number")
    return float(x)


def _record(cls: Any, row: Mapping[str, Any]) -> Any:
    return cls(**{k: (_number(v) if cls.__dataclass_fields__[k].type == "float" else v) for k, v in row.items()})


def _restore(data: Mapping[str, Any]) -> Identification:
    names = ("subject", "source", "muscle_model", "emg_map", "seed", "versions", "hashes", "horizon", "schema")
    result = Identification(
        **{k: data[k] for k in names},
        timestep=_number(data["timestep"]),
        rate=_number(data["rate"]),
        free=tuple(data["free"]),
        prescribed=tuple(data["prescribed"]),
        locked={k: _number(v) for k, v in data["locked"].items()},
        channels=tuple(data["channels"]),
        outcome=Outcome[data["outcome"]],
        parameters={k: _number(v) for k, v in data["parameters"].items()},
        estimates=tuple(_record(Estimate, r) for r in data["estimates"]),
        z=tuple(map(_number, data["z"])),
        covariance=_rows(data["covariance"]),
        fits=tuple(map(_fit, data["fits"])),
        stages=tuple(_record(Stage, r) for r in data["stages"]),
        unknowns=tuple(_record(Unknown, r | {"members": tuple(r["members"])}) for r in data["unknowns"]),
        directions=tuple(map(_direction, data["directions"])),
        samples=_rows(data["samples"]),
        completed=bool(data.get("completed", False)),
        residuals=tuple(data["residuals"]),
        muscle_constants={k: _constant(v) for k, v in data.get("muscle_constants", {}).items()},
        emg_noise=EmgNoise(**data["emg_noise"]) if data.get("emg_noise") else None,
    )
    _check(result)
    return result


def _fit(row: Mapping[str, Any]) -> Fit:
    return _record(Fit, {**row, "beside": {name: _number(error) for name, error in row.get("beside", {}).items()}})


def _direction(row: Mapping[str, Any]) -> Direction:
    weights = {path: _number(w) for path, w in row["weights"].items()}
    return _record(Direction, {**row, "knowledge": Knowledge[row["knowledge"]], "weights": weights})


def _constant(value: Any) -> float | tuple[float, ...]:
    return tuple(map(_number, value)) if isinstance(value, list) else _number(value)


def _rows(rows: Any) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(map(_number, row)) for row in rows)


def _check(result: Identification) -> None:
    """Whether the parts of a result agree with each other.

    **Raises:** `ValueError` naming the part that does not.
    """
    size = len(result.estimates)
    sizes = [(name, len(getattr(result, name))) for name in ("z", "covariance", "unknowns", "directions")]
    sizes += [(name, len(row)) for name in ("covariance", "samples") for row in getattr(result, name)]
    for name, count in sizes:
        if count != size:
            raise ValueError(f"{name} holds {count} numbers for {size} estimates")
    if not all(isinstance(x, int) for x in (result.seed, result.horizon)):
        raise ValueError("seed or horizon is not a whole number")
    if not all(map(math.isfinite, (*result.z, *result.parameters.values()))):
        raise ValueError("a number of z or parameters is not finite")
    covariance = np.array(result.covariance).reshape(size, size)
    if np.isnan(covariance).any() or np.any(np.diag(covariance) < 0) or not np.allclose(covariance, covariance.T):
        raise ValueError("covariance is not one")
    lower, upper = (np.array([getattr(u, name) for u in result.unknowns]) for name in ("lower", "upper"))
    if not np.all(lower < upper) or not all(u.prior_scale > 0 for u in result.unknowns):
        raise ValueError("bounds or priors are empty")
    if np.any(np.array([result.z, *result.samples]) < lower) or np.any(np.array([result.z, *result.samples]) > upper):
        raise ValueError("z or samples lie outside the bounds")
    law = MUSCLES.get(result.muscle_model)
    unknown = [k for k in result.muscle_constants if law is None or k not in law.__dataclass_fields__]
    if unknown:
        raise ValueError(f"muscle model '{result.muscle_model}' has no constant '{unknown[0]}'")
    missing = [m for u in result.unknowns for m in u.members if m not in result.parameters]
    if missing:
        raise ValueError(f"parameters lack {missing[0]}")
