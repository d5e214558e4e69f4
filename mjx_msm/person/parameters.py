"""Subject parameters: a pytree of physical, named arrays; the free set; bounds, priors, transforms.

A parameter is addressed by a path ``group/name/field``, for example ``muscle/BRA/optimal_fiber_length``,
``body/forearm/com/y``, ``joint/elbow_flex/damping`` or ``emg/biceps/gain``. Paths accept shell wildcards.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.common.errors import InputError
from mjx_msm.person.muscle import AnyArray, MuscleParameters


class BodyParameters(eqx.Module):
    """Inertial parameters of the moving bodies."""

    mass: Float[AnyArray, "*batch body"]
    """[kg]."""
    com: Float[AnyArray, "*batch body 3"]
    """Centre of mass in the body's frame [m]."""
    inertia: Float[AnyArray, "*batch body 6"]
    """About the centre of mass, along the body's axes: xx, yy, zz, xy, xz, yz [kg·m²]."""


class JointParameters(eqx.Module):
    """Passive properties of the joints."""

    damping: Float[AnyArray, "*batch joint"]
    """[N·m·s/rad]."""
    stiffness: Float[AnyArray, "*batch joint"]
    """About the joint's spring reference [N·m/rad]."""


class EmgParameters(eqx.Module):
    """From an EMG channel's envelope to excitation, see `mjx_msm.dynamics.excitation`."""

    gain: Float[AnyArray, "*batch channel"]
    """[-]."""
    delay: Float[AnyArray, "*batch channel"]
    """Electromechanical delay [s]."""
    shape: Float[AnyArray, "*batch channel"]
    """Exponent of the EMG-to-excitation curve, -3 (strongly curved) to 0 (linear) [-]."""


@dataclass(frozen=True)
class Names:
    """Who the entries of a `Parameters` array belong to, in order."""

    muscle: tuple[str, ...]
    body: tuple[str, ...]
    joint: tuple[str, ...]
    emg: tuple[str, ...] = ()


class Parameters(eqx.Module):
    """Everything that distinguishes one subject's model from another's, in SI units.

    A population is the same pytree with a leading batch axis on every array.
    """

    muscle: MuscleParameters
    body: BodyParameters
    joint: JointParameters
    emg: EmgParameters
    names: Names = eqx.field(static=True)

    def with_channels(self, channels: Iterable[str]) -> Parameters:
        """The same subject with neutral EMG parameters (gain 1, no delay, linear) for `channels`."""
        channels = tuple(channels)
        neutral = EmgParameters(
            gain=np.ones(len(channels)), delay=np.zeros(len(channels)), shape=np.zeros(len(channels))
        )
        return Parameters(self.muscle, self.body, self.joint, neutral, replace(self.names, emg=channels))

    def to_dict(self) -> dict[str, float]:
        """Every scalar parameter under its path."""
        return {s.path: float(np.asarray(_array(self, s))[s.index]) for s in _scalars(self)}

    def updated(self, values: Mapping[str, float]) -> Parameters:
        """A copy with some parameters replaced.

        **Arguments:** `values`: path (wildcards allowed) to value.

        **Raises:** `InputError` if a path matches nothing.
        """
        scalars = _scalars(self)
        arrays = {(s.group, s.field): np.array(_array(self, s), dtype=float) for s in scalars}
        for pattern, value in values.items():
            for scalar in match(scalars, pattern):
                arrays[scalar.group, scalar.field][scalar.index] = value
        return _with_arrays(self, arrays)


_INERTIA_COMPONENTS = ("xx", "yy", "zz", "xy", "xz", "yz")
_CHOLESKY_COMPONENTS = ("l11", "l22", "l33", "l21", "l31", "l32")


@dataclass(frozen=True)
class Scalar:
    """Address of one scalar parameter."""

    path: str
    group: str
    field: str
    index: tuple[int, ...]


