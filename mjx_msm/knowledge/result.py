"""`Identification`: what was estimated, how well, and what the data left open. One value, one JSON file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float
from rich.markup import escape

from mjx_msm.common.arguments import path_of
from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.common.printable import printable
from mjx_msm.knowledge.arviz_tree import arviz_tree
from mjx_msm.knowledge.dataframe import estimates_dataframe, fits_dataframe
from mjx_msm.knowledge.posterior import draws_of
from mjx_msm.knowledge.records import (
    Direction,
    Estimate,
    Evidence,
    Fit,
    Likelihood,
    MuscleUse,
    Outcome,
    Stage,
    Unknown,
    Unseen,
)
from mjx_msm.knowledge.result_file import read_result, write_result
from mjx_msm.knowledge.result_table import (
    against_the_model,
    better_predictions,
    doubted_samples,
    estimates_table,
    fits_table,
    moved_off_priors,
    open_directions,
    what_was_held,
)
from mjx_msm.knowledge.standing import Standing, standings
from mjx_msm.knowledge.uncertainty import Knowledge
from mjx_msm.knowledge.wording import called
from mjx_msm.person.model import MUSCLES, Model, load_model, with_muscle_constants
from mjx_msm.person.parameters import Parameters
from mjx_msm.person.passive_curves import KNOWN
from mjx_msm.person.personalisation import export
from mjx_msm.person.reduction import Part
from mjx_msm.person.scaling import with_factors
from mjx_msm.person.space import ParameterSpace, restored_space
from mjx_msm.recordings.emg import EmgNoise
from mjx_msm.recordings.quality.crossed_steps import OtherFoot
from mjx_msm.recordings.synergies import Synergies
from mjx_msm.recordings.trial import Trial, reordered

if TYPE_CHECKING:
    from pandas import DataFrame
    from xarray import DataTree

    from mjx_msm.knowledge.predicted_signal import PredictedSignal

SCHEMA = 2


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
    """What drives every muscle; of an unmeasured one what its course was found to go with."""
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
    recordings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By trial, the files of `hashes` that hold it: of those to identify from and held out; empty if not known."""
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
    passive: tuple[str, ...] = ()
    """Joints with passive curves, see `mjx_msm.person.passive_curves`."""
    levers: Mapping[str, float] = field(default_factory=dict)
    """Distance from the joint at which a force was said to be measured [m], by coordinate, where it is a parameter."""
    loss: str = "normal"
    """Of moments, see `mjx_msm.recordings.settings.Settings`."""
    held: str = "exact"
    """Whether intervals allow for what was not estimated, see `mjx_msm.recordings.settings.Settings`. `covariance`,
    draws and directions never do: they are those of a person who is otherwise as the model has them."""
    contradicted: tuple[str, ...] = ()
    """What was held where the recordings speak against it, in words."""
    part: Part = field(default_factory=Part)
    """What of `source` it was identified on."""
    scaling: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """What the bodies of `source` were multiplied by, see `mjx_msm.scale`; empty: they are as the file has them."""
    integrator: str = "Euler"
    """By which the motion was stepped, of `mjx_msm.person.mjcf.INTEGRATORS`; a file of version 0.1.0 does not say, and
    then it was Euler's."""
    notes: tuple[str, ...] = ()
    """What deserved a look in the recordings: samples masked, channels at fault, signs and units that do not fit."""
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    """Muscles without EMG and by which method they did without, see `mjx_msm.recordings.settings.Settings`."""
    synergies: Synergies | None = None
    """By which channels of muscles without EMG are made of the measured ones; None: there are none, or the file is of a
    version that did not keep it."""
    likelihood: Likelihood | None = None
    """What the recordings alone say of z; None in a file of a version that did not keep it."""
    evidence: Evidence | None = None
    """How probable the recordings are under the model; None where that is not known."""
    unseen: tuple[Unseen, ...] = ()
    """Moments as the folds of a cross-validation predict them; empty where there was none, or a file does not say."""
    processing: str = ""
    """How EMG became envelopes, in words; "" where that is not known."""
    silenced: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By trial, channels that the subject file calls silent in it."""
    peaks: Mapping[str, float] = field(default_factory=dict)
    """Greatest envelope of every channel in the trials it was made from; empty where that is not known."""
    other_foot: tuple[OtherFoot, ...] = ()
    """Where recorded moments may have the other foot's force in them."""
    use: tuple[MuscleUse, ...] = ()
    """Of every muscle in every trial; empty where that is not known."""
    folds: str = ""
    """What a cross-validation held out at a time: "block", "trial" or "task"; "" where there was none, or a file does
    not say."""
    schema: int = SCHEMA

    @property
    def misses_recording(self) -> bool:
        """Whether its draws are those of a Laplace approximation that `completed_draws` would take through moments.

        Where unknown courses of unmeasured muscles explain whatever was recorded, nothing was learnt that a draw could
        miss: it is one of the prior.
        """
        tells = not self.unmeasured or any(e.determined for e in self.estimates)
        fitted = bool(self.residuals) and "motion" not in self.residuals
        return self.outcome.usable and not self.completed and fitted and tells

    @property
    def starts(self) -> int:
        """Starting points tried."""
        return max((stage.starts for stage in self.stages), default=0) or 1

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
    def standing(self) -> tuple[Standing, ...]:
        """What may be said of every estimate by itself: `DETERMINED` ones are numbers to report."""
        return standings(self.estimates, self.unknowns, self.peaks)

    @property
    def names(self) -> dict[str, str]:
        """What readers are told that an estimate is of, by its path: what stands for several parameters in words."""
        members = [u.members for u in self.unknowns] or [()] * len(self.estimates)
        return {e.path: called(e.path, m) for e, m in zip(self.estimates, members, strict=True)}

    @property
    def off_prior(self) -> tuple[bool, ...]:
        """Whether an estimate that the data do not determine is nevertheless not where its prior is.

        `data_share` compares curvatures at the estimate. Where a parameter's effect fades as it moves (the gain of a
        channel that goes to nothing) the data can have driven it there and be flatter about it than the prior, so that
        the interval leaves out the prior's mean. Moments have second derivatives, in which the data's pull against the
        prior shows: for a gain that fades it is their curvature in its logarithm, and one driven off by a factor of e
        or more counts as determined. Other residuals are flat as their Gauss–Newton matrix is.
        """
        if not self.unknowns:
            return (False,) * len(self.estimates)
        return tuple(
            known is Knowledge.PRIOR and abs(z - u.prior_mean) > 1.96 * math.sqrt(row[k])
            for k, (known, z, u, row) in enumerate(
                zip(self.knowledge, self.z, self.unknowns, self.covariance, strict=True)
            )
        )

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Combinations of parameters the data do not determine, in words."""
        return tuple(d.text for d in self.directions if d.knowledge is not Knowledge.DETERMINED)

    def save(self, path: str | Path) -> Path:
        """Write as JSON, whole or not at all."""
        return write_result(Path(path), asdict(self))

    @staticmethod
    def load(path: str | Path) -> Identification:
        """Read a saved result: the JSON file, or the folder it was saved in.

        **Raises:** `InputError` if it is not one.
        """
        return read_result(path_of("the result", path), Identification, SCHEMA)

    def model(self) -> Model:
        """The model it was identified on, with the same coordinates free, prescribed and locked, and stepped as then.

        **Raises:** `InputError` if its muscle model is a class of your own, which a file cannot name.
        """
        if self.muscle_model not in MUSCLES:
            raise InputError(
                f"muscle model '{self.muscle_model}' is not one of {', '.join(MUSCLES)}; pass the model it was "
                "identified on"
            )
        model = load_model(
            self.source,
            **self.part.arguments,
            timestep=self.timestep,
            integrator=self.integrator,
            muscle=self.muscle_model,
            free=self.free,
            prescribed=self.prescribed,
            locked=self.locked,
            passive=[joint for joint in self.passive if joint in KNOWN],  # others are in its file
        )
        if self.scaling:
            model = with_factors(model, self.scaling)
        return with_muscle_constants(model, self.muscle_constants)

    def personalised(self, model: Model | None = None) -> Parameters:
        """The subject's parameters."""
        model = self.model() if model is None else model
        return model.nominal.with_channels(self.channels).with_levers(self.levers).updated(self.parameters)

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

    def heard(self, trial: Trial) -> Trial:
        """A trial with exactly the channels of this result, in its order; those of synergies are made by its weights.

        **Raises:** `InputError` if the trial lacks a measured one.
        """
        return reordered(self.synergies.completed(trial, self.channels) if self.synergies else trial, self.channels)

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
        return draws_of(np.array(self.z), np.array(self.covariance), lower, upper, count, seed)

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

    def to_dataframe(self) -> DataFrame:
        """The table of estimates, for pandas: a row a parameter, indexed by its path.

        Columns: ``unit``; ``generic``, the value before; ``estimate``, ``sd``, ``low`` and ``high``, the ends of the
        95 % interval, in that unit; ``beside_prior``, the width of the interval over that of what was thought possible
        before; ``data_share``, 0 to 1; ``knowledge``, where that comes from, and
        ``standing``, what may be made of it (`mjx_msm.knowledge.standing`), both in words;
        ``off_prior``; ``bound``, "lower" or "upper" where the estimate sits on one.

        **Raises:** `InputError` if pandas is not installed (the extra ``[notebook]`` brings it).
        """
        return estimates_dataframe(self.estimates, self.unknowns, self.knowledge, self.standing, self.off_prior)

    def fits_to_dataframe(self) -> DataFrame:
        """Errors by trial and coordinate, for pandas: the fields of `Fit`, with other predictions of the same samples
        in a column each.

        **Raises:** `InputError` if pandas is not installed (the extra ``[notebook]`` brings it).
        """
        return fits_dataframe(self.fits)

    def to_arviz(self, signals: Sequence[PredictedSignal] = (), *, seed: int = 0) -> DataTree:
        """Posterior and prior as ArviZ's `DataTree`, for its plots and diagnostics: ``arviz_plots.plot_forest(tree)``.

        Every kind of parameter is a variable, in physical units, and what it belongs to a dimension:
        ``tree["posterior"]["muscle_max_isometric_force"].sel(muscle="BRA")``, or ``<variable>_of`` where another kind
        is of other muscles. Draws are independent of each other: one chain, that of `samples`.

        **Arguments:** `signals`: what `mjx_msm.posterior_predictive` gave, for the groups ``posterior_predictive`` and
        ``observed_data``. `seed`: of draws from the prior, and of noise on the signals.

        **Raises:** `InputError` if arviz-base is not installed (the extra ``[notebook]`` brings it), or the result
        holds no draws.
        """
        if not self.samples:
            raise InputError("the result holds no draws of its posterior; identify again")
        each = ("prior_mean", "prior_scale", "lower", "upper")
        mean, scale, lower, upper = (np.array([getattr(u, name) for u in self.unknowns]) for name in each)
        middle = np.where(np.isfinite(scale), mean, 0.5 * (lower + upper))
        prior = draws_of(middle, np.diag(np.square(scale)), lower, upper, len(self.samples), seed)
        space = self.space()
        about = {"subject": self.subject, "model": self.source, "units": str({e.path: e.unit for e in self.estimates})}
        return arviz_tree(
            space.paths, space.physical(np.array(self.samples)), space.physical(prior), signals, about, seed
        )

    def __str__(self) -> str:
        """The table, as plain text."""
        from io import StringIO

        from rich.console import Console

        console = Console(file=StringIO(), width=118, force_jupyter=False)
        console.print(self)
        return printable(console.file.getvalue())  # type: ignore[attr-defined]

    def _repr_html_(self) -> str:
        """What a notebook shows: the same table, with its colours."""
        from io import StringIO

        from rich.console import Console

        console = Console(file=StringIO(), width=118, record=True, force_jupyter=False)
        console.print(self)
        style = "font-family: ui-monospace, monospace; line-height: 1.2; white-space: pre; overflow-x: auto"
        page = f'<pre style="{style}">{{code}}</pre>'
        return console.export_html(inline_styles=True, code_format=page)

    def __rich_console__(self, console: Any, options: Any) -> Any:
        name, model = escape(self.subject or "subject"), escape(Path(self.source).name)
        yield f"[bold]{name}[/bold] on model {model}: {self.outcome.value}"
        yield estimates_table(self.estimates, self.unknowns, self.standing, self.off_prior)
        yield from moved_off_priors(self.estimates, self.off_prior)
        yield from open_directions(self.directions)
        yield from what_was_held(self.held, self.contradicted)
        if self.fits:
            yield ""
            yield fits_table(self.fits)
            if self.horizon and any(f.kind == "motion" for f in self.fits):
                span = f"{self.horizon * self.timestep:.3g} s"
                yield f"motion: simulated over {span} at a time, from a fitted initial state"
            yield from doubted_samples(self.fits)
            yield from against_the_model(self.fits)
            yield from better_predictions(self.fits)

    def with_fits(self, fits: tuple[Fit, ...], unseen: tuple[Unseen, ...] = ()) -> Identification:
        """A copy with further error rows, e.g. of a cross-validation, and what it predicted of the unseen."""
        return replace(self, fits=self.fits + fits, unseen=self.unseen + unseen)
