"""An OpenSim model held at hand: what its coordinates are, and lengths, moment arms and body poses at any of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.arguments import path_of
from mjx_msm.common.errors import InputError, in_one_line
from mjx_msm.common.file_kinds import OSIM, refuse_other

Pose = Float[np.ndarray, "4 4"]
"""Of a frame in another: rotation and origin [m]."""


@dataclass(frozen=True)
class Coordinate:
    """A degree of freedom as the .osim states it; [rad] or [m]."""

    name: str
    rotational: bool
    low: float
    high: float
    default: float
    locked: bool
    dependent: bool
    """Follows another one, by a coupler or a prescribed function."""


def import_opensim() -> Any:
    """The ``opensim`` package.

    **Raises:** `InputError` if it is not installed.
    """
    try:
        import opensim
    except ImportError as e:
        raise InputError(
            "reading an .osim file needs the package opensim; install it with: pip install 'mjx-msm[opensim]'"
        ) from e
    opensim.Logger.setLevelString("Off")
    return opensim


class OpenedModel:
    """**Arguments:** `path`: the .osim file.

    **Raises:** `InputError` if it is no OpenSim model, or the package is missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path_of("the OpenSim model", path)
        refuse_other(self.path, OSIM)
        if not self.path.is_file():
            raise InputError(f"{self.path}: no such file; give the path of an .osim file")
        self.opensim = import_opensim()
        try:
            self.model = self.opensim.Model(str(self.path))
            self.state = self.model.initSystem()
        except Exception as e:  # whatever its C++ throws
            raise InputError(f"{self.path}: OpenSim cannot load it: {_reason(e)}; correct the file") from e
        held = self.model.getCoordinateSet()
        self._handles = {held.get(i).getName(): held.get(i) for i in range(held.getSize())}
        self.coordinates = {name: self._described(handle) for name, handle in self._handles.items()}
        for handle in self._handles.values():  # so that any pose can be asked for
            handle.setDefaultClamped(False)
            handle.setDefaultLocked(False)
        self.state = self.model.initSystem()
        self.couplings = self._couplings()
        self._assembles = len(self.couplings) < self.model.getConstraintSet().getSize()
        muscles = self.model.getMuscles()
        self.muscles = {muscles.get(i).getName(): muscles.get(i) for i in range(muscles.getSize())}
        bodies = self.model.getBodySet()
        self.bodies = {bodies.get(i).getName(): bodies.get(i) for i in range(bodies.getSize())}
        self._default = {n: h.getValue(self.state) for n, h in self._handles.items()}

    def _described(self, handle: Any) -> Coordinate:
        return Coordinate(
            name=handle.getName(),
            rotational=handle.getMotionType() != self.opensim.Coordinate.Translational,
            low=handle.getRangeMin(),
            high=handle.getRangeMax(),
            default=handle.getDefaultValue(),
            locked=handle.getDefaultLocked(),
            dependent=bool(handle.isDependent(self.state) or handle.isPrescribed(self.state)),
        )

    def _couplings(self) -> dict[str, tuple[tuple[str, ...], Any]]:
        """Coordinate → those it follows and the function of them, where a coupler's is all there is to it."""
        constraints, out = self.model.getConstraintSet(), {}
        for i in range(constraints.getSize()):
            coupler = self.opensim.CoordinateCouplerConstraint.safeDownCast(constraints.get(i))
            if coupler is None:
                continue
            names = coupler.getIndependentCoordinateNames()
            masters = tuple(names.get(k) for k in range(names.getSize()))
            scale = coupler.getPropertyByName("scale_factor").toString()
            if float(scale) == 1.0 and coupler.get_isEnforced():
                out[coupler.getDependentCoordinateName()] = (masters, coupler.getFunction().clone())
        return out

    def pose(self, values: Mapping[str, float]) -> None:
        """Set some coordinates, the others to their defaults, coupled ones to what follows; realise positions."""
        at = {**self._default, **values}
        for name, (masters, function) in self.couplings.items():  # a hundred times faster than assembling
            at[name] = function.calcValue(self.opensim.Vector([at[m] for m in masters]))
        for name, handle in self._handles.items():
            handle.setValue(self.state, float(at[name]), False)
        if self._assembles:
            self.model.assemble(self.state)
        self.model.realizePosition(self.state)

    def body_pose(self, body: str) -> Pose:
        """Of a body (or ``ground``) in the ground, at the current pose."""
        if body == "ground":
            return np.eye(4)
        return pose_of(self.bodies[body].getTransformInGround(self.state))

    def value(self, coordinate: str) -> float:
        return self._handles[coordinate].getValue(self.state)

    def lengths_and_arms(
        self, muscles: Sequence[str], coordinates: Sequence[str], poses: Float[np.ndarray, "n coordinate"]
    ) -> tuple[Float[np.ndarray, "n muscle"], Float[np.ndarray, "n muscle coordinate"]]:
        """Muscle-tendon lengths [m] and OpenSim's own moment arms [m], coupled coordinates obeyed."""
        lengths = np.empty((len(poses), len(muscles)))
        arms = np.empty((len(poses), len(muscles), len(coordinates)))
        for i, row in enumerate(poses):
            self.pose(dict(zip(coordinates, row, strict=True)))
            for k, name in enumerate(muscles):
                lengths[i, k] = self.muscles[name].getLength(self.state)
                for c, coordinate in enumerate(coordinates):
                    arms[i, k, c] = self.muscles[name].computeMomentArm(self.state, self._handles[coordinate])
        return lengths, arms

    def crossed_by(self, muscles: Sequence[str], coordinates: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The coordinates that change each muscle's length, in order."""
        rng = np.random.default_rng(0)
        out: dict[str, set[str]] = {name: set() for name in muscles}
        boxes = {c: working_range(self.coordinates[c]) for c in coordinates}
        for _ in range(3):
            at = {c: rng.uniform(*boxes[c]) for c in coordinates}
            self.pose(at)
            before = [self.muscles[m].getLength(self.state) for m in muscles]
            for c in coordinates:
                self.pose({**at, c: at[c] + 0.02})
                for name, length in zip(muscles, before, strict=True):
                    if abs(self.muscles[name].getLength(self.state) - length) > 1e-9:
                        out[name].add(c)
        return {name: tuple(c for c in coordinates if c in crossed) for name, crossed in out.items()}


WORKING = (  # how a coordinate's name begins, and how far people go, degrees
    ("hip_flexion", -30.0, 120.0),
    ("hip_adduction", -40.0, 30.0),
    ("hip_rotation", -40.0, 40.0),
    ("ankle_angle", -45.0, 35.0),
    ("subtalar_angle", -25.0, 25.0),
    ("mtp_angle", -40.0, 40.0),
    ("lumbar_", -40.0, 40.0),
)
"""Ranges of motion rounded up from AAOS norms (*Joint Motion*, 1965); files often say ±90° or ±120° for all."""


def working_range(coordinate: Coordinate) -> tuple[float, float]:
    """Over which a coordinate's paths are fitted and its errors stated: the file's, where people can go [rad or m]."""
    low, high = coordinate.low, coordinate.high
    for begins, least, most in WORKING:
        if coordinate.rotational and coordinate.name.startswith(begins):
            inner = max(low, math.radians(least)), min(high, math.radians(most))
            low, high = inner if inner[0] < inner[1] else (low, high)
    return low, high


def pose_of(transform: Any) -> Pose:
    """A SimTK Transform as a matrix."""
    rotation, origin, out = transform.R(), transform.p(), np.eye(4)
    out[:3, :3] = [[rotation.get(i, j) for j in range(3)] for i in range(3)]
    out[:3, 3] = [origin.get(i) for i in range(3)]
    return out


def _reason(error: Exception) -> str:
    """The first line of what OpenSim's C++ throws that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Thrown at", "In ", "std::", "Exception"))]
    return in_one_line((told or lines or ["no reason given"])[0])