def _scalars(parameters: Parameters) -> list[Scalar]:
    out = []
    for group in ("muscle", "body", "joint", "emg"):
        names = getattr(parameters.names, group)
        for f in getattr(parameters, group).__dataclass_fields__:
            for i, name in enumerate(names):
                path = f"{group}/{name}/{f}"
                if f == "com":
                    out += [Scalar(f"{path}/{c}", group, f, (i, k)) for k, c in enumerate("xyz")]
                elif f == "inertia":
                    out += [Scalar(f"{path}/{c}", group, f, (i, k)) for k, c in enumerate(_INERTIA_COMPONENTS)]
                else:
                    out.append(Scalar(path, group, f, (i,)))
    return out


def match(scalars: list[Scalar], pattern: str) -> list[Scalar]:
    """Scalars whose path matches `pattern`; a pattern without the last component takes all components."""
    # a name may hold a bracket, which a pattern reads otherwise
    exact = [s for s in scalars if s.path == pattern or s.path.startswith(f"{pattern}/")]
    hits = exact or [
        s for s in scalars if fnmatch.fnmatchcase(s.path, pattern) or fnmatch.fnmatchcase(s.path, f"{pattern}/*")
    ]
    if not hits:
        close = difflib.get_close_matches(pattern, [s.path for s in scalars], n=3, cutoff=0.3)
        raise InputError(
            f"parameter pattern '{pattern}' matches nothing; did you mean {', '.join(close) or 'another model'}?"
        )
    return hits


