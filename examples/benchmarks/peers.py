"""What people would use instead of `mjx_msm.identify`, each on the very same identification problem.

A `Problem` holds recordings, unknowns, their bounds and where the search starts; every peer takes one and returns an
`Attempt`. A benchmark calls them side by side in one process:

    problem = synthetic_problem(msm.load_model("arm"), trials, free=muscle_and_bone(model), seed=0)
    mujoco_sysid(problem, seconds=60)      # the official toolbox: Gauss-Newton on finite differences of C rollouts
    adam(problem, seconds=60)              # first order, through the differentiable rollout
    bones_then_muscles(problem, seconds=60)  # the classic two steps
    cma_es(problem, seconds=60)            # no derivatives
    CFiniteDifference(problem, 50)(problem.start)  # not an estimator: the fastest Jacobian that C gives

The recordings are C's own motion in steps of 0.1 ms (`truth.py`), which no method repeats exactly. All of them
simulate what `mjx_msm` simulates, by RK4: the recorded excitations, activation at steady state with respect to the
first one, and the recorded state at the start of every segment. `mujoco.rollout` holds an excitation for a whole step,
for which its mean over the step serves best; in steps of 1 ms, half a sample, C rollouts at the true parameters then
keep to a recording within 3e-5 rad (1e-4 in steps of 2 ms, `mjx_msm` 1e-6). `INTEGRATORS` says who steps how. `start`
is all a peer knows of the person; `truth` is only used to report errors. Where a peer has settings, its docstring says
what was tried and what served it best.

Needs `pip install .[bench]`, that is `mujoco[sysid]` (3.17, as mjx_msm) and `cma`.
"""

from __future__ import annotations

import importlib
import io
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import mujoco.rollout
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

import mjx_msm as msm
from mjx_msm.common.compiled import float64, jit
from mjx_msm.person.muscle import FPMAX, MujocoMuscle
from mjx_msm.person.parameters import matching
from mjx_msm.person.personalisation import native_range, personalised_spec
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import record

CORES = 2
"""Threads that C rollouts use unless told otherwise."""
SUBSTEPS = 2
"""C's steps from one sample to the next."""
SOLVED = 0.02
"""Mean error of a solved problem [%]."""

_MUSCLE = (
    "max_isometric_force",
    "optimal_fiber_length",
    "tendon_slack_length",
    "max_contraction_velocity",
    "passive_force_scale",
)
_FIELDS = {"muscle": _MUSCLE, "body": ("mass", "com"), "joint": ("damping", "stiffness")}
"""What may be unknown. Time constants and EMG parameters are left out: they would change the activation with which
segments start, which `mujoco.sysid` has no place for."""


# The problem -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Problem:
    """One identification problem: find the values of `paths` from the trials.

    **Raises:** `InputError` if the peers cannot represent it: a coordinate that is not free, a muscle model other than
    MuJoCo's own, a recording off the model's clock, an unknown that is not in `_FIELDS` or starts out of its bounds.
    """

    model: msm.Model
    """Everything that is not in `paths` is known, and has the value it has in `model.nominal`."""
    trials: tuple[msm.Trial, ...]
    """With a channel for every muscle, whose envelope is the excitation; on the model's clock."""
    paths: tuple[str, ...]
    """The unknowns, as in `Parameters.to_dict()`."""
    start: Float[np.ndarray, "unknown"]
    """Where the search begins, in SI units, as are the bounds and the truth."""
    lower: Float[np.ndarray, "unknown"]
    upper: Float[np.ndarray, "unknown"]
    truth: Float[np.ndarray, "unknown"]

    def __post_init__(self) -> None:
        if self.model.free != self.model.coordinates or not isinstance(self.model.muscle, MujocoMuscle):
            raise msm.InputError("the peers need MuJoCo's own muscle and all coordinates free: load_model('arm')")
        known = self.model.nominal.to_dict()
        for path in self.paths:
            group, _, name, *_ = path.split("/")
            if path not in known or name not in _FIELDS.get(group, ()):
                fields = ", ".join(f for fields in _FIELDS.values() for f in fields)
                raise msm.InputError(f"'{path}' cannot be an unknown here; its last part must be one of {fields}")
        bad = ~((self.lower < self.start) & (self.start < self.upper) & (self.lower * self.upper > 0))
        if bad.any():
            raise msm.InputError(f"'{self.paths[int(np.argmax(bad))]}' must start between bounds of one sign")
        for trial in self.trials:
            if abs(trial.timestep / self.model.timestep - 1) > 1e-6:
                raise msm.InputError(f"trial '{trial.name}' is off the model's clock of {self.model.timestep:g} s")
            if set(trial.channels) != set(self.model.muscles) or set(trial.coordinates) != set(self.model.coordinates):
                raise msm.InputError(f"trial '{trial.name}' must have every muscle's excitation and every coordinate")

    def error(self, values: Float[np.ndarray, "unknown"]) -> float:
        """Mean relative error of an estimate [%]."""
        return 100 * float(np.mean(np.abs(values / self.truth - 1)))

    def relative(self, values: Float[np.ndarray, "*batch unknown"]) -> Float[np.ndarray, "*batch unknown"]:
        """ln(value / start): every unknown on one scale; 0 is the start. Negative ones (a CoM) stay negative."""
        return np.log(values / self.start)

    def physical(self, relative: Float[np.ndarray, "*batch unknown"]) -> Float[np.ndarray, "*batch unknown"]:
        """Inverse of `relative`."""
        return self.start * np.exp(relative)

    @property
    def relative_bounds(self) -> tuple[Float[np.ndarray, "unknown"], Float[np.ndarray, "unknown"]]:
        """Lower and upper bounds of `relative` values."""
        ends = self.relative(np.stack([self.lower, self.upper]))
        return ends.min(axis=0), ends.max(axis=0)


