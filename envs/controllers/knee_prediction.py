"""A knee exoskeleton that acts on what the person's muscles are about to do: ahead of time, to arrive in time.

Between a muscle's excitation and its help lie a sensor's delay, a control period, a command's delay and the motor's
lag. An EMG-driven model of the person, run on from now, says what moment and angle there will be then, and that is what
help is made for (Kuo et al. 2022, Biosensors 12:312, doi 10.3390/bios12050312).
"""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.arguments import number
from mjx_msm.common.errors import InputError
from mjx_msm.envs.controllers.knee_exo import KneeTorque
from mjx_msm.envs.engines.c_engine import CEngine
from mjx_msm.envs.engines.world import World
from mjx_msm.envs.human.leg import ANKLE, HIP, JOINTS, KNEE
from mjx_msm.envs.tasks.knee_exo import KneeExo

LONGEST = 0.3
"""That it looks ahead [s]; beyond it little of a motion is left to be known."""


class Helping(KneeTorque):
    """A part of the moment that the muscles will have when the help arrives, and the weight of the device there.

    τ = share · τ̂ + w(q̂), with τ̂ the moment of the muscles' contraction about the knee, q̂ the angles of hip, knee and
    ankle, and w what the exoskeleton's own shank weighs about its knee. Where τ̂ and q̂ come from is left open.
    """

    def __init__(self, task: KneeExo, share: float):
        super().__init__(task)
        self.share = share
        self._worn, self._coupling = CEngine(task.world), task.coupling
        self._exo = task.world.coordinate("exo_knee")
        self._relaxed, self._none = np.zeros(len(task.world.muscles)), np.zeros(1)

    @abstractmethod
    def coming(self, seen: Float[np.ndarray, "observation"]) -> tuple[float, Float[np.ndarray, "3"]]:
        """τ̂ [N·m] and q̂ [rad]."""

    def torque(self, observation: Float[np.ndarray, "observation"]) -> float:
        moment, place = self.coming(observation.astype(float))
        self._worn.start(*self._coupling.aligned(np, place, np.zeros(3)), self._relaxed, self._none)
        return self.share * moment + float(self._worn.dynamics().bias[self._exo])


class Predictive(Helping):
    """Helps with what `mjx_msm.Predictor` says of the nominal person, from EMG and sensed angles, `horizon` ahead.

    The predictor's moment has that of passive tissue in it, which the person has in any case: it is taken off.

    **Arguments:** `share`: of the moment. `horizon`: [s]; by default what the task's senses, commands and motor are
    late, and half of the period for which an action is held; 0: what is now, without looking ahead. `extrapolation`: of
    EMG beyond now, as in `Predictor`, which compiles when it is made: it takes some seconds. Help by EMG that goes on
    as it went (``"trend"``) comes half as late as by EMG that stays (``"hold"``).

    **Raises:** `InputError` if the horizon is negative or beyond `LONGEST`.
    """

    def __init__(self, task: KneeExo, share: float = 0.3, horizon: float | None = None, extrapolation: str = "trend"):
        super().__init__(task, share)
        horizon = lateness(task) if horizon is None else number("horizon", horizon)
        if not 0 <= horizon <= LONGEST:
            raise InputError(f"horizon = {horizon:g} s must lie between 0 and {LONGEST:g}")
        self.horizon, self._period = horizon, task.period
        # Looking at now, it still has a horizon, which is not asked.
        self._predictor = _predictor(task, horizon or task.period, extrapolation)
        self._leg = CEngine(World.of(task.people.spec, JOINTS))
        self._angles = self._channels("hip_angle", "knee_angle", "ankle_angle")
        self._emg = self._channels(*(f"emg_{name}" for name in task.world.muscles))
        self.reset()

    def reset(self) -> None:
        """No sample was seen."""
        self._samples: list[np.ndarray] = []
        self._told = 0
        self._predictor.reset()

    def remembered(self) -> dict[str, Any]:
        """The samples of this episode: a copy, which was told none, tells its predictor all of them."""
        return {"_samples": list(self._samples)}

    def coming(self, seen: Float[np.ndarray, "observation"]) -> tuple[float, Float[np.ndarray, "3"]]:
        for sample in self._samples[self._told :]:
            self._tell(sample)
        self._samples.append(seen)
        forecast = self._tell(seen)
        ahead = self.horizon > 0
        moment = float((forecast.torque_ahead if ahead else forecast.torque)[0])
        place, speed = self._predictor.motion(ahead)
        self._leg.start(place, speed, self._relaxed, np.zeros(0))
        known, slack = self._leg.dynamics(), self._leg.kinetics().passive_tension
        return moment - float(known.passive[1] + slack @ known.moment_arm[:, 1]), place

    def _tell(self, sample: Float[np.ndarray, "observation"]) -> Any:
        time, self._told = self._period * self._told, self._told + 1
        return self._predictor.push(sample[self._emg], sample[self._angles], time)


def lateness(task: KneeExo) -> float:
    """From what is sensed to the middle of the time in which its help is there [s]."""
    motor = 1.0 / (2.0 * np.pi * task.exoskeleton.bandwidth)
    return task.sensing.delay + task.sensing.command_delay + motor + 0.5 * task.period


def _predictor(task: KneeExo, horizon: float, extrapolation: str) -> Any:
    """Of the nominal person, whose EMG is the excitation of every muscle."""
    from mjx_msm.person.model import load_model
    from mjx_msm.prediction.known_person import KnownPerson
    from mjx_msm.prediction.predictor import Predictor

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "person.xml"
        path.write_text(task.people.spec.to_xml(), encoding="utf-8")
        model = load_model(path, free=(KNEE,), prescribed=(HIP, ANKLE))
    person = KnownPerson.certain(model)
    return Predictor(
        person, horizon, model=model, rate=1.0 / task.period, extrapolation=extrapolation, dead_after=np.inf
    )
