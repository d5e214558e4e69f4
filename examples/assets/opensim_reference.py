"""Muscle-tendon lengths and moment arms of an OpenSim model, sampled through the ``opensim`` wheel.

The oracle that our MJCF assets are fitted to and tested against. Coupled coordinates (the patella of a
Rajagopal-type knee) are carried along: every pose is assembled, so a length is the length *on* the constraint
manifold and ``moment_arms`` may be checked against ``-dL/dq`` of ``lengths``.

As a script it writes one CSV, e.g.::

    python examples/assets/opensim_reference.py MODEL.osim --muscles bflh_r recfem_r \
        --grid knee_angle_r=0:100:5 --grid hip_flexion_r=-20:60:10 --out reference.csv
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import opensim


@dataclass(frozen=True)
class MuscleConstants:
    """Force and length constants of one muscle as the .osim states them (N, m, m, rad, 1/s)."""

    max_isometric_force: float
    optimal_fiber_length: float
    tendon_slack_length: float
    pennation_angle: float
    max_contraction_velocity: float


class OpenSimReference:
    """An OpenSim model held at hand for sampling; coordinates are in radians (or metres), all others 0.

    Args:
        path: the .osim file.
        zero: set every coordinate's default to 0 before sampling (the model's own defaults otherwise).
    """

    def __init__(self, path: str | Path, zero: bool = True) -> None:
        opensim.Logger.setLevelString("Error")
        self.model = opensim.Model(str(path))
        coordinates = self.model.updCoordinateSet()
        self._coordinates = {}
        for i in range(coordinates.getSize()):
            coordinate = coordinates.get(i)
            coordinate.set_clamped(False)  # sample past the range without silent clipping
            coordinate.set_locked(False)
            if zero and coordinate.getMotionType() == opensim.Coordinate.Rotational:
                coordinate.setDefaultValue(0.0)
            self._coordinates[coordinate.getName()] = coordinate
        self.state = self.model.initSystem()

    @property
    def coordinate_names(self) -> list[str]:
        return list(self._coordinates)

    @property
    def muscle_names(self) -> list[str]:
        muscles = self.model.getMuscles()
        return [muscles.get(i).getName() for i in range(muscles.getSize())]

    def _coordinate(self, name: str):
        if name not in self._coordinates:
            raise KeyError(f"no coordinate {name!r}; the model has {', '.join(self._coordinates)}")
        return self._coordinates[name]

    def _muscle(self, name: str):
        if name not in self.muscle_names:
            raise KeyError(f"no muscle {name!r}; the model has {', '.join(self.muscle_names)}")
        return self.model.getMuscles().get(name)

    def pose(self, values: Mapping[str, float]) -> None:
        """Set the named coordinates, assemble the coupled ones, realise positions."""
        for name, value in values.items():
            self._coordinate(name).setValue(self.state, float(value), False)
        self.model.assemble(self.state)
        for name, value in values.items():  # assembly must not have moved what was asked for
            if abs(self._coordinate(name).getValue(self.state) - value) > 1e-5:
                raise ValueError(f"coordinate {name!r} cannot be set to {value}: it is coupled to another")
        self.model.realizePosition(self.state)

    @staticmethod
    def _rows(coordinates: Mapping[str, Iterable[float]]) -> list[dict[str, float]]:
        columns = np.broadcast_arrays(*[np.atleast_1d(np.asarray(c, float)) for c in coordinates.values()])
        return [dict(zip(coordinates, map(float, row), strict=True)) for row in zip(*columns, strict=True)]

    def lengths(self, muscles: Sequence[str], coordinates: Mapping[str, Iterable[float]]) -> np.ndarray:
        """Muscle-tendon lengths [m], (n, len(muscles)), over n poses (one array or number a coordinate)."""
        paths = [self._muscle(name).getGeometryPath() for name in muscles]
        rows = self._rows(coordinates)
        out = np.empty((len(rows), len(paths)))
        for i, row in enumerate(rows):
            self.pose(row)
            out[i] = [path.getLength(self.state) for path in paths]
        return out

    def moment_arms(
        self,
        muscles: Sequence[str],
        coordinates: Mapping[str, Iterable[float]],
        wrt: str,
        step: float | None = 1e-4,
    ) -> np.ndarray:
        """Moment arms about coordinate ``wrt`` [m], (n, len(muscles)): ``r = -dL/dq`` with couplings obeyed.

        ``step`` [rad] is that of the central difference; ``None`` asks OpenSim's own ``computeMomentArm``.
        """
        rows = self._rows(coordinates)
        if step is None:
            handles = [self._muscle(name) for name in muscles]
            out = np.empty((len(rows), len(handles)))
            for i, row in enumerate(rows):
                self.pose({wrt: 0.0, **row})
                out[i] = [h.computeMomentArm(self.state, self._coordinate(wrt)) for h in handles]
            return out
        shifted = []
        for sign in (1.0, -1.0):
            moved = [{**row, wrt: row.get(wrt, 0.0) + sign * step} for row in rows]
            shifted.append(self.lengths(muscles, {k: [row[k] for row in moved] for k in moved[0]}))
        return -(shifted[0] - shifted[1]) / (2.0 * step)

    def constants(self, muscle: str) -> MuscleConstants:
        m = self._muscle(muscle)
        return MuscleConstants(
            m.get_max_isometric_force(),
            m.get_optimal_fiber_length(),
            m.get_tendon_slack_length(),
            m.get_pennation_angle_at_optimal(),
            m.get_max_contraction_velocity(),
        )

    def body(self, name: str) -> tuple[float, np.ndarray, np.ndarray]:
        """Mass [kg], centre of mass [m] (3,) in the body frame, inertia [kg m^2] (3, 3) about that centre."""
        body = self.model.getBodySet().get(name)
        moments, products = body.getInertia().getMoments(), body.getInertia().getProducts()
        xx, yy, zz = (moments.get(i) for i in range(3))
        xy, xz, yz = (products.get(i) for i in range(3))
        com = np.array([body.getMassCenter().get(i) for i in range(3)])
        return body.getMass(), com, np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])

    def frame(self, body: str, relative_to: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Rotation (3, 3) and origin (3,) of a body in ground, or in another body, at the current pose."""

        def transform(name: str) -> tuple[np.ndarray, np.ndarray]:
            x = self.model.getBodySet().get(name).getTransformInGround(self.state)
            rotation, origin = x.R(), x.p()
            return (
                np.array([[rotation.get(i, j) for j in range(3)] for i in range(3)]),
                np.array([origin.get(i) for i in range(3)]),
            )

        rotation, origin = transform(body)
        if relative_to is None:
            return rotation, origin
        rotation0, origin0 = transform(relative_to)
        return rotation0.T @ rotation, rotation0.T @ (origin - origin0)

    def path_points(self, muscle: str) -> list[tuple[str, np.ndarray]]:
        """(body name, location [m] in that body) of each path point, at the current pose."""
        points = self._muscle(muscle).getGeometryPath().getPathPointSet()
        out = []
        for i in range(points.getSize()):
            point = points.get(i)
            location = point.getLocation(self.state).to_numpy().copy()  # a reference into `point` otherwise
            out.append((point.getBody().getName(), location))
        return out