def synthetic_problem(
    model: msm.Model,
    trials: Sequence[msm.Trial],
    *,
    free: Iterable[str],
    seed: int,
    spread: float = 0.1,
    factors: tuple[float, float] = (0.4, 2.2),
) -> Problem:
    """A problem whose truth is `model.nominal`, started at truth · (1 + `spread` · N(0, 1)).

    **Arguments:** `trials`: of `synthetic_trials(model, model.nominal)`. `free`: patterns of what is unknown.
    `factors`: bounds, as multiples of the truth.
    """
    values = model.nominal.to_dict()
    paths = matching(model.nominal, tuple(free))
    truth = np.array([values[p] for p in paths])
    ends = np.sort(np.multiply.outer(factors, truth), axis=0)
    start = truth * (1 + spread * np.random.default_rng(seed).standard_normal(len(paths)))
    inside = 1e-3 * (ends[1] - ends[0])
    start = np.clip(start, ends[0] + inside, ends[1] - inside)
    return Problem(model, tuple(trials), paths, start, ends[0], ends[1], truth)


@dataclass(frozen=True)
class Attempt:
    """What a peer made of a problem."""

    name: str
    estimate: Mapping[str, float]
    """Path to value, in SI units: the best found within the time."""
    seconds: float
    """Wall time, compiling included."""
    error: float
    """Mean relative error over the unknowns [%]."""
    evaluations: int
    """Parameter vectors simulated over all recordings; a finite-difference Jacobian is one per unknown, a gradient by
    automatic differentiation is one."""
    trace: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    """(seconds, error [%]) at every new best, by the peer's own measure of best."""

    def solved(self, tolerance: float) -> bool:
        """Whether the estimate is within `tolerance` [%] of the truth on average."""
        return self.error <= tolerance

    def seconds_to(self, tolerance: float) -> float:
        """Time after which every new best was within `tolerance` [%] [s]; infinite if it never was."""
        late = [i for i, (_, error) in enumerate(self.trace) if not error <= tolerance]
        after = self.trace[late[-1] + 1 :] if late else self.trace
        return after[0][0] if after else float("inf")


class _TimeIsUp(Exception):
    """Raised inside a peer's cost function, caught where it started."""


class _Search:
    """Clock, count and best so far of one attempt."""

    def __init__(self, problem: Problem, name: str, seconds: float) -> None:
        self.problem, self.name, self.limit = problem, name, seconds
        self.best, self.cost, self.evaluations = problem.start, np.inf, 0
        self.trace: list[tuple[float, float]] = []
        self.began = time.perf_counter()

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.began

    def check(self) -> None:
        if self.elapsed > self.limit:
            raise _TimeIsUp

    def offer(self, values: Float[np.ndarray, "unknown"], cost: float) -> None:
        """A candidate and its cost; the best one is kept."""
        if cost < self.cost:
            self.best, self.cost = np.array(values), cost
            self.trace.append((self.elapsed, self.problem.error(self.best)))

    def next_stage(self) -> None:
        """From here on the cost means something else."""
        self.cost = np.inf

    def attempt(self) -> Attempt:
        estimate = dict(zip(self.problem.paths, map(float, self.best), strict=True))
        error = self.problem.error(self.best)
        return Attempt(self.name, estimate, self.elapsed, error, self.evaluations, tuple(self.trace))


def _package(name: str) -> Any:
    """An optional package, or one line on how to get it."""
    try:
        module = importlib.import_module(name)
    except ImportError as e:
        raise msm.InputError(f"{name} is not installed ({e}); pip install .[bench]") from e
    if name == "mujoco.sysid" and not hasattr(module, "optimize"):  # it swallows its own missing dependencies
        raise msm.InputError("mujoco.sysid lacks its dependencies; pip install .[bench]")
    return module