def matching(parameters: Parameters, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Paths of the scalar parameters that any of the patterns matches, in the order of the model."""
    return tuple(
        path for path in parameters.to_dict() if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)
    )


def _array(parameters: Parameters, scalar: Scalar) -> Any:
    return getattr(getattr(parameters, scalar.group), scalar.field)


def _with_arrays(parameters: Parameters, arrays: Mapping[tuple[str, str], Any]) -> Parameters:
    keys = list(arrays)
    return eqx.tree_at(lambda p: [getattr(getattr(p, g), f) for g, f in keys], parameters, [arrays[k] for k in keys])


# Physical inertia ----------------------------------------------------------------------------------------


def inertia_matrix(inertia: Float[AnyArray, "*batch 6"]) -> Float[Array, "*batch 3 3"]:
    """Symmetric matrix of (xx, yy, zz, xy, xz, yz)."""
    order = jnp.array([[0, 3, 4], [3, 1, 5], [4, 5, 2]])
    return jnp.asarray(inertia)[..., order]


def inertia_vector(matrix: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 6"]:
    """(xx, yy, zz, xy, xz, yz) of a symmetric matrix."""
    return jnp.asarray(matrix)[..., jnp.array([0, 1, 2, 0, 0, 1]), jnp.array([0, 1, 2, 1, 2, 2])]


def inertia_to_log_cholesky(inertia: Float[AnyArray, "*batch 6"]) -> Float[Array, "*batch 6"]:
    """Unconstrained coordinates of a physically possible inertia about the centre of mass.

    The second moment of mass Σ = ½ tr(I)·1 − I of a real body is positive definite; together with a positive
    mass that is the positive definiteness of its pseudo-inertia, whose log-Cholesky factor (Rucker & Wensing
    2022, doi 10.1109/LRA.2022.3144517) splits into this factor, the mass and the centre of mass. With
    Σ = L Lᵀ the coordinates are (ln L11, ln L22, ln L33, L21/L22, L31/L33, L32/L33): relative, so that one scale
    fits bodies of every size.
    """
    matrix = inertia_matrix(inertia)
    trace = jnp.trace(matrix, axis1=-2, axis2=-1)[..., None, None]
    lower = jnp.linalg.cholesky(0.5 * trace * jnp.eye(3) - matrix)
    d = jnp.diagonal(lower, axis1=-2, axis2=-1)
    off = jnp.stack([lower[..., 1, 0], lower[..., 2, 0], lower[..., 2, 1]], -1)
    return jnp.concatenate([jnp.log(d), off / d[..., jnp.array([1, 2, 2])]], -1)


def log_cholesky_to_inertia(z: Float[Array, "*batch 6"]) -> Float[Array, "*batch 6"]:
    """Inverse of `inertia_to_log_cholesky`; any real vector gives a physically possible inertia."""
    d = jnp.exp(z[..., :3])
    o = z[..., 3:] * d[..., jnp.array([1, 2, 2])]
    zero = jnp.zeros_like(d[..., 0])
    rows = [
        jnp.stack([d[..., 0], zero, zero], -1),
        jnp.stack([o[..., 0], d[..., 1], zero], -1),
        jnp.stack([o[..., 1], o[..., 2], d[..., 2]], -1),
    ]
    lower = jnp.stack(rows, -2)
    second_moment = lower @ jnp.swapaxes(lower, -1, -2)
    trace = jnp.trace(second_moment, axis1=-2, axis2=-1)[..., None, None]
    return inertia_vector(trace * jnp.eye(3) - second_moment)


# The free set --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """How one kind of parameter is estimated: unit, transform, default bounds and prior scale.

    `log` parameters are positive: bounds are factors of the prior mean, which is nominal unless a prior says
    otherwise; the prior scale is relative. `linear` ones have bounds and prior scale in their own unit (around the
    prior mean where `offset` is set).
    """

    unit: str
    transform: str
    lower: float
    upper: float
    prior_scale: float
    offset: bool = False


# Bounds and scales in use: fiber and tendon lengths 0.6–1.4 (NMSM Pipeline) and 0.85–1.15 (CEINMS), strength
# 0.5–2.5 and delay 0–70 ms (PMC3399054), EMG shape −3…0 (Lloyd & Besier 2003, doi 10.1016/S0021-9290(03)00010-1).
# Segment mass and CoM spread: see `mjx_msm.person.anthropometry`.
KINDS: Mapping[tuple[str, str], Kind] = {
    ("muscle", "max_isometric_force"): Kind("N", "log", 0.5, 2.5, 0.3),
    ("muscle", "optimal_fiber_length"): Kind("m", "log", 0.6, 1.4, 0.15),
    ("muscle", "tendon_slack_length"): Kind("m", "log", 0.85, 1.15, 0.05),
    ("muscle", "max_contraction_velocity"): Kind("1/s", "log", 0.4, 2.5, 0.3),
    ("muscle", "passive_force_scale"): Kind("-", "log", 0.05, 20.0, 0.7),
    ("muscle", "pennation_angle"): Kind("rad", "linear", 0.0, 1.2, 0.1),
    ("muscle", "activation_time_constant"): Kind("s", "log", 0.4, 2.5, 0.3),
    ("muscle", "deactivation_time_constant"): Kind("s", "log", 0.4, 2.5, 0.3),
    ("body", "mass"): Kind("kg", "log", 0.5, 2.0, 0.15),
    ("body", "com"): Kind("m", "linear", -0.1, 0.1, 0.02, offset=True),
    ("body", "inertia"): Kind("kg·m²", "inertia", -1.0, 1.0, 0.15, offset=True),
    ("joint", "damping"): Kind("N·m·s/rad", "linear", 0.0, 20.0, 0.5),
    ("joint", "stiffness"): Kind("N·m/rad", "linear", 0.0, 200.0, 5.0),
    ("emg", "gain"): Kind("-", "log", 0.05, 10.0, 1.0),
    ("emg", "delay"): Kind("s", "linear", 0.0, 0.07, 0.02),
    ("emg", "shape"): Kind("-", "linear", -3.0, 0.0, 1.0),
}


class ParameterSpace(eqx.Module):
    """The parameters to estimate, as a vector z the solver works in.

    z holds ln(x) for positive parameters, x for the others, and the log-Cholesky coordinates of an inertia
    (freed whole). Everything not free stays at `nominal`.
    """

    nominal: Parameters
    lower: Float[np.ndarray, "free"]
    upper: Float[np.ndarray, "free"]
    prior_mean: Float[np.ndarray, "free"]
    prior_scale: Float[np.ndarray, "free"]
    """Standard deviation in z; infinite where there is no prior."""
    offset: Float[np.ndarray, "scalar"]
    """What a member of a tied group adds to the group's z: ln of its nominal ratio to the first member."""
    scalars: tuple[Scalar, ...] = eqx.field(static=True)
    """Every freed parameter."""
    owner: tuple[int, ...] = eqx.field(static=True)
    """Entry of z behind each of `scalars`; tied parameters share one."""
    paths: tuple[str, ...] = eqx.field(static=True)
    """Path of every entry of z; of a tied group its pattern; inertia coordinates end in ``l11 … l32``."""

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return len(self.paths)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kind of every entry of z."""
        first = [self.scalars[self.owner.index(k)] for k in range(self.size)]
        return tuple(KINDS[s.group, s.field] for s in first)

    @property
    def members(self) -> tuple[tuple[str, ...], ...]:
        """Paths of the parameters behind every entry of z, more than one where they are tied."""
        return tuple(
            tuple(s.path for s, o in zip(self.scalars, self.owner, strict=True) if o == k) for k in range(self.size)
        )

    def held(self, entry: int, value: float) -> ParameterSpace:
        """The same space with one entry of z held at `value`, for the solver: bounds a hair's breadth around it.

        They do not meet, because the solver takes its sense of size from their distance.
        """
        hair = 1e-9 * (self.upper[entry] - self.lower[entry])
        lower, upper = self.lower.copy(), self.upper.copy()
        lower[entry], upper[entry] = value - hair, value + hair
        return replace(self, lower=lower, upper=upper)

    def _blocks(self) -> list[tuple[tuple[str, str], np.ndarray, np.ndarray, tuple[np.ndarray, ...]]]:
        """For every field: its scalars, their entries of z, and where they sit in the field's array."""
        keys = dict.fromkeys((s.group, s.field) for s in self.scalars)
        out = []
        for key in keys:
            which = np.array([k for k, s in enumerate(self.scalars) if (s.group, s.field) == key])
            index = tuple(np.array(c) for c in zip(*(self.scalars[k].index for k in which), strict=True))
            out.append((key, which, np.array(self.owner)[which], index))
        return out

    def pack(self, parameters: Parameters) -> Float[Array, "free"]:
        """z of `parameters`; of a tied group, the mean over its members."""
        z = jnp.zeros(self.size)
        for (group, field), which, where, index in self._blocks():
            array = jnp.asarray(getattr(getattr(parameters, group), field))
            transform = KINDS[group, field].transform
            if transform == "log":
                array = jnp.log(array)
            elif transform == "inertia":
                array = inertia_to_log_cholesky(array)
            z = z.at[where].add(array[index] - self.offset[which])
        return z / np.bincount(self.owner, minlength=self.size)

    def unpack(self, z: Float[Any, "free"]) -> Parameters:
        """Parameters at z, differentiable."""
        arrays = {}
        for (group, field), which, where, index in self._blocks():
            array: Array = jnp.asarray(getattr(getattr(self.nominal, group), field))
            transform = KINDS[group, field].transform
            values = z[where] + self.offset[which]
            if transform == "log":
                array = array.at[index].set(jnp.exp(values))
            elif transform == "linear":
                array = array.at[index].set(values)
            else:
                bodies = np.unique(index[0])
                array = array.at[bodies].set(log_cholesky_to_inertia(values.reshape(len(bodies), 6)))
            arrays[group, field] = array
        return _with_arrays(self.nominal, arrays) if arrays else self.nominal

    def physical(self, z: Float[Any, "free"]) -> Float[np.ndarray, "free"]:
        """z in physical units, for tables: exp for positive parameters, the coordinates themselves for an inertia."""
        z = np.asarray(z)
        return np.where([k.transform == "log" for k in self.kinds], np.exp(z), z)

    def clip(self, z: Float[Any, "free"], margin: float = 1e-9) -> Float[np.ndarray, "free"]:
        """z moved strictly inside its bounds by `margin` of their distance."""
        gap = margin * (self.upper - self.lower)
        return np.clip(np.asarray(z), self.lower + gap, self.upper - gap)


def parameter_space(
    nominal: Parameters,
    free: Iterable[str],
    *,
    tied: Iterable[str] = (),
    bounds: Mapping[str, Mapping[str, Any]] | None = None,
    priors: Mapping[str, Mapping[str, Any] | str] | None = None,
) -> ParameterSpace:
    """Choose what to estimate.

    **Arguments:**

    - `nominal`: the starting subject; also the centre of the default priors.
    - `free`: path patterns, e.g. ``["muscle/*/max_isometric_force", "body/forearm/mass"]``.
    - `tied`: patterns whose free members are one unknown: a common factor of their nominal values for positive
      parameters, a common value for the others (one electromechanical delay: ``["emg/*/delay"]``).
    - `bounds`: pattern to ``{"factor": [lo, hi]}`` (of nominal) or ``{"range": [lo, hi]}`` (in the unit). By default
      they surround the prior mean (see `KINDS`); some are fixed, like those of a delay.
    - `priors`: pattern to ``{"mean": m, "sd": s}`` in the unit, ``{"relative_sd": s}``, or ``"none"``. Of an inertia,
      ``body/<name>/inertia`` to ``{"mean": [xx, yy, zz, xy, xz, yz], "relative_sd": s}`` (about the centre of mass,
      along the body's axes; s is that of a length, half that of a moment of inertia). A later pattern overrides
      what it says of an earlier one.

    **Raises:** `InputError` naming the pattern that matches nothing or asks for something impossible.
    """
    if isinstance(free, str) or isinstance(tied, str):
        raise InputError("free and tied are lists of patterns, e.g. ['muscle/*/max_isometric_force']")
    everything = _scalars(nominal)
    chosen: dict[str, Scalar] = {}
    for pattern in free:
        for scalar in match(everything, pattern):
            if scalar.field == "inertia":  # a factor is freed whole: single entries would leave the physical set
                block = scalar.path.rsplit("/", 1)[0]
                chosen |= {s.path: s for s in match(everything, block)}
            else:
                chosen[scalar.path] = scalar
    if not chosen:
        raise InputError(
            "nothing to estimate: give at least one pattern in `free`, e.g. 'muscle/*/max_isometric_force'"
        )
    scalars = tuple(s for s in everything if s.path in chosen)
    owner, paths = _tie(scalars, tied)
    blank = np.zeros(len(scalars))
    loose = ParameterSpace(
        nominal, blank, blank, blank, blank, blank, scalars, tuple(range(len(scalars))), _paths(scalars)
    )
    with jax.enable_x64(True):
        each = np.asarray(loose.pack(nominal))
    first = np.array([owner.index(k) for k in range(len(paths))])
    positive = np.array([KINDS[s.group, s.field].transform == "log" for s in scalars])
    with np.errstate(invalid="ignore"):
        offset = np.where(positive, each - each[first][list(owner)], 0.0)
    size = np.zeros(len(paths))
    draft = ParameterSpace(nominal, size, size, size, size, offset, scalars, owner, paths)
    centre = np.bincount(owner, weights=each - offset) / np.bincount(owner)
    if not np.all(np.isfinite(centre)):
        bad = draft.paths[int(np.flatnonzero(~np.isfinite(centre))[0])]
        raise InputError(
            f"parameter {bad} is not physically possible in the starting model (zero, negative or NaN); "
            "fix the model first"
        )

    position = {s.path: (k, float(o)) for s, k, o in zip(scalars, owner, offset, strict=True)}
    mean, scale = centre.copy(), np.array([kind.prior_scale for kind in draft.kinds])
    for pattern, spec in (priors or {}).items():
        hits = match(list(scalars), pattern)
        for scalar in hits:
            k, more = position[scalar.path]
            _check_whole_inertia(scalar, hits, spec)
            mean[k], scale[k] = _prior_in_z(draft.kinds[k], mean[k] + more, scale[k], spec, scalar)
            mean[k] -= more

    lower, upper = np.zeros(len(paths)), np.zeros(len(paths))
    for k, kind in enumerate(draft.kinds):
        if kind.transform == "log":
            lower[k], upper[k] = mean[k] + np.log([kind.lower, kind.upper])
        else:
            lower[k], upper[k] = (mean[k] if kind.offset else 0.0) + np.array([kind.lower, kind.upper])
    for pattern, spec in (bounds or {}).items():
        for scalar in match(list(scalars), pattern):
            k, more = position[scalar.path]
            pair = _bounds_in_z(draft.kinds[k], centre[k] + more, spec, scalar.path)
            lower[k], upper[k] = np.array(pair) - more

    for k, path in enumerate(draft.paths):
        if not lower[k] < upper[k]:
            raise InputError(f"bounds of {path} are empty; the lower one must be below the upper one")
        if not lower[k] <= mean[k] <= upper[k]:  # where the estimator starts
            if np.isclose(mean[k], centre[k]):
                what, other = "starting value", "change the start"
            else:
                what, other = "prior mean", "move the prior"
            raise InputError(f"{what} of {path} lies outside its bounds; widen the bounds or {other}")
    return ParameterSpace(nominal, lower, upper, mean, scale, offset, scalars, owner, paths)


def restored_space(
    nominal: Parameters,
    members: Iterable[tuple[str, ...]],
    lower: Float[np.ndarray, "free"],
    upper: Float[np.ndarray, "free"],
    prior_mean: Float[np.ndarray, "free"],
    prior_scale: Float[np.ndarray, "free"],
    paths: tuple[str, ...],
) -> ParameterSpace:
    """A parameter space from what a saved result keeps of it: `ParameterSpace.members`, bounds, priors, paths.

    **Raises:** `InputError` if `nominal` has no such parameter.
    """
    owners = {path: k for k, group in enumerate(members) for path in group}
    scalars = tuple(s for s in _scalars(nominal) if s.path in owners)
    missing = sorted(set(owners) - {s.path for s in scalars})
    if missing:
        raise InputError(f"the model has no parameter {missing[0]}; pass the model the result was identified on")
    owner = tuple(owners[s.path] for s in scalars)
    blank = np.zeros(len(scalars))
    with jax.enable_x64(True):
        every = tuple(range(len(scalars)))
        loose = ParameterSpace(nominal, blank, blank, blank, blank, blank, scalars, every, _paths(scalars))
        each = np.asarray(loose.pack(nominal))
    first = np.array([owner.index(k) for k in range(len(paths))], dtype=int)
    positive = np.array([KINDS[s.group, s.field].transform == "log" for s in scalars])
    with np.errstate(invalid="ignore"):
        offset = np.where(positive, each - each[first][list(owner)], 0.0)
    return ParameterSpace(nominal, lower, upper, prior_mean, prior_scale, offset, scalars, owner, paths)


def _paths(scalars: Iterable[Scalar]) -> tuple[str, ...]:
    return tuple(
        s.path if s.field != "inertia" else f"{s.path.rsplit('/', 1)[0]}/{_CHOLESKY_COMPONENTS[s.index[1]]}"
        for s in scalars
    )


def _tie(scalars: tuple[Scalar, ...], tied: Iterable[str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Entry of z behind every scalar, and the path of every entry."""
    group: dict[str, str] = {}
    for pattern in tied:
        members = match(list(scalars), pattern)
        kinds = {(s.group, s.field) for s in members}
        if len(kinds) > 1 or members[0].field == "inertia":
            raise InputError(f"tied = '{pattern}' mixes parameters of different kinds; name one, e.g. 'emg/*/delay'")
        for s in members:
            if s.path in group:
                raise InputError(f"parameter {s.path} is tied twice, by '{group[s.path]}' and '{pattern}'; keep one")
            group[s.path] = pattern
    labels = [group.get(s.path, p) for s, p in zip(scalars, _paths(scalars), strict=True)]
    paths = tuple(dict.fromkeys(labels))
    return tuple(paths.index(label) for label in labels), paths


def _bounds_in_z(kind: Kind, centre: float, spec: Mapping[str, Any], path: str) -> tuple[float, float]:
    if kind.transform == "inertia":
        raise InputError(f"bounds of {path} cannot be set one by one; an inertia is bounded through its factor")
    if set(spec) == {"range"}:
        lo, hi = _pair(spec["range"], path)
    elif set(spec) == {"factor"}:
        value = float(np.exp(centre)) if kind.transform == "log" else float(centre)
        lo, hi = sorted(value * f for f in _pair(spec["factor"], path))
    else:
        raise InputError(f"bounds of {path} need either factor = [lo, hi] or range = [lo, hi], got {sorted(spec)}")
    if kind.transform == "log":
        if lo <= 0:
            raise InputError(f"lower bound of {path} must be positive")
        lo, hi = float(np.log(lo)), float(np.log(hi))
    return lo, hi


def _pair(values: Any, path: str) -> tuple[float, float]:
    try:
        lo, hi = map(float, values)
    except (TypeError, ValueError):
        lo = hi = np.nan
    if not np.isfinite([lo, hi]).all():
        raise InputError(f"bounds of {path} need two finite numbers [lo, hi], got {values}")
    return lo, hi


def _prior_in_z(
    kind: Kind, mean: float, scale: float, spec: Mapping[str, Any] | str, scalar: Scalar
) -> tuple[float, float]:
    path = scalar.path
    if spec == "none":
        return mean, np.inf
    wanted = f'prior of {path} needs mean and/or sd (in its unit), or relative_sd, or "none"; got {spec}'
    if not isinstance(spec, Mapping) or not spec or not set(spec) <= {"mean", "sd", "relative_sd"}:
        raise InputError(wanted)
    numbers = {k: v for k, v in spec.items() if not (kind.transform == "inertia" and k == "mean")}
    if not all(isinstance(v, int | float) for v in numbers.values()) or {"sd", "relative_sd"} <= set(spec):
        raise InputError(wanted)
    if not all(spec[k] > 0 for k in ("sd", "relative_sd") if k in spec):
        raise InputError(f"prior sd of {path} must be positive")
    if kind.transform == "inertia":
        if "sd" in spec:
            raise InputError(f"prior sd of {path} takes relative_sd only; an inertia is estimated through its factor")
        if "mean" in spec:
            mean = float(_inertia_mean_in_z(spec["mean"], path)[scalar.index[1]])
        return mean, float(spec.get("relative_sd", scale))
    if "mean" in spec:
        if kind.transform == "log" and float(spec["mean"]) <= 0:
            raise InputError(f"prior mean of {path} must be positive")
        mean = float(np.log(spec["mean"])) if kind.transform == "log" else float(spec["mean"])
    value = float(np.exp(mean)) if kind.transform == "log" else float(mean)
    if "sd" in spec:
        scale = float(spec["sd"]) / value if kind.transform == "log" else float(spec["sd"])
    elif "relative_sd" in spec:
        scale = float(spec["relative_sd"]) * (1.0 if kind.transform == "log" else abs(value))
    if not scale > 0:
        raise InputError(f"prior sd of {path} must be positive")
    return mean, scale


def _check_whole_inertia(scalar: Scalar, hits: list[Scalar], spec: Mapping[str, Any] | str) -> None:
    """A mean is that of the whole inertia: its coordinates mix the entries of the matrix."""
    if scalar.field == "inertia" and isinstance(spec, Mapping) and "mean" in spec:
        block = scalar.path.rsplit("/", 1)[0]
        if sum(s.path.startswith(f"{block}/") for s in hits) < len(_INERTIA_COMPONENTS):
            raise InputError(f"prior mean of {scalar.path} is given whole; write it for '{block}', as six numbers")


def _inertia_mean_in_z(values: Any, path: str) -> Float[np.ndarray, "6"]:
    block = path.rsplit("/", 1)[0]
    try:
        inertia = np.array(values, dtype=float)
    except (TypeError, ValueError):
        inertia = np.zeros(0)
    if inertia.shape != (6,) or not np.isfinite(inertia).all():
        raise InputError(
            f"prior mean of {block} needs six numbers [kg·m²], xx, yy, zz, xy, xz, yz about the centre of mass; "
            f"got {values}"
        )
    with jax.enable_x64(True):
        z = np.asarray(inertia_to_log_cholesky(inertia))
    if not np.isfinite(z).all():
        raise InputError(
            f"prior mean of {block} is not physically possible: its principal moments must be positive, and each less "
            "than the sum of the other two; correct it"
        )
    return z