def grid(axes: Mapping[str, Iterable[float]]) -> dict[str, np.ndarray]:
    """Full factorial grid: one flat array of equal length for each coordinate."""
    product = np.array(list(itertools.product(*axes.values())), float)
    return {name: product[:, i] for i, name in enumerate(axes)}


def _axis(text: str) -> tuple[str, np.ndarray]:
    try:
        name, numbers = text.split("=")
        low, high, step = (float(x) for x in numbers.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=low:high:step (degrees)") from None
    return name, np.radians(np.arange(low, high + 0.5 * step, step))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="sample lengths and moment arms of an .osim over a grid")
    parser.add_argument("model", type=Path)
    parser.add_argument("--muscles", nargs="+", required=True)
    parser.add_argument("--grid", type=_axis, action="append", required=True, metavar="NAME=low:high:step")
    parser.add_argument("--out", type=Path, help="CSV file; standard output if left out")
    args = parser.parse_args(argv)
    axes = dict(args.grid)
    poses = grid(axes)
    reference = OpenSimReference(args.model)
    lengths = reference.lengths(args.muscles, poses)
    arms = {name: reference.moment_arms(args.muscles, poses, wrt=name) for name in axes}
    stream = args.out.open("w", newline="") if args.out else sys.stdout
    writer = csv.writer(stream)
    header = [f"length/{m}" for m in args.muscles]
    header += [f"moment_arm/{name}/{m}" for name in axes for m in args.muscles]
    writer.writerow([*axes, *header])
    for i in range(len(lengths)):
        row = [poses[name][i] for name in axes] + list(lengths[i])
        row += [x for name in axes for x in arms[name][i]]
        writer.writerow([f"{x:.7g}" for x in row])
    if args.out:
        stream.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