# C rollouts --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Segments:
    """Recordings cut into segments of equal length, each started from the recorded state.

    The last segment of a recording may be shorter than the others: it is padded, and the padding is not `inside`.
    """

    position: Float[np.ndarray, "segment coordinate"]
    """Initial positions [rad]."""
    velocity: Float[np.ndarray, "segment coordinate"]
    """Initial velocities [rad/s]."""
    activation: Float[np.ndarray, "segment step muscle"]
    """At the start of every step."""
    excitation: Float[np.ndarray, "segment step_plus_1 muscle"]
    """At the start of every step and the end of the last; linear in between."""
    target: Float[np.ndarray, "segment step coordinate"]
    """Recorded positions after every step [rad]."""
    inside: Bool[np.ndarray, "segment step"]
    scale: Float[np.ndarray, "segment coordinate"]
    """Norm of the whole recording's signal over √2 [rad]: what `mujoco.sysid` divides residuals by."""


def segments(problem: Problem, horizon: int | None = None) -> Segments:
    """Cut a problem's recordings.

    Where velocities were not recorded, the initial states come from the smoothing spline that `identify` uses too.

    **Arguments:** `horizon`: steps of a segment; None: every recording is one segment.
    """
    model = problem.model
    own = {m: {m: 1.0} for m in model.muscles}
    base = Writer(problem, SUBSTEPS).base
    length = horizon or max(len(t.time) for t in problem.trials) - 1
    rows: dict[str, list[np.ndarray]] = {f: [] for f in Segments.__dataclass_fields__}
    for trial in problem.trials:
        order = [trial.coordinates.index(c) for c in model.coordinates]
        excitation = np.clip(trial.emg[:, [trial.channels.index(m) for m in model.muscles]], 0, 1)
        if trial.velocity is None:
            smooth = record(model, trial, own)
            q, v = smooth.smooth_position, smooth.smooth_velocity
        else:
            q, v = trial.position[:, order], trial.velocity[:, order]
        activation = _activations(base, excitation)
        for first in range(0, len(trial.time) - 1, length):
            steps = np.arange(first, first + length)
            now, after = np.minimum(steps, len(trial.time) - 2), np.minimum(steps + 1, len(trial.time) - 1)
            rows["position"].append(q[first])
            rows["velocity"].append(v[first])
            rows["activation"].append(activation[now])
            rows["excitation"].append(excitation[np.minimum(first + np.arange(length + 1), len(trial.time) - 1)])
            rows["target"].append(trial.position[after][:, order])
            rows["inside"].append(steps + 1 < len(trial.time))
            rows["scale"].append(np.linalg.norm(trial.position[1:, order], axis=0) / np.sqrt(2))
    return Segments(**{name: np.stack(parts) for name, parts in rows.items()})


def _activations(m: mujoco.MjModel, excitation: Float[np.ndarray, "time muscle"]) -> Float[np.ndarray, "time muscle"]:
    """Activation at every sample, from steady state: by C, whose activation dynamics do not depend on the motion."""
    state = np.concatenate([np.zeros(1), m.qpos0, np.zeros(m.nv), excitation[0]])
    states, _ = mujoco.rollout.rollout(m, mujoco.MjData(m), state, held(excitation, SUBSTEPS))
    return np.concatenate([state[None, -m.na :], np.asarray(states)[0, SUBSTEPS - 1 :: SUBSTEPS, -m.na :]])


def held(excitation: Float[np.ndarray, "*lane sample muscle"], substeps: int) -> Float[np.ndarray, "*lane step muscle"]:
    """Excitation to hold during every step of C, with this many from one sample to the next: its mean there."""
    share = ((np.arange(substeps) + 0.5) / substeps)[:, None]
    now, after = excitation[..., :-1, None, :], excitation[..., 1:, None, :]
    steps = (1 - share) * now + share * after
    return steps.reshape(*steps.shape[:-3], -1, steps.shape[-1])


