"""Models that others built: whether they load, and whether a person of them is found again.

    python examples/benchmarks/bodies.py [--quick] [--json FILE]

The models are MyoSim's (``pip install "mjx-msm[myosim]"``), whole or in part, and a leg that meets the ground, which
MJX steps. A synthetic person is off by up to 10 % in the strength, optimal fiber length and tendon slack length of
every muscle and in mass and centre of mass of every bone, all of them freed, without priors and without noise. The row
is the largest error that any estimate is left with. `--quick`: two trials of a second instead of four of two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from table import Row, row, run

import mjx_msm as msm
from mjx_msm.common.compiled import float64, jit
from mjx_msm.person.inspection import muscle_and_bone
from mjx_msm.person.parameters import matching

TARGET = 1e-3
"""Error of the worst estimate [%]."""
ARM = ("DELT1", "DELT2", "SUPSP", "PECM1", "LAT1", "CORB", "TRIlong", "TRIlat", "BIClong", "BICshort", "BRA", "BRD")
BODIES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "MyoElbow": ("myo_sim:myoelbow", {}),
    "knee of MyoLegs with its patella": (
        "myo_sim:myolegs",
        {"joints": ["knee_angle_r"], "posture": {"hip_flexion_r": 0.5}},
    ),
    "shoulder elevation and elbow of MyoArm": (
        "myo_sim:myoarm_r",
        {"joints": ["shoulder_elv_r", "elbow_flexion_r"], "posture": {"elv_angle_r": 0.6}, "muscles": ARM},
    ),
}
LEG = Path(__file__).with_name("leg_on_ground.xml")


KNEECAP = "body/patella"
"""Of its 90 g, which follow the knee, motion tells next to nothing: they are the generic model's in everybody."""


def somebody(model: msm.Model, seed: int) -> msm.Parameters:
    """A person 10 % off, whose kneecap is the model's."""
    nominal = model.nominal.to_dict()
    kneecap = {p: x for p, x in nominal.items() if p.startswith(KNEECAP)}
    return msm.synthetic_subject(model, seed=seed).updated(kneecap)


def worst(model: msm.Model, person: msm.Parameters, trials: Any) -> tuple[float, int]:
    """Error of the worst estimate [%], and of how many."""
    nominal, truth = model.nominal.to_dict(), person.to_dict()
    free = [p for p in matching(model.nominal, muscle_and_bone(model)) if nominal[p] > 0 or p.startswith("body/")]
    free = [p for p in free if nominal[p]]  # a centre of mass at the origin has no size to be off by
    free = [p for p in free if not p.startswith(KNEECAP)]
    result = msm.identify(model, trials, free=free, priors={"*": "none"})
    return 100 * max(abs(e.value / truth[e.path] - 1) for e in result.estimates), len(result.estimates)


def on_the_ground(model: msm.Model, person: msm.Parameters, count: int, steps: int) -> list[msm.Trial]:
    """Landings of a leg, simulated by the engine that identifies it, in contact and out of it."""
    trials = []
    with float64():
        move = jit(lambda state, drive: msm.rollout(model, person, state, drive))
        for k in range(count):
            rng, t = np.random.default_rng(k), np.arange(steps)[:, None]
            slow, fast, phase = rng.uniform(15, 40, 2), rng.uniform(5, 10, 2), rng.uniform(0, 6, 2)
            drive = 0.4 + 0.2 * np.sin(t / slow + phase) + 0.1 * np.sin(t / fast)
            place = {"hip": rng.uniform(-0.45, -0.35), "knee": rng.uniform(0.8, 1.0), "rail": rng.uniform(-0.05, 0.0)}
            start = msm.initial_state(model, place)
            start = msm.State(start.position, start.velocity, jnp.asarray(drive[0]))
            motion = move(start, np.asarray(drive))
            assert motion.ok
            trials.append(
                msm.Trial(
                    name=f"landing {k + 1}",
                    time=model.timestep * np.arange(steps + 1),
                    coordinates=model.coordinates,
                    position=np.asarray(motion.position),
                    velocity=np.asarray(motion.velocity),
                    channels=model.muscles,
                    emg=np.vstack([drive, drive[-1:]]),
                )
            )
    return trials


def rows(quick: bool) -> Iterator[Row]:
    for name, (source, part) in BODIES.items():
        model = msm.load_model(source, **part)
        person = somebody(model, seed=1)
        settings: dict[str, Any] = {"count": 2, "duration": 1.0} if quick else {"count": 4, "duration": 2.0}
        error, unknowns = worst(model, person, msm.synthetic_trials(model, person, seed=1, **settings))
        yield row(f"{name}: worst of {unknowns}", error, "%", at_most=TARGET)
    leg = msm.load_model(LEG)
    person = msm.synthetic_subject(leg, seed=1)
    error, unknowns = worst(leg, person, on_the_ground(leg, person, 2 if quick else 4, 160 if quick else 320))
    yield row(f"leg that lands on the ground, by MJX: worst of {unknowns}", error, "%", at_most=TARGET)


if __name__ == "__main__":
    run(__doc__, rows)
