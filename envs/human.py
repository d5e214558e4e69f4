"""What drives the human half: the motion of hip and ankle, the knee angle that is wanted, and muscle excitation.

A `Human` plans one episode at a time. Two are here: `Recorded` replays a person's recording, `Seated` generates the
knee extensions of someone on a bench. A controller that looks at the state is another class with the same method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.envs.exoskeleton import JOINTS
from mjx_msm.errors import InputError

EXCITATION_FILE = "excitation.csv"
KNEE_INDEX = JOINTS.index("knee_angle")
CROSSES = 1e-3  # m, the least moment arm of a muscle that acts on a joint


@dataclass(frozen=True)
class Episode:
    """What one episode asks of the person, on the clock of the model's timestep."""

    position: Float[np.ndarray, "sample joint"]
    """Hip, knee and ankle at every sample [rad]: hip and ankle follow it, the knee is meant to."""
    excite: Callable[[int, mujoco.MjData], Float[np.ndarray, "muscle"]]
    """Excitation of every muscle during step k, 0..1; it may look at the state."""
    periodic: bool
    """Whether the last sample is the first one again; otherwise the episode ends with it."""

    @property
    def steps(self) -> int | None:
        """How many steps there are; None: it never ends."""
        return None if self.periodic else len(self.position) - 1

    def at(self, step: int) -> Float[np.ndarray, "joint"]:
        """Hip, knee and ankle at a sample [rad]; after the end, the last one."""
        last = len(self.position) - 1
        return self.position[step % last if self.periodic else min(step, last)]


class Human(Protocol):
    """The human half of an environment, as a value: the same arguments give the same episode."""

    def place(self, leg: mujoco.MjSpec) -> None:
        """Put the person and what they sit or stand on in place, before anything is compiled."""
        ...

    def episode(self, leg: mujoco.MjModel, rng: np.random.Generator) -> Episode:
        """Plan an episode for this person's leg (without the exoskeleton), drawing what varies from `rng`."""
        ...


def rows(excitation: Float[np.ndarray, "step muscle"], periodic: bool) -> Callable[..., Float[np.ndarray, "muscle"]]:
    """An `Episode.excite` that reads a table."""
    count = len(excitation)
    if periodic:
        return lambda step, data: excitation[step % count]
    return lambda step, data: excitation[min(step, count - 1)]