class Writer:
    """Writes values of a problem's unknowns into compiled C models, without compiling again.

    What this leaves stale in an `MjModel` (`dof_M0`, `body_subtreemass`, `*_invweight0`, `actuator_acc0`) enters no
    step of a model without contacts, limits and equalities.
    """

    def __init__(self, problem: Problem, substeps: int = 1) -> None:
        self.model, nominal = problem.model, problem.model.nominal
        host = problem.model.host.by_rk4
        self.base = copy(host.skeleton)
        self.base.opt.timestep /= substeps
        # Nothing that these models have not: no constraints, no sensors; a fifth of a step's time.
        off = mujoco.mjtDisableBit
        for flag in (off.mjDSBL_CONSTRAINT, off.mjDSBL_CONTACT, off.mjDSBL_SENSOR, off.mjDSBL_AUTORESET):
            self.base.opt.disableflags |= int(flag)
        index = {path: k for k, path in enumerate(problem.paths)}
        self.muscle: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for name in _MUSCLE:
            pairs = [(i, index.get(f"muscle/{m}/{name}")) for i, m in enumerate(nominal.names.muscle)]
            where, which = np.array([(i, k) for i, k in pairs if k is not None], int).reshape(-1, 2).T
            self.muscle[name] = where, which
        self.cells: list[tuple[str, Any, int]] = []  # attribute of MjModel, index into it, unknown
        for path, k in index.items():
            group, owner, name, *axis = path.split("/")
            if group == "body":
                b = mujoco.mj_name2id(self.base, mujoco.mjtObj.mjOBJ_BODY, owner)
                self.cells.append(("body_ipos", (b, "xyz".index(axis[0])), k) if axis else ("body_mass", b, k))
            elif group == "joint":
                j = mujoco.mj_name2id(self.base, mujoco.mjtObj.mjOBJ_JOINT, owner)
                stiff = name == "stiffness"
                self.cells.append(
                    ("jnt_stiffness", j, k) if stiff else ("dof_damping", int(self.base.jnt_dofadr[j]), k)
                )
        # Everything known, which may differ from the file.
        bodies = [mujoco.mj_name2id(self.base, mujoco.mjtObj.mjOBJ_BODY, b) for b in nominal.names.body]
        self.base.body_mass[bodies], self.base.body_ipos[bodies] = nominal.body.mass, nominal.body.com
        self.base.body_sameframe[bodies], self.base.body_simple[bodies] = 0, 0  # shortcuts of where the CoM was
        moments, axes = np.linalg.eigh(np.asarray(nominal.body.inertia)[:, [[0, 3, 4], [3, 1, 5], [4, 5, 2]]])
        for b, moment, axis in zip(bodies, moments, axes, strict=True):
            self.base.body_inertia[b] = moment
            mujoco.mju_mat2Quat(self.base.body_iquat[b], (axis * np.sign(np.linalg.det(axis))).ravel())
        self.base.dof_damping[:], self.base.jnt_stiffness[:] = nominal.joint.damping, nominal.joint.stiffness
        self.base.actuator_dynprm[:, 0] = nominal.muscle.activation_time_constant
        self.base.actuator_dynprm[:, 1] = nominal.muscle.deactivation_time_constant
        self.write(self.base, problem.start)

    def write(self, into: mujoco.MjModel, values: Float[np.ndarray, "unknown"]) -> None:
        """Set the unknowns of a copy of `base`."""
        muscle = self.model.nominal.muscle
        changed = {name: np.array(getattr(muscle, name), dtype=float) for name in _MUSCLE}
        for name, (where, which) in self.muscle.items():
            changed[name][where] = values[which]
        low, high = native_range(replace(muscle, **changed), into.actuator_lengthrange)
        force, speed = changed["max_isometric_force"], changed["max_contraction_velocity"]
        for prm in (into.actuator_gainprm, into.actuator_biasprm):
            prm[:, 0], prm[:, 1], prm[:, 2], prm[:, 6] = low, high, force, speed
            prm[:, 7] = changed["passive_force_scale"] * FPMAX
        for attribute, index, k in self.cells:
            getattr(into, attribute)[index] = values[k]

    def compiled(self, values: Float[np.ndarray, "unknown"]) -> mujoco.MjModel:
        """A model of its own."""
        made = copy(self.base)
        self.write(made, values)
        return made


class CRollouts:
    """C rollouts of all segments for many candidates at once, as fast as C goes.

    Models, outputs and threads are made once: a call writes a few numbers into every model and hands all lanes to
    one thread pool, with no Python per step. A step of the arm takes 3.5 µs on one core and 1.75 µs on two (AMD EPYC).
    """

    def __init__(self, problem: Problem, horizon: int | None = None, *, candidates: int = 1, threads: int = CORES):
        self.segments, self.writer = segments(problem, horizon), Writer(problem, SUBSTEPS)
        base, count = self.writer.base, len(self.segments.position)
        self.models = [copy(base) for _ in range(candidates)]
        self._lanes = [m for m in self.models for _ in range(count)]
        self._datas = [mujoco.MjData(base) for _ in range(max(threads, 1))]
        self._pool = mujoco.rollout.Rollout(nthread=threads if threads > 1 else 0)
        s = self.segments
        state = np.concatenate([np.zeros((count, 1)), s.position, s.velocity, s.activation[:, 0]], axis=1)
        if state.shape[1] != mujoco.mj_stateSize(base, int(mujoco.mjtState.mjSTATE_FULLPHYSICS)):
            raise msm.InputError("the model has state besides positions, velocities and activations")
        self._state = np.ascontiguousarray(np.tile(state, (candidates, 1)))
        self._control = np.ascontiguousarray(np.tile(held(s.excitation, SUBSTEPS), (candidates, 1, 1)))
        self._out = np.empty((*self._control.shape[:2], state.shape[1]))
        self._sensors = np.empty((*self._control.shape[:2], 0))

    def positions(
        self, values: Float[np.ndarray, "candidate unknown"]
    ) -> Float[np.ndarray, "candidate segment step coordinate"]:
        """Positions after every step [rad]; a view that the next call overwrites."""
        count, per = len(values), len(self.segments.position)
        for model, x in zip(self.models, values, strict=False):
            self.writer.write(model, x)
        lanes = count * per
        self._pool.rollout(
            self._lanes[:lanes],
            self._datas,
            self._state[:lanes],
            self._control[:lanes],
            nstep=self._control.shape[1],
            state=self._out[:lanes],
            sensordata=self._sensors[:lanes],
            skip_checks=True,
        )
        nq = self.segments.position.shape[1]
        return self._out[:lanes, SUBSTEPS - 1 :: SUBSTEPS, 1 : 1 + nq].reshape(count, per, -1, nq)

    def errors(
        self, values: Float[np.ndarray, "candidate unknown"]
    ) -> Float[np.ndarray, "candidate segment step coordinate"]:
        """Simulated minus recorded positions [rad]; 0 outside the recordings."""
        return np.where(self.segments.inside[..., None], self.positions(values) - self.segments.target, 0.0)

    def close(self) -> None:
        """End the threads."""
        self._pool.close()


