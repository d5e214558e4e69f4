"""The free set: which parameters are estimated, as the vector a solver works in, with bounds and priors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.common.arguments import of_kind, table, words
from mjx_msm.common.errors import InputError
from mjx_msm.person.bounds_and_priors import bounds_in_z, check_whole_inertia, prior_in_z
from mjx_msm.person.expectation import Expectation
from mjx_msm.person.inertia import inertia_to_log_cholesky, log_cholesky_to_inertia
from mjx_msm.person.kinds import KINDS, Kind
from mjx_msm.person.parameters import Parameters, Scalar, match, scalars_of, with_arrays

_CHOLESKY_COMPONENTS = ("l11", "l22", "l33", "l21", "l31", "l32")


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
        return with_arrays(self.nominal, arrays) if arrays else self.nominal

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
    of_kind("nominal", nominal, Parameters, "a model has them as .nominal")
    free, tied = words("free", free), words("tied", tied)
    bounds, priors = table("bounds", bounds or {}), table("priors", priors or {})
    everything = scalars_of(nominal)
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
    each = _started_from_priors(each, scalars, priors)
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
            f"parameter {bad} is not physically possible in the starting model (zero, negative or NaN); give its "
            f"prior a mean (priors = {{'{bad}': {{'mean': …}}}}, in its unit), or start from other parameters"
        )

    position = {s.path: (k, float(o)) for s, k, o in zip(scalars, owner, offset, strict=True)}
    mean, scale = centre.copy(), np.array([kind.prior_scale for kind in draft.kinds])
    for pattern, spec in priors.items():
        hits = match(list(scalars), pattern)
        for scalar in hits:
            k, more = position[scalar.path]
            check_whole_inertia(scalar, hits, spec)
            mean[k], scale[k] = prior_in_z(draft.kinds[k], mean[k] + more, scale[k], spec, scalar)
            mean[k] -= more

    lower, upper = np.zeros(len(paths)), np.zeros(len(paths))
    for k, kind in enumerate(draft.kinds):
        if kind.transform == "log":
            lower[k], upper[k] = mean[k] + np.log([kind.lower, kind.upper])
        else:
            lower[k], upper[k] = (mean[k] if kind.offset else 0.0) + np.array([kind.lower, kind.upper])
    for pattern, spec in bounds.items():
        for scalar in match(list(scalars), pattern):
            k, more = position[scalar.path]
            pair = bounds_in_z(draft.kinds[k], centre[k] + more, spec, scalar.path)
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


def with_expectation(space: ParameterSpace, expectation: Expectation) -> ParameterSpace:
    """The same unknowns, of a person of whom something more is expected; a mean beyond a bound is put inside it.

    **Raises:** `InputError` if it is of none of them.
    """
    mean, scale = space.prior_mean.copy(), space.prior_scale.copy()
    sd = np.sqrt(np.diag(np.array(expectation.covariance)))
    known = [(k, expectation.paths.index(p)) for k, p in enumerate(space.paths) if p in expectation.paths]
    if not known:
        raise InputError(
            f"prior: the population '{expectation.name}' knows none of the free parameters, but "
            f"{', '.join(expectation.paths[:4])}, …; free those, or leave it out"
        )
    for k, j in known:
        mean[k], scale[k] = mean[k] + expectation.shift[j], sd[j]
    return replace(space, prior_mean=space.clip(mean), prior_scale=scale)


def _started_from_priors(
    each: Float[np.ndarray, "scalar"], scalars: tuple[Scalar, ...], priors: Mapping[str, Mapping[str, Any] | str]
) -> Float[np.ndarray, "scalar"]:
    """What is not possible in the model, but has a prior mean, starts there: a slack length that is negative."""
    each, place = np.array(each), {s.path: k for k, s in enumerate(scalars)}
    for pattern, spec in priors.items():
        mean = spec.get("mean") if isinstance(spec, Mapping) else None
        if isinstance(mean, int | float) and mean > 0:
            for scalar in match(list(scalars), pattern):
                positive = KINDS[scalar.group, scalar.field].transform == "log"
                if positive and not np.isfinite(each[place[scalar.path]]):
                    each[place[scalar.path]] = np.log(mean)
    return each


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
    scalars = tuple(s for s in scalars_of(nominal) if s.path in owners)
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