@dataclass(frozen=True)
class Recorded:
    """Replays a recording: excitation of every muscle, hip and ankle as measured, the measured knee as reference."""

    time: Float[np.ndarray, "time"]
    """[s]."""
    muscles: tuple[str, ...]
    excitation: Float[np.ndarray, "time muscle"]
    """0..1."""
    position: Float[np.ndarray, "time joint"]
    """Hip, knee and ankle [rad]."""
    strength: float = 1.0
    """Part of the recorded excitation that the person still gives."""
    source: str = "recording"

    def __post_init__(self) -> None:
        _check_strength(self.strength)
        n = len(self.time)
        if n < 2 or np.any(np.diff(self.time) <= 0):
            raise InputError(f"{self.source}: its time has to increase over two samples at least; write it again")
        for what, values, names in (("excitation", self.excitation, self.muscles), ("position", self.position, JOINTS)):
            if values.shape != (n, len(names)):
                raise InputError(f"{self.source}: {what} has shape {values.shape}, expected {(n, len(names))}")
            bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
            if len(bad):
                raise InputError(f"{self.source}: {what} at {self.time[bad[0]]:g} s is not finite; fill or cut the gap")

    def place(self, leg: mujoco.MjSpec) -> None:
        """As the model is."""

    def episode(self, leg: mujoco.MjModel, rng: np.random.Generator) -> Episode:
        """The recording on the model's clock. Nothing varies from one episode to the next."""
        from scipy.interpolate import CubicSpline

        names = [leg.actuator(i).name for i in range(leg.nu)]
        missing = [name for name in names if name not in self.muscles]
        if missing:
            raise InputError(f"{self.source}: no excitation of {', '.join(missing)}; add the column or identify again")
        h = leg.opt.timestep
        steps = int((self.time[-1] - self.time[0]) / h + 1e-6)
        clock = self.time[0] + h * np.arange(max(steps, 1) + 1)
        clock = np.minimum(clock, self.time[-1])
        columns = [self.muscles.index(name) for name in names]
        excitation = np.stack([np.interp(clock[:-1], self.time, self.excitation[:, c]) for c in columns], axis=-1)
        position = CubicSpline(self.time, self.position)(clock)
        return Episode(position, rows(np.clip(self.strength * excitation, 0.0, 1.0), False), False)

    @staticmethod
    def read(path: str | Path, strength: float = 1.0) -> Recorded:
        """Read the ``excitation.csv`` of a result folder.

        Columns ``time`` [s], ``excitation/<muscle>`` 0..1, and ``position/<coordinate>`` [rad] of hip_flexion,
        knee_angle and ankle_angle. Rows before the first and after the last complete position are left out.

        **Raises:** `InputError` naming file and column.
        """
        from mjx_msm.readers import read_csv

        table = read_csv(path)
        groups: dict[str, dict[str, int]] = {"excitation": {}, "position": {}}
        for i, column in enumerate(table.columns):
            group, _, name = column.partition("/")
            if group in groups and name:
                groups[group][name] = i
        missing = [f"position/{name}" for name in JOINTS if name not in groups["position"]]
        if not groups["excitation"]:
            missing.append("excitation/<muscle>")
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}; let `mjx-msm identify` write it again")
        position = table.values[:, [groups["position"][name] for name in JOINTS]]
        complete = np.flatnonzero(np.isfinite(position).all(axis=1))
        if len(complete) < 2:
            raise InputError(f"{path}: hip, knee and ankle are nowhere recorded together; record all three")
        part = slice(complete[0], complete[-1] + 1)
        return Recorded(
            time=table.time[part],
            muscles=tuple(groups["excitation"]),
            excitation=table.values[part][:, list(groups["excitation"].values())],
            position=position[part],
            strength=strength,
            source=str(path),
        )


