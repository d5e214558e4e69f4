"""Baselines of the knee exoskeleton's motor."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from jaxtyping import Float

from mjx_msm.envs.controllers.baseline import Baseline
from mjx_msm.envs.engines.c_engine import CEngine
from mjx_msm.envs.engines.world import World
from mjx_msm.envs.human.leg import JOINTS
from mjx_msm.envs.tasks.knee_exo import PREVIEW, KneeExo


class KneeTorque(Baseline):
    """A torque of the exoskeleton's motor."""

    def __init__(self, task: KneeExo):
        super().__init__(task)
        self._limit = task.exoskeleton.torque_limit

    @abstractmethod
    def torque(self, observation: Float[np.ndarray, "observation"]) -> float:
        """What is asked of the motor [N·m], positive in flexion."""

    def __call__(self, observation: Float[np.ndarray, "observation"]) -> Float[np.ndarray, "action"]:
        return self._action([self.torque(observation) / self._limit])


class EmgProportional(KneeTorque):
    """A part of the moment that the person's muscles seem to want, from their EMG.

    τ = gain · Σ u F(l, v) r(q) with u the excitation, F the tension of the nominal muscle at full activation and r its
    moment arm about the knee, at the sensed angles.
    """

    def __init__(self, task: KneeExo, gain: float = 0.5):
        super().__init__(task)
        self.gain = gain
        self._leg = CEngine(World.of(task.people.spec, JOINTS))
        self._angles = self._channels("hip_angle", "knee_angle", "ankle_angle")
        self._speed = self._channels("knee_velocity")
        self._emg = self._channels(*(f"emg_{name}" for name in task.world.muscles))

    def torque(self, observation: Float[np.ndarray, "observation"]) -> float:
        emg = observation[self._emg].astype(float)
        velocity = np.zeros(3)
        velocity[1] = observation[self._speed[0]]  # hip's and ankle's are not sensed
        self._leg.start(observation[self._angles].astype(float), velocity, emg, np.zeros(0))
        known = self._leg.dynamics()
        return self.gain * float((emg * known.capacity) @ known.moment_arm[:, 1])


class GravityCompensation(KneeTorque):
    """Bears a part of the weight of shank, foot, load and of its own link about the knee.

    A small part by default: the passive tissue of a seated leg already extends the knee, and more help drives it off.
    """

    def __init__(self, task: KneeExo, share: float = 0.3):
        super().__init__(task)
        self.share = share
        self._worn, self._coupling = CEngine(task.world), task.coupling
        self._knees = task.world.among(("knee_angle", "exo_knee"))
        self._angles = self._channels("hip_angle", "exo_knee_angle", "ankle_angle")
        self._none = np.zeros(len(task.world.muscles)), np.zeros(1)

    def torque(self, observation: Float[np.ndarray, "observation"]) -> float:
        place, still = self._coupling.aligned(np, observation[self._angles].astype(float), np.zeros(3))
        self._worn.start(place, still, *self._none)
        return self.share * float(self._worn.dynamics().bias[self._knees].sum())


class TrackingTorque(KneeTorque):
    """A spring and a damper from the person's knee to where it should be a moment ahead.

    τ = k (q* + q̇* t − q) + d (q̇* − q̇), with a lead t for what motor and straps are late; a longer one flexes a walking
    knee before its time. The gains are stable with senses 40 ms and commands 20 ms late; a stiffness of 60 N·m/rad is
    not.
    """

    def __init__(self, task: KneeExo, stiffness: float = 40.0, damping: float = 4.0, lead: float = 0.02):
        super().__init__(task)
        self.stiffness, self.damping, self.lead = stiffness, damping, lead
        self._knee = self._channels("knee_angle", "knee_velocity")
        self._ahead = self._channels(*(f"reference_{1000 * ahead:.0f}ms" for ahead in PREVIEW[:2]))

    def torque(self, observation: Float[np.ndarray, "observation"]) -> float:
        (angle, speed), (now, soon) = observation[self._knee], observation[self._ahead]
        wanted = (soon - now) / (PREVIEW[1] - PREVIEW[0])
        return float(self.stiffness * (now + self.lead * wanted - angle) + self.damping * (wanted - speed))
