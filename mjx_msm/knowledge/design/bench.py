"""Candidate trials: made up, simulated, kept within comfort, and weighed by what they tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.interpolate import BSpline

from mjx_msm.common.arguments import array
from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.knowledge.design.comfort import Comfort
from mjx_msm.knowledge.design.information import BATCH, check_noise, informations, thinned, variants, with_channels
from mjx_msm.knowledge.design.physics import moved, net_moment
from mjx_msm.knowledge.design.task import Task
from mjx_msm.person.inspection import coordinate_range
from mjx_msm.person.model import Model
from mjx_msm.person.payload import Grip, find_grip
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import Recording, mixing_matrix
from mjx_msm.recordings.trial import Trial

LEVELS = 256
"""Co-contractions tried in a posture in search of balanced ones."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A trial that might be performed."""

    posture: Float[np.ndarray, "coordinate"]
    effort: Float[np.ndarray, "knot channel"]
    """Spline coefficients of the logit of the excitation within its limits."""
    payload: int


@dataclass(frozen=True, eq=False)
class Run:
    """A candidate that was simulated and stays within comfort."""

    candidate: Candidate
    position: Float[np.ndarray, "time coordinate"]
    velocity: Float[np.ndarray, "time coordinate"]
    information: Float[np.ndarray, "free free"]