class CFiniteDifference:
    """The Jacobian of all segments' positions by forward differences of C rollouts: a speed oracle.

    Made once, called often:

        jacobian = CFiniteDifference(problem, horizon=50)
        jacobian(problem.start)  # time this

    The steps are relative, `step` · value; at 1e-7 truncation and round-off are both below 1e-6 of a column.
    """

    def __init__(
        self, problem: Problem, horizon: int | None = None, *, threads: int = CORES, step: float = 1e-7
    ) -> None:
        self.rollouts = CRollouts(problem, horizon, candidates=len(problem.paths) + 1, threads=threads)
        self.step = step

    def __call__(self, values: Float[np.ndarray, "unknown"]) -> Float[np.ndarray, "segment step coordinate unknown"]:
        """∂position/∂value at `values` [rad per unit of the unknown]."""
        moved = np.concatenate([values[None], values + np.diag(self.step * values)])
        positions = self.rollouts.positions(moved)
        width = np.diagonal(moved[1:]) - values
        return np.moveaxis((positions[1:] - positions[0]) / width[:, None, None, None], 0, -1)


def c_finite_difference_jacobian(
    problem: Problem, horizon: int | None = None, threads: int = CORES
) -> Float[np.ndarray, "segment step coordinate unknown"]:
    """The Jacobian at the problem's start; see `CFiniteDifference`, which is what to time."""
    difference = CFiniteDifference(problem, horizon, threads=threads)
    try:
        return difference(problem.start)
    finally:
        difference.rollouts.close()


# mujoco.sysid ------------------------------------------------------------------------------------------------


def mujoco_sysid(
    problem: Problem,
    seconds: float,
    *,
    horizons: Sequence[int | None] = (None,),
    route: str = "batched",
    scaling: str = "jac",
    name: str = "mujoco.sysid",
    **settings: Any,
) -> Attempt:
    """The official toolbox: `mujoco.sysid.optimize` with its recommended solver, box-bounded Gauss-Newton.

    **Arguments:**

    - `horizons`: (None,) is single shooting over the whole recordings, as the toolbox is documented; (50, None) gives
      it our idea: first segments of 50 steps started from recorded states, then the whole from where that ended.
    - `route`: "documented" goes through `ModelSequences` and `build_residual_fn`, and compiles an edited `MjSpec` for
      every candidate and recording; "written" is the same with a compiled model written into instead (`build_model`
      is a documented hook); "batched" hands `optimize` a residual function of our own that simulates all candidates
      and recordings in one call. Over whole recordings their residuals agree to round-off; over segments "batched"
      divides by the norm of the recording, the others by that of the segment, which blows up the residuals of
      segments near 0 rad. A Jacobian of 22 unknowns over 4 × 2 s takes 0.81, 0.21 and 0.16 s; of 50-step segments
      11.8, 0.79 and 0.16 s (two cores).
    - `scaling`: "jac": SI units with the toolbox's option ``x_scale="jac"``; "log": the solver sees ln(value / start);
      "relative": value / start; "none": SI units, its default. Starts solved of 5 (arm, 22 unknowns, 4 × 2 s without
      noise, 10 % off, 40 s), single shooting: jac 4, relative 2, log 1, none 0; our segments first: jac 5, log 2.
      What fails ends in a far minimum or crawls, 20 to 70 % off.
    - `settings`: further options of `optimize`, e.g. ``max_iters``, ``xtol``. Its tolerances are left as they are:
      where it finds the truth, it comes within 1e-8 %.

    The time limit is kept between calls of the residual function, of which a Jacobian is one. The variants worth
    timing are in `SYSID_VARIANTS`.
    """
    sysid = _package("mujoco.sysid")
    search = _Search(problem, name, seconds)
    if route not in ("documented", "written", "batched"):
        raise msm.InputError(f"route '{route}' must be 'documented', 'written' or 'batched'")
    to_physical = {
        "log": problem.physical,
        "relative": lambda x: problem.start * x,
        "none": lambda x: x,
        "jac": lambda x: x,
    }.get(scaling)
    if to_physical is None:
        raise msm.InputError(f"scaling '{scaling}' must be 'log', 'relative', 'none' or 'jac'")
    options = {"max_iters": 200, "output": io.StringIO()} | settings
    if scaling == "jac":
        options |= {"x_scale": "jac"}
    try:
        for horizon in dict.fromkeys(horizons):
            search.next_stage()
            parameters = _sysid_parameters(sysid, problem, search.best, scaling)
            residual, close = _SYSID_ROUTES[route](sysid, problem, horizon, to_physical)

            def watched(x: np.ndarray, p: Any, residual: Callable[..., Any] = residual) -> Any:
                search.check()
                out = residual(x, p)
                candidates = x.reshape(len(problem.paths), -1)
                search.evaluations += candidates.shape[1]
                if candidates.shape[1] == 1:
                    cost = float(sum(np.square(r).sum() for r in out[0]))
                    search.offer(to_physical(candidates[:, 0]), cost if np.isfinite(cost) else np.inf)
                return out

            try:
                sysid.optimize(initial_params=parameters, residual_fn=watched, verbose=False, **options)
            finally:
                close()
    except _TimeIsUp:
        pass
    return search.attempt()


