"""Each environment's own scenarios and violations, where a scenario file does not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, ARM_STRIKE, KNEE_EXO
from mjx_msm.envs.tasks.co_transport import HAND_FORCE_LIMIT
from mjx_msm.envs.tasks.knee_exo import FORCE_LIMITS
from mjx_msm.verification.scenarios import Quantity, Scenario, Violation

QUASI_STATIC = 0.5
"""How long a force acts that ISO/TS 15066 calls quasi-static [s]; a shorter one is transient."""
TRANSIENT = 2.0
"""Transient limit over the quasi-static one, of every region of the body but the head (ISO/TS 15066, table A.2)."""


def _pressed(name: str, measure: str, limit: float) -> list[Violation]:
    return [
        Violation(f"{name}, quasi-static", measure, above=limit, longer=QUASI_STATIC, unit="N"),
        Violation(f"{name}, transient", measure, above=TRANSIENT * limit, unit="N"),
    ]


def usual_violations(environment: str) -> tuple[Violation, ...]:
    """What counts as one where a scenario file does not say; the joints' ranges are not among them."""
    if environment == KNEE_EXO:
        forces = [v for cuff, limit in FORCE_LIMITS.items() for v in _pressed(f"{cuff} force", f"{cuff}_force", limit)]
        return (
            *forces,
            Violation("off the motion", "tracking_error", above=0.35, longer=0.02, unit="rad"),
            Violation("far off the motion", "tracking_error", above=0.7, longer=0.02, unit="rad"),
            Violation("cuff slipped", "slip", above=0.02, unit="m"),
        )
    if environment == ARM_CO_TRANSPORT:
        return (
            *_pressed("hand force", "hand_force", HAND_FORCE_LIMIT),
            Violation("beam touches the bar", "contact_force", above=0.0, scale=10.0, unit="N"),
            Violation("beam tilted", "tilt", above=0.26, below=-0.26, unit="rad"),
            Violation("off the path", "path_error", above=0.1, unit="m"),
            Violation("grip lost", "grip_lost", above=0.5),
            Violation("robot at its torque limit", "torque_limit_violation", above=0.5, longer=0.1),
        )
    return (Violation("hand too fast", "hand_speed", above=3.0, unit="m/s"),)


def usual_scenarios(environment: str, arguments: Mapping[str, Any]) -> tuple[Scenario, ...]:
    """Those of an environment, made with these arguments, where a scenario file does not say."""
    onset = Quantity("uniform", (0.2, 0.8))
    briefly = Quantity("uniform", (0.1, 0.5))

    def fixed(value: float) -> Quantity:
        return Quantity("fixed", (value,))

    def between(low: float, high: float) -> Quantity:
        return Quantity("uniform", (low, high))

    tremor = {"onset": onset, "tremor": between(0.05, 0.2), "tremor_frequency": between(4.0, 8.0)}
    load = {"onset": onset, "payload": between(0.5, 3.0)}
    made: dict[str, dict[str, Quantity]] = {"undisturbed": {}, "tremor": tremor, "payload": load}
    idle = environment == KNEE_EXO and arguments.get("action_mode") == "human"  # nobody tells the exoskeleton anything
    if environment not in (ARM_REACH, ARM_STRIKE) and not idle:
        made["delay"] = {"onset": onset, "delay": between(0.02, 0.1)}
        made["robot stalls"] = {"onset": onset, "duration": briefly, "stall": fixed(1.0)}
    if environment == KNEE_EXO:
        made["strap slips"] = {"onset": onset, "slip": between(0.5, 1.0)}
        made["EMG drops out"] = {"onset": onset, "emg_dropout": fixed(1.0)}
    return tuple(Scenario(name, quantities) for name, quantities in made.items())