@dataclass(frozen=True)
class Seated:
    """Someone leaning back on a bench who extends the knee over and over, as the generated task.

    The knee's reference is rest − amplitude·(1 − cos 2πft)/2, with amplitude, frequency and rest drawn at every
    episode. The muscles get the excitation that would do it without the exoskeleton, from inverse dynamics: of the
    knee's extensors or flexors, each group with one common activation, whichever the moment asks for (muscle force is
    affine in activation, so that is one division), on top of a little co-contraction. `strength` of it arrives.
    """

    strength: float = 0.6
    hip: float = 0.60
    """Flexion [rad]; beyond this, the model's passive hamstrings keep the knee from extending."""
    recline: float = 0.90
    """How far the pelvis is tipped back from standing [rad]; with `hip` it makes the thigh nearly level."""
    ankle: float = 0.0
    """[rad]."""
    rest: tuple[float, float] = (1.30, 1.55)
    """Range the resting knee angle is drawn from [rad]."""
    amplitude: tuple[float, float] = (0.6, 1.1)
    """Range of the extension [rad]."""
    frequency: tuple[float, float] = (0.2, 0.5)
    """Range [Hz]."""
    cocontraction: float = 0.02

    def __post_init__(self) -> None:
        _check_strength(self.strength)

    def place(self, leg: mujoco.MjSpec) -> None:
        """Tip the pelvis back, and draw a bench under it."""
        hip = leg.body("femur")
        pelvis = hip.parent
        centre = np.array(pelvis.pos) + np.array(hip.pos)  # the knee model's pelvis stands upright in the world
        turn, tipped = np.array((np.cos(self.recline / 2), 0.0, -np.sin(self.recline / 2), 0.0)), np.zeros(4)
        mujoco.mju_mulQuat(tipped, turn, np.array(pelvis.quat))
        pelvis.quat = tipped
        offset = np.zeros(3)
        mujoco.mju_rotVecQuat(offset, np.array(hip.pos), tipped)
        pelvis.pos = centre - offset  # about the hip, which stays where it was
        x, z = centre[0] - 0.13, centre[2] - 0.115
        look: dict[str, Any] = {"contype": 0, "conaffinity": 0, "mass": 0, "group": 1, "rgba": [0.62, 0.64, 0.68, 1]}
        box, capsule = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CAPSULE
        leg.worldbody.add_geom(name="bench", type=box, pos=[x, 0, z - 0.025], size=[0.21, 0.24, 0.025], **look)
        for i, (dx, y) in enumerate(((-0.16, -0.19), (-0.16, 0.19), (0.16, -0.19), (0.16, 0.19))):
            ends = [x + dx, y, 0.0, x + dx, y, z - 0.05]
            leg.worldbody.add_geom(name=f"bench_leg{i}", type=capsule, fromto=ends, size=[0.015, 0, 0], **look)

    def episode(self, leg: mujoco.MjModel, rng: np.random.Generator) -> Episode:
        """One period; it repeats."""
        rest, amplitude, frequency = (rng.uniform(*limits) for limits in (self.rest, self.amplitude, self.frequency))
        h = leg.opt.timestep
        count = round(1.0 / (frequency * h))
        omega = 2.0 * np.pi / (count * h)
        phase = omega * h * np.arange(count + 1)
        position = np.empty((count + 1, len(JOINTS)))
        position[:] = self.hip, 0.0, self.ankle
        position[:, KNEE_INDEX] = rest - 0.5 * amplitude * (1.0 - np.cos(phase))
        velocity = -0.5 * amplitude * omega * np.sin(phase)
        acceleration = -0.5 * amplitude * omega**2 * np.cos(phase)
        coarse = np.unique(np.linspace(0, count, max(2, round(count * h * 50.0))).astype(int))
        activation = self._activation(leg, position[coarse], velocity[coarse], acceleration[coarse])
        full = np.stack([np.interp(np.arange(count), coarse, a) for a in activation.T], axis=-1)
        # Activation lags excitation by its time constants; someone who knows the motion is ahead by as much.
        excitation = np.roll(full, -round(0.03 / h), axis=0)
        return Episode(position, rows(np.clip(self.strength * excitation, 0.0, 1.0), True), True)

    def _activation(
        self,
        leg: mujoco.MjModel,
        position: Float[np.ndarray, "sample joint"],
        velocity: Float[np.ndarray, "sample"],
        acceleration: Float[np.ndarray, "sample"],
    ) -> Float[np.ndarray, "sample muscle"]:
        """Activation of every muscle that makes the knee move so."""
        data = mujoco.MjData(leg)
        moment = np.zeros((leg.nu, leg.nv))
        result = np.full((len(position), leg.nu), self.cocontraction)
        for k, q in enumerate(position):
            data.qpos[:] = q
            data.qvel[KNEE_INDEX] = velocity[k]
            data.qacc[:] = 0.0
            data.qacc[KNEE_INDEX] = acceleration[k]
            mujoco.mj_inverse(leg, data)  # M q̈ + bias − passive, muscles not included
            wanted = data.qfrc_inverse[KNEE_INDEX]
            mujoco.mju_sparse2dense(
                moment, data.actuator_moment, data.moment_rownnz, data.moment_rowadr, data.moment_colind
            )
            data.act[:] = self.cocontraction
            mujoco.mj_fwdActuation(leg, data)
            idle = data.qfrc_actuator[KNEE_INDEX]
            along = moment[:, KNEE_INDEX]  # > 0: the path lengthens as the knee bends, so pulling extends it
            group = along > CROSSES if wanted < idle else along < -CROSSES
            data.act[group] = 1.0
            mujoco.mj_fwdActuation(leg, data)
            full = data.qfrc_actuator[KNEE_INDEX]
            if abs(full - idle) > 1e-9:
                share = (wanted - idle) / (full - idle)
                result[k, group] += (1.0 - self.cocontraction) * min(max(share, 0.0), 1.0)
        return result


def _check_strength(strength: float) -> None:
    if not 0 <= strength <= 2:
        raise InputError(f"strength {strength!r}: give the part of the needed excitation that arrives, 0 to 2")