def _sysid_parameters(sysid: Any, problem: Problem, values: np.ndarray, scaling: str) -> Any:
    """Its `ParameterDict`, valued at `values`; one scalar per unknown.

    No modifiers: a muscle's lengths enter one `range` together, so `build_model` writes all parameters at once. Its
    own inertia parameters come as mass with all three coordinates of the CoM, which would be another problem.
    """
    start = problem.start
    to_solver: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "log": lambda x: np.log(x / start),
        "relative": lambda x: x / start,
    }
    scaled = to_solver.get(scaling, lambda x: x)
    ends = np.sort(np.stack([scaled(problem.lower), scaled(problem.upper)]), axis=0)
    nominal, value = scaled(start), np.clip(scaled(values), *ends)
    out = sysid.ParameterDict()
    for k, path in enumerate(problem.paths):
        out.add(sysid.Parameter(path, float(nominal[k]), float(ends[0, k]), float(ends[1, k])))
        out[path].value[:] = value[k]
    return out


def _sysid_batched(
    sysid: Any, problem: Problem, horizon: int | None, to_physical: Callable[[np.ndarray], np.ndarray]
) -> tuple[Callable[..., Any], Callable[[], None]]:
    """A residual function for `optimize`: one call of `mujoco.rollout` for all columns and segments."""
    del sysid
    rollouts = CRollouts(problem, horizon, candidates=len(problem.paths))
    scale = rollouts.segments.scale[:, None]

    def residual(x: np.ndarray, parameters: Any) -> Any:
        values = to_physical(x.T.reshape(-1, len(problem.paths)))
        rows = (rollouts.errors(values) / scale).reshape(len(values), -1).T
        return [rows if x.ndim > 1 else rows[:, 0]], [], []

    return residual, rollouts.close


def _sysid_documented(
    sysid: Any, problem: Problem, horizon: int | None, to_physical: Callable[[np.ndarray], np.ndarray]
) -> tuple[Callable[..., Any], Callable[[], None]]:
    """The documented pipeline: the spec is edited and compiled for every candidate and recording."""
    model = problem.model

    def build(parameters: Any, spec: mujoco.MjSpec) -> mujoco.MjModel:
        values = to_physical(parameters.as_vector())
        person = model.nominal.updated(dict(zip(problem.paths, map(float, values), strict=True)))
        return personalised_spec(model.by_rk4, person).compile()

    return _sysid_pipeline(sysid, problem, horizon, build)


def _sysid_written(
    sysid: Any, problem: Problem, horizon: int | None, to_physical: Callable[[np.ndarray], np.ndarray]
) -> tuple[Callable[..., Any], Callable[[], None]]:
    """The documented pipeline with models that are written, and remembered from one recording to the next."""
    writer = Writer(problem)
    remembered: dict[bytes, mujoco.MjModel] = {}

    def build(parameters: Any, spec: mujoco.MjSpec) -> mujoco.MjModel:
        x = parameters.as_vector()
        key = x.tobytes()
        if key not in remembered:
            if len(remembered) > 4 * len(x):
                remembered.clear()
            remembered[key] = writer.compiled(to_physical(x))
        return remembered[key]

    return _sysid_pipeline(sysid, problem, horizon, build)