@dataclass(eq=False)
class Bench:
    """Simulates candidates and weighs what they tell."""

    base: Model
    space: ParameterSpace
    z: Any
    duration: float
    rate: float
    angle_noise: float
    payloads: tuple[float, ...]
    grip: Grip | None
    comfort: Comfort
    emg_map: Mapping[str, Mapping[str, float]] | None
    model: Model = field(init=False)
    spaces: list[ParameterSpace] = field(init=False)
    channels: tuple[str, ...] = field(init=False)
    mixing: Float[np.ndarray, "muscle channel"] = field(init=False)

    def __post_init__(self) -> None:
        h = self.base.timestep
        check_noise(self.angle_noise)
        self.stride = round(1 / (self.rate * h)) if self.rate > 0 else 0
        if self.stride < 1 or abs(self.stride * self.rate * h - 1) > 1e-9:
            near = 1 / (h * max(self.stride, 1))
            raise InputError(
                f"rate {self.rate:g} Hz does not divide the model's clock of {1 / h:g} Hz; choose e.g. {near:g}"
            )
        self.samples = int(round(self.duration * self.rate, 6))
        if self.samples < 20:
            raise InputError(
                f"duration {self.duration:g} s is {self.samples} samples at {self.rate:g} Hz; at least 20 are needed"
            )
        if not self.payloads or not all(0 <= m < np.inf for m in self.payloads):
            raise InputError(f"payloads {self.payloads} must be masses of 0 kg or more, e.g. (0, 1, 2)")
        mapping = self.emg_map or {m: {m: 1.0} for m in self.base.muscles}
        named = tuple(dict.fromkeys(c for shares in mapping.values() for c in shares))
        self.channels = self.space.nominal.names.emg or named
        self.mixing = mixing_matrix(self.base, self.channels, mapping)
        z = self.space.prior_mean if self.z is None else self.z
        self.z = array("z", z, (self.space.size,), "one entry an unknown")
        if any(self.payloads) and self.grip is None:
            self.grip = find_grip(self.base)
        self.model, spaces = variants(self.base, self.space, self.payloads, self.grip)
        self.spaces = [with_channels(spaces[m], self.channels) for m in self.payloads]
        self.recorded = h * self.stride * np.arange(self.samples + 1)
        self.clock = h * np.arange(self.samples * self.stride + 1)
        count = max(2, round(2 * self.comfort.band * self.duration))
        knots = np.concatenate([np.zeros(3), np.linspace(0, 1, count + 1), np.ones(3)])
        self.basis = BSpline.design_matrix(self.recorded / self.recorded[-1], knots, 3).toarray()

    @cached_property
    def ranges(self) -> Float[np.ndarray, "coordinate 2"]:
        """Where coordinates may be [rad or m]: their range without the margin; infinite without stops."""
        ranges = np.array([coordinate_range(self.base, c) for c in self.base.coordinates])
        gap = np.where(np.isfinite(ranges).all(axis=1), self.comfort.margin * np.ptp(ranges, axis=1), 0.0)
        return ranges + gap[:, None] * [1, -1]

    @cached_property
    def postures(self) -> Float[np.ndarray, "coordinate 2"]:
        """Where a trial may start: a bit further inside."""
        middle = self.base.host.reference[:, None] + [-0.5, 0.5]
        out = np.where(np.isfinite(self.ranges).all(axis=1, keepdims=True), self.ranges, middle)
        out = out + 0.05 * np.ptp(out, axis=1)[:, None] * [1, -1]
        for name, value in self.base.host.locked.items():
            out[self.base.coordinates.index(name)] = value
        return out

    def excitation(self, effort: Float[np.ndarray, "knot channel"]) -> Float[np.ndarray, "time channel"]:
        """On the recording's clock."""
        low, high = self.comfort.excitation
        return low + (high - low) / (1 + np.exp(-(self.basis @ effort)))

    def eased(self, effort: Float[np.ndarray, "knot channel"]) -> Float[np.ndarray, "knot channel"]:
        """The same about its mean, flattened until no excitation changes faster than it may."""
        effort = np.clip(effort, -6, 6)
        centre = effort.mean(axis=0)
        for _ in range(60):
            steepest = np.abs(np.diff(self.excitation(effort), axis=0)).max(axis=0) * self.rate
            over = np.maximum(steepest / self.comfort.slope, 1.0)
            if np.all(over <= 1.0):
                break
            effort = centre + (effort - centre) / np.maximum(over, 1.0 + 1e-3 * (over > 1.0))
        return effort

    def random(self, rng: np.random.Generator, level: float) -> list[Candidate]:
        """A batch of co-contractions that nearly balance, in as many postures, with smooth deviations."""
        low, high = self.comfort.excitation
        payload = rng.integers(len(self.payloads), size=BATCH)
        posture = rng.uniform(self.postures[:, 0], self.postures[:, 1], (BATCH, len(self.postures)))
        floor = max(low, 0.02)
        levels = np.exp(rng.uniform(np.log(floor), np.log(0.9 * high), (BATCH, LEVELS, len(self.channels))))
        unrest = np.zeros((BATCH, LEVELS))
        with float64():
            for k, space in enumerate(self.spaces):
                moment = np.asarray(net_moment(self.model, space.unpack(self.z), self.mixing, posture, levels))
                unrest[payload == k] = np.sum(moment**2, axis=2)[payload == k]
        out = []
        for i in range(BATCH):
            centre = levels[i, rng.choice(np.argsort(unrest[i])[:4])]
            share = (centre - low) / (high - low)
            wave = rng.standard_normal((self.basis.shape[1], len(self.channels)))
            effort = np.log(share / (1 - share)) + level * rng.uniform(0.3, 1.5) * wave
            out.append(Candidate(posture[i], self.eased(effort), int(payload[i])))
        return out

    def mutated(self, c: Candidate, step: float, rng: np.random.Generator) -> Candidate:
        """A neighbour."""
        effort, posture, payload = c.effort.copy(), c.posture.copy(), c.payload
        kind = rng.choice(["all", "channel", "time", "posture"], p=[0.4, 0.25, 0.2, 0.15])
        if kind == "all":
            effort += step * rng.standard_normal(effort.shape)
        elif kind == "channel":
            effort[:, rng.integers(effort.shape[1])] += 2.5 * step * rng.standard_normal(len(effort))
        elif kind == "time":
            effort[rng.integers(len(effort))] += 3 * step * rng.standard_normal(effort.shape[1])
        if kind == "posture" or rng.random() < 0.3:
            posture += 0.3 * step * np.ptp(self.postures, axis=1) * rng.standard_normal(len(posture))
            posture = np.clip(posture, *self.postures.T)
        if len(self.payloads) > 1 and rng.random() < 0.1:
            payload = int(rng.integers(len(self.payloads)))
        return Candidate(posture, self.eased(effort), payload)

    def perform(self, candidates: Sequence[Candidate]) -> list[Run]:
        """Simulate candidates; those within comfort, with their information."""
        runs = []
        for payload, space in enumerate(self.spaces):
            mine = [c for c in candidates if c.payload == payload]
            for first in range(0, len(mine), BATCH):
                runs += self._batch(mine[first : first + BATCH], space)
        return runs

    def _batch(self, candidates: list[Candidate], space: ParameterSpace) -> list[Run]:
        drive = [self.excitation(c.effort) for c in candidates]
        envelope = np.stack([[np.interp(self.clock, self.recorded, u) for u in d.T] for d in drive]).swapaxes(1, 2)
        posture = np.array([c.posture for c in candidates])
        with float64():
            motion = moved(self.model, space.unpack(self.z), _full(envelope), self.mixing, _full(posture))
            q, v, failed = (np.asarray(x)[: len(candidates)] for x in motion)
        fine = [i for i in range(len(candidates)) if failed[i] < 0 and self.comfortable(q[i], v[i])]
        if not fine:
            return []
        recordings = [self._recording(envelope[i], q[i], v[i]) for i in fine]
        matrices = informations(self.model, space, recordings, self.z, self.angle_noise)
        return [Run(candidates[i], q[i], v[i], f) for i, f in zip(fine, matrices, strict=True)]

    def comfortable(self, q: Float[np.ndarray, "time coordinate"], v: Float[np.ndarray, "time coordinate"]) -> bool:
        """Off the stops and not too fast."""
        free = self.base.host.free_index
        low, high = self.ranges[free].T
        inside = (q[:, free] >= low).all() and (q[:, free] <= high).all()
        return bool(inside and (np.abs(v[:, free]) <= self.comfort.speed).all())

    def _recording(self, envelope: np.ndarray, q: np.ndarray, v: np.ndarray) -> Recording:
        """The simulated motion as it will be recorded: the exact state, and weight where there will be a sample."""
        free = self.base.host.free_index
        nothing = np.zeros((len(q), len(free)))
        recording = Recording(
            envelope=envelope, mixing=self.mixing, position=q[:, free], weight=np.ones_like(nothing),
            smooth_position=q, smooth_velocity=v, smooth_acceleration=np.zeros_like(q),
            moment=nothing, moment_weight=nothing, known=np.ones(len(q), dtype=bool),
            complete=np.ones(len(q), dtype=bool), clock=np.arange(0, len(q), self.stride), name="candidate", start=0.0,
        )  # fmt: skip
        return thinned(recording, self.stride)

    def trial(self, name: str, run: Run) -> Trial:
        """On the recording's clock; excitations between its samples are linear, which is how they are read."""
        used = [c for c in range(len(self.base.coordinates)) if self.base.coordinates[c] not in self.base.host.locked]
        mass = self.payloads[run.candidate.payload]
        return Trial(
            name=name,
            time=self.recorded,
            coordinates=tuple(self.base.coordinates[c] for c in used),
            position=run.position[:: self.stride, used],
            velocity=run.velocity[:: self.stride, used],
            channels=self.channels,
            emg=self.excitation(run.candidate.effort),
            metadata={"designed": True, **({"payload": mass} if mass else {})},
        )

    def task(self, trial: Trial, run: Run) -> Task:
        return Task(
            name=trial.name,
            posture={c: float(x) for c, x in zip(trial.coordinates, trial.position[0], strict=True)},
            payload=float(self.payloads[run.candidate.payload]),
            channels=self.channels,
            time=trial.time,
            excitation=trial.emg,
        )


def _full(array: np.ndarray) -> np.ndarray:
    """The last entry repeated up to a batch."""
    return np.concatenate([array, np.repeat(array[-1:], BATCH - len(array), axis=0)])
