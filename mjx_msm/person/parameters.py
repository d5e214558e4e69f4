"""Subject parameters: a pytree of physical, named arrays.

A parameter is addressed by a path ``group/name/field``, for example ``muscle/BRA/optimal_fiber_length``,
``body/forearm/com/y``, ``joint/elbow_flex/damping`` or ``emg/biceps/gain``. Paths accept shell wildcards.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from mjx_msm.common.arguments import table
from mjx_msm.common.errors import InputError
from mjx_msm.common.patterns import matches
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
    lower_passive_moment: Float[AnyArray, "*batch joint"]
    """At the lower end of the range [N·m], see `mjx_msm.person.passive_curves`; 0 where a joint has no such curve."""
    lower_passive_steepness: Float[AnyArray, "*batch joint"]
    """[1/rad]."""
    upper_passive_moment: Float[AnyArray, "*batch joint"]
    """At the upper end [N·m]."""
    upper_passive_steepness: Float[AnyArray, "*batch joint"]
    """[1/rad]."""
    biarticular_passive_moment: Float[AnyArray, "*batch joint"]
    """Of what crosses other joints, too, at its greatest stretch [N·m]."""
    biarticular_passive_steepness: Float[AnyArray, "*batch joint"]
    """[1/rad]."""


class EmgParameters(eqx.Module):
    """From an EMG channel's envelope to excitation, see `mjx_msm.dynamics.excitation`."""

    gain: Float[AnyArray, "*batch channel"]
    """[-]."""
    delay: Float[AnyArray, "*batch channel"]
    """Electromechanical delay [s]."""
    shape: Float[AnyArray, "*batch channel"]
    """Exponent of the EMG-to-excitation curve, -3 (strongly curved) to 0 (linear) [-]."""


class StrapParameters(eqx.Module):
    """Where a force was measured instead of a moment: a load cell at a strap, a hand-held dynamometer."""

    lever: Float[AnyArray, "*batch strap"]
    """Distance from the joint, at a right angle to the force [m]."""


def _no_straps() -> StrapParameters:
    return StrapParameters(np.zeros(0))


@dataclass(frozen=True)
class Names:
    """Who the entries of a `Parameters` array belong to, in order."""

    muscle: tuple[str, ...]
    body: tuple[str, ...]
    joint: tuple[str, ...]
    emg: tuple[str, ...] = ()
    passive: tuple[str, ...] = ()
    """Passive curves, as ``joint/side``: only they have parameters."""
    strap: tuple[str, ...] = ()
    """The coordinates about which a force was measured at a distance that is not well known."""


class Parameters(eqx.Module):
    """Everything that distinguishes one subject's model from another's, in SI units.

    A population is the same pytree with a leading batch axis on every array.
    """

    muscle: MuscleParameters
    body: BodyParameters
    joint: JointParameters
    emg: EmgParameters
    names: Names = eqx.field(static=True)
    strap: StrapParameters = eqx.field(default_factory=_no_straps)

    def with_channels(self, channels: Iterable[str]) -> Parameters:
        """The same subject with neutral EMG parameters (gain 1, no delay, linear) for `channels`."""
        channels = tuple(channels)
        neutral = EmgParameters(
            gain=np.ones(len(channels)), delay=np.zeros(len(channels)), shape=np.zeros(len(channels))
        )
        return Parameters(self.muscle, self.body, self.joint, neutral, replace(self.names, emg=channels), self.strap)

    def with_levers(self, levers: Mapping[str, float]) -> Parameters:
        """The same subject with straps at a distance [m] from the joint of some coordinates."""
        strap = StrapParameters(np.array([float(x) for x in levers.values()]))
        return Parameters(self.muscle, self.body, self.joint, self.emg, replace(self.names, strap=tuple(levers)), strap)

    def to_dict(self) -> dict[str, float]:
        """Every scalar parameter under its path."""
        return {s.path: float(np.asarray(_array(self, s))[s.index]) for s in scalars_of(self)}

    def updated(self, values: Mapping[str, float]) -> Parameters:
        """A copy with some parameters replaced.

        **Arguments:** `values`: path (wildcards allowed) to value.

        **Raises:** `InputError` if a path matches nothing.
        """
        scalars = scalars_of(self)
        arrays = {(s.group, s.field): np.array(_array(self, s), dtype=float) for s in scalars}
        for pattern, value in table("values", values).items():
            try:
                number = float(value)
            except (TypeError, ValueError):
                raise InputError(f"parameter {pattern} must be a number, got {value!r}") from None
            for scalar in match(scalars, pattern):
                arrays[scalar.group, scalar.field][scalar.index] = number
        return with_arrays(self, arrays)


INERTIA_COMPONENTS = ("xx", "yy", "zz", "xy", "xz", "yz")


@dataclass(frozen=True)
class Scalar:
    """Address of one scalar parameter."""

    path: str
    group: str
    field: str
    index: tuple[int, ...]


def scalars_of(parameters: Parameters) -> list[Scalar]:
    """Every scalar parameter, in the order of the model."""
    out = []
    for group in ("muscle", "body", "joint", "emg", "strap"):
        names = getattr(parameters.names, group)
        for f in getattr(parameters, group).__dataclass_fields__:
            for i, name in enumerate(names):
                path = f"{group}/{name}/{f}"
                if "_passive_" in f and f"{name}/{f.split('_')[0]}" not in parameters.names.passive:
                    continue
                if f == "com":
                    out += [Scalar(f"{path}/{c}", group, f, (i, k)) for k, c in enumerate("xyz")]
                elif f == "inertia":
                    out += [Scalar(f"{path}/{c}", group, f, (i, k)) for k, c in enumerate(INERTIA_COMPONENTS)]
                else:
                    out.append(Scalar(path, group, f, (i,)))
    return out


def match(scalars: list[Scalar], pattern: str) -> list[Scalar]:
    """Scalars whose path matches `pattern`; a pattern without the last component takes all components."""
    # a name may hold a bracket, which a pattern reads otherwise
    exact = [s for s in scalars if s.path == pattern or s.path.startswith(f"{pattern}/")]
    hits = exact or [s for s in scalars if matches(s.path, pattern) or matches(s.path, f"{pattern}/*")]
    if not hits:
        close = difflib.get_close_matches(pattern, [s.path for s in scalars], n=3, cutoff=0.3)
        raise InputError(
            f"parameter pattern '{pattern}' matches nothing; did you mean {', '.join(close) or 'another model'}?"
        )
    return hits


def matching(parameters: Parameters, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Paths of the scalar parameters that any of the patterns matches, in the order of the model."""
    return tuple(path for path in parameters.to_dict() if any(matches(path, pattern) for pattern in patterns))


def _array(parameters: Parameters, scalar: Scalar) -> Any:
    return getattr(getattr(parameters, scalar.group), scalar.field)


def with_arrays(parameters: Parameters, arrays: Mapping[tuple[str, str], Any]) -> Parameters:
    keys = list(arrays)
    return eqx.tree_at(lambda p: [getattr(getattr(p, g), f) for g, f in keys], parameters, [arrays[k] for k in keys])