def _sysid_pipeline(
    sysid: Any, problem: Problem, horizon: int | None, build: Callable[..., Any]
) -> tuple[Callable[..., Any], Callable[[], None]]:
    """`ModelSequences` and `build_residual_fn`.

    Observations are states (``…_qpos``), not joint-position sensors: `mujoco.rollout` reads a sensor before the step
    and the state after it, so that a sensor lags the clock that the toolbox gives it by one step.
    """
    cut = segments(problem, horizon)
    spec, h = problem.model.host.by_rk4.spec.copy(), problem.model.timestep
    for sensor in spec.sensors:  # none is compared, and without any its check on their number can be waived
        spec.delete(sensor)
    compiled = spec.compile()
    names = [(f"{c}_qpos", sysid.SignalType.MjStateQPos) for c in problem.model.coordinates]
    states, controls, observations, labels = [], [], [], []
    for k in range(len(cut.position)):
        steps = int(cut.inside[k].sum())
        clock = h * np.arange(steps + 1)
        states.append(sysid.create_initial_state(compiled, cut.position[k], cut.velocity[k], cut.activation[k, 0]))
        means = held(cut.excitation[k, : steps + 1], 1)
        drive = np.concatenate([means, means[-1:]])
        controls.append(sysid.TimeSeries.from_control_names(clock, drive, compiled))
        seen = np.concatenate([cut.position[k][None], cut.target[k, :steps]])  # the first sample is not compared
        observations.append(sysid.TimeSeries.from_names(clock, seen, compiled, names))
        labels.append(f"segment{k}")
    with _quiet("absl"):  # one warning per recording that the model has no sensors
        sequences = sysid.ModelSequences("person", spec, labels, states, controls, observations, True)
    residual = sysid.build_residual_fn(
        models_sequences=[sequences],
        build_model=build,
        n_threads=CORES,
        resample_true=False,
        enabled_observations=names,
    )
    return residual, lambda: None


_SYSID_ROUTES = {"documented": _sysid_documented, "written": _sysid_written, "batched": _sysid_batched}

SYSID_VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "mujoco.sysid, as documented": {"route": "documented", "scaling": "none"},
    "mujoco.sysid, tuned": {},
    "mujoco.sysid, tuned, our segments": {"horizons": (50, None)},
}
"""Settings of `mujoco_sysid`, by name: (a) out of the box, (a) at its fastest and best scaled, (b) with our idea."""

INTEGRATORS = {
    "mujoco.sysid, as documented": "RK4, 2 ms, held excitation",
    "mujoco.sysid, tuned": "RK4, 1 ms, held excitation",
    "mujoco.sysid, tuned, our segments": "RK4, 1 ms, held excitation",
    "CMA-ES": "RK4, 1 ms, held excitation",
}
"""How a method steps from sample to sample; those not named do as `mjx_msm`: RK4, 2 ms, excitation linear."""


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    target = logging.getLogger(logger)
    level = target.level
    target.setLevel(logging.ERROR)
    try:
        yield
    finally:
        target.setLevel(level)


# First order -------------------------------------------------------------------------------------------------


def adam(
    problem: Problem,
    seconds: float,
    *,
    learning_rate: float = 1e-2,
    horizon: int | None = 50,
    reverse: bool = True,
    name: str = "Adam",
) -> Attempt:
    """Adam (Kingma & Ba 2014, arXiv 1412.6980) through the differentiable rollout.

    The unknowns are ln(value / start), the cost is the mean squared position error, the gradient is exact.

    **Arguments:**

    - `learning_rate`: relative step at the beginning; it falls along half a cosine over the time given.
    - `horizon`: steps of a segment, which makes for many short lanes; None: the whole recordings.
    - `reverse`: reverse mode; otherwise forward mode with one tangent per unknown, which compiles in half the time
      and takes twice as long per gradient.

    The first call compiles before its first step, outside the time limit but inside `Attempt.seconds`: call it with
    ``seconds=0`` first, then time it.
    """
    search = _Search(problem, name, seconds)
    cut = segments(problem, horizon)
    low, high = problem.relative_bounds
    space = msm.parameter_space(problem.model.nominal, problem.paths)
    inside = 1.0 * cut.inside[..., None]
    gradient = _reverse_gradient if reverse else _forward_gradient
    moments = optax.scale_by_adam()
    with float64():
        rest = (cut.activation[:, 0], cut.excitation, cut.target, inside)
        data = tuple(map(jnp.asarray, (problem.start, cut.position, cut.velocity, *rest)))
        relative = np.zeros(len(problem.paths))
        state = moments.init(jnp.asarray(relative))
        try:
            while True:
                cost, slope = gradient(problem.model, space, jnp.asarray(relative), *data)
                search.evaluations += 1
                search.offer(problem.physical(relative), float(cost) if np.isfinite(cost) else np.inf)
                search.check()
                if not np.all(np.isfinite(slope)):
                    break
                direction, state = moments.update(slope, state)
                rate = learning_rate * 0.5 * (1 + np.cos(np.pi * min(search.elapsed / seconds, 1.0)))
                relative = np.clip(relative - rate * np.asarray(direction), low, high)
        except _TimeIsUp:
            pass
    return search.attempt()


