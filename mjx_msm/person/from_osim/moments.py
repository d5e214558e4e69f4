"""Inverse dynamics of what is imported against OpenSim's own, without muscles, at random states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float
from numpy.polynomial import Polynomial

from mjx_msm.person.couplings import couplings
from mjx_msm.person.from_osim.opened import OpenedModel, working_range
from mjx_msm.person.from_osim.skeleton import Skeleton
from mjx_msm.person.from_osim.writing import set_coordinates, tree_spec

SPEED, ACCELERATION = 2.0, 10.0
"""Standard deviations of the states [rad/s, rad/s²; m/s, m/s² of what slides]."""
_SLIDES = 1.0  # [m], to either side


@dataclass(frozen=True)
class MomentError:
    """How far inverse dynamics about one coordinate is from OpenSim's."""

    coordinate: str
    error: float
    """RMS of the difference [N·m or N]."""
    size: float
    """RMS of OpenSim's [N·m or N]."""

    @property
    def relative(self) -> float:
        return self.error / self.size if self.size > 0 else 0.0


def moment_errors(opened: OpenedModel, skeleton: Skeleton, *, draws: int = 100) -> tuple[MomentError, ...]:
    """By coordinate, in order: positions over the working range, speeds and accelerations at random.

    **Arguments:** `opened`: the file at hand; its forces are switched off, so let it be one of its own.
    """
    theirs, ours = inverse_dynamics(opened, skeleton, draws=draws)
    error, size = (np.sqrt(np.mean(x**2, axis=0)) for x in (ours - theirs, theirs))
    return tuple(MomentError(*of) for of in zip(skeleton.coordinates, error.tolist(), size.tolist(), strict=True))


def inverse_dynamics(
    opened: OpenedModel, skeleton: Skeleton, *, draws: int
) -> tuple[Float[np.ndarray, "draw coordinate"], Float[np.ndarray, "draw coordinate"]]:
    """Generalised forces [N·m or N] of OpenSim and of plain MuJoCo, of the same states, coupled coordinates obeyed."""
    theirs, ours = _OpenSim(opened), _MuJoCo(opened, skeleton)
    rng, rows = np.random.default_rng(0), []
    for _ in range(draws):
        states = {}
        for name in skeleton.coordinates:
            box = opened.coordinates[name]
            place = rng.uniform(*(working_range(box) if box.rotational else (-_SLIDES, _SLIDES)))
            states[name] = place, *(rng.normal(size=2) * (SPEED, ACCELERATION))
        rows.append((theirs.forces(states), ours.forces(states)))
    one, two = np.array(rows).swapaxes(0, 1)
    return one, two


States = dict[str, tuple[float, float, float]]
"""Coordinate → place, speed, acceleration."""


class _OpenSim:
    def __init__(self, opened: OpenedModel) -> None:
        self.opened, self.model = opened, opened.model
        for i in range(self.model.getForceSet().getSize()):
            self.model.getForceSet().get(i).set_appliesForce(False)
        opened.state = self.model.initSystem()
        held = self.model.getCoordinateSet()
        self.handles = {held.get(i).getName(): held.get(i) for i in range(held.getSize())}
        self.place = {name: self._place(handle) for name, handle in self.handles.items()}

    def _place(self, handle: Any) -> int:
        """Of a coordinate in the solver's vectors, which have an order of their own."""
        s = self.opened.state
        before = s.getU().to_numpy().copy()
        handle.setSpeedValue(s, handle.getSpeedValue(s) + 1.0)
        place = int(np.argmax(np.abs(s.getU().to_numpy() - before)))
        handle.setSpeedValue(s, float(before[place]))
        return place

    def forces(self, states: States) -> list[float]:
        opensim, s = self.opened.opensim, self.opened.state
        self.opened.pose({c: q for c, (q, _, _) in states.items()})
        accelerations, onto = opensim.Vector(len(self.handles), 0.0), {c: {c: 1.0} for c in states}
        for c, (_, v, a) in states.items():
            self.handles[c].setSpeedValue(s, v)
            accelerations.set(self.place[c], a)
        for c, (masters, law) in self.opened.couplings.items():
            if len(masters) != 1 or masters[0] not in states:
                continue
            q, v, a = states[masters[0]]
            at = opensim.Vector([q])
            # Plain lists: a vector of opensim's own would spoil those of other wrapped libraries (ezc3d).
            slope, bend = (law.calcDerivative([0] * n, at) for n in (1, 2))
            self.handles[c].setSpeedValue(s, slope * v)
            accelerations.set(self.place[c], slope * a + bend * v**2)
            onto[masters[0]][c] = slope
        self.model.realizeVelocity(s)
        tau = opensim.InverseDynamicsSolver(self.model).solve(s, accelerations).to_numpy()
        return [sum(slope * tau[self.place[of]] for of, slope in onto[c].items()) for c in states]


class _MuJoCo:
    def __init__(self, opened: OpenedModel, skeleton: Skeleton) -> None:
        spec = tree_spec(opened, skeleton)
        for joint in spec.joints:
            joint.damping = [0, 0, 0]  # ours, of which the .osim has none
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)

    def forces(self, states: States) -> list[float]:
        m, d = self.model, self.data
        set_coordinates(m, d, {c: q for c, (q, _, _) in states.items()})
        onto = np.zeros((m.nv, len(states)))
        for k, (c, (_, v, a)) in enumerate(states.items()):
            dof = int(m.joint(c).dofadr[0])
            d.qvel[dof], d.qacc[dof], onto[dof, k] = v, a, 1.0
        for joint, law in couplings(m).items():  # what follows moves as its polynomial says
            if law.driver < 0:
                continue
            c, dof = m.joint(law.driver).name, m.jnt_dofadr[joint]
            q, v, a = states[c]
            slope, bend = (float(Polynomial(law.powers).deriv(n)(q)) for n in (1, 2))
            d.qvel[dof], d.qacc[dof] = slope * v, slope * a + bend * v**2
            onto[dof, list(states).index(c)] = slope
        mujoco.mj_inverse(m, d)
        return list(onto.T @ (d.qfrc_inverse + d.qfrc_constraint))