def _motion_cost(
    model: msm.Model,
    space: ParameterSpace,
    relative: Float[Array, "unknown"],
    start: Float[Array, "unknown"],
    position: Float[Array, "segment coordinate"],
    velocity: Float[Array, "segment coordinate"],
    activation: Float[Array, "segment muscle"],
    excitation: Float[Array, "segment step_plus_1 muscle"],
    target: Float[Array, "segment step coordinate"],
    inside: Float[Array, "segment step one"],
) -> Float[Array, ""]:
    """Mean squared position error [rad²]."""
    values = start * jnp.exp(relative)
    log = np.array([k.transform == "log" for k in space.kinds])
    parameters = space.unpack(jnp.where(log, jnp.log(jnp.where(log, values, 1.0)), values))
    motion = msm.rollout_segments(model, parameters, position, velocity, activation, excitation)
    return jnp.sum(inside * (motion.position[:, 1:] - target) ** 2) / (jnp.sum(inside) * target.shape[-1])


@jit
def _reverse_gradient(model: msm.Model, space: ParameterSpace, relative: Array, *data: Array) -> tuple[Array, Array]:
    return jax.value_and_grad(lambda x: _motion_cost(model, space, x, *data))(relative)


@jit
def _forward_gradient(model: msm.Model, space: ParameterSpace, relative: Array, *data: Array) -> tuple[Array, Array]:
    push = lambda t: jax.jvp(lambda x: _motion_cost(model, space, x, *data), (relative,), (t,))  # noqa: E731
    return jax.vmap(push, out_axes=(None, 0))(jnp.eye(relative.shape[0]))


# The classic two steps ---------------------------------------------------------------------------------------


def bones_then_muscles(problem: Problem, seconds: float, *, name: str = "bones, then muscles") -> Attempt:
    """Bones from inverse dynamics with the muscles as they are at the start, then muscles with those bones.

    Both steps are `mjx_msm.identify`, so that what differs from it is the order alone: the first sees only
    accelerations (linear in the inertial parameters), the second only frees muscles. No priors. The bones take up
    what is wrong with the muscles, and the muscles cannot mend it: 10 % off at the start it ended 55 % off.

    **Arguments:** `seconds`: kept by interrupting `identify` at its next iteration.
    """
    search = _Search(problem, name, seconds)
    steps = (("body/", "joint/"), ("acceleration",)), (("muscle/",), ("motion",))

    def watch(iteration: Any) -> None:
        search.evaluations += 1
        if search.elapsed > seconds:
            raise KeyboardInterrupt

    for groups, residuals in steps:
        which = [k for k, p in enumerate(problem.paths) if p.startswith(groups)]
        if not which or search.elapsed > seconds:
            continue
        person = problem.model.nominal.updated(dict(zip(problem.paths, map(float, search.best), strict=True)))
        paths = [problem.paths[k] for k in which]
        try:
            result = msm.identify(
                eqx.tree_at(lambda m: m.nominal, problem.model, person),
                problem.trials,
                free=paths,
                residuals=residuals,
                bounds={problem.paths[k]: {"range": [problem.lower[k], problem.upper[k]]} for k in which},
                priors=dict.fromkeys(paths, "none"),
                rate=1 / problem.model.timestep,
                held="exact",
                listener=watch,
            )
        except KeyboardInterrupt:
            break
        values = search.best.copy()
        values[which] = [result[p].value for p in paths]
        search.next_stage()
        search.offer(values, 0.0)
    return search.attempt()


# No derivatives ----------------------------------------------------------------------------------------------


def cma_es(
    problem: Problem,
    seconds: float,
    *,
    horizon: int | None = 50,
    spread: float = 0.1,
    population: int | None = None,
    seed: int = 0,
    name: str = "CMA-ES",
) -> Attempt:
    """CMA-ES (Hansen 2016, arXiv 1604.00772; the package `cma`) on C rollouts, a whole population per call.

    The unknowns are ln(value / start), the cost is the mean squared position error.

    **Arguments:**

    - `horizon`: steps of a segment; None: the whole recordings.
    - `spread`: standard deviation of the first population around the start, relative.
    - `population`: None: the package's own choice, 4 + ⌊3 ln n⌋.
    """
    cma = _package("cma")
    search = _Search(problem, name, seconds)
    low, high = problem.relative_bounds
    options = {"bounds": [low, high], "seed": seed + 1, "verbose": -9, "tolfun": 0, "tolfunhist": 0, "tolx": 1e-12}
    if population is not None:
        options["popsize"] = population
    strategy = cma.CMAEvolutionStrategy(np.zeros(len(problem.paths)), spread, options)
    rollouts = CRollouts(problem, horizon, candidates=strategy.popsize)
    try:
        while not strategy.stop():
            search.check()
            asked = strategy.ask()
            values = problem.physical(np.array(asked))
            costs = np.mean(rollouts.errors(values) ** 2, axis=(1, 2, 3))
            costs = np.where(np.isfinite(costs), costs, 1e6)
            strategy.tell(asked, list(costs))
            search.evaluations += len(asked)
            best = int(np.argmin(costs))
            search.offer(values[best], float(costs[best]))
    except _TimeIsUp:
        pass
    finally:
        rollouts.close()
    return search.attempt()
