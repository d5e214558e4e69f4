"""Models that others built: whether they load, and whether a person of them is found again.

    python examples/benchmarks/bodies.py [--quick] [--only NAME] [--json FILE]

MyoSim's, in part (``pip install "mjx-msm[myosim]"``), OpenSim's gait2392, imported (``[opensim]``; looked for in
reference/ beside the folder that MJX_MSM_DATA names), and a leg that meets the ground, which MJX steps. A synthetic
person is off by up to 10 % in the strength, optimal fiber length and tendon slack length of every muscle and in mass
and centre of mass of the bones, all of them freed, without priors and without noise. The row is the largest error that
any estimate is left with. `--quick`: trials of half the length, and of half their number; of the leg the shorter
landings alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from table import Row, row, run

import mjx_msm as msm
from mjx_msm.common.compiled import float64, jit
from mjx_msm.person.inspection import muscle_and_bone
from mjx_msm.person.model import model_of
from mjx_msm.person.parameters import matching

TARGET = 1e-3
"""Error of the worst estimate [%]."""
LEG = Path(__file__).with_name("leg_on_ground.xml")


def gait2392(**part: Any) -> msm.Model:
    """The right leg of OpenSim's gait2392, imported."""
    file = Path(os.environ.get("MJX_MSM_DATA", "")).parent / "reference" / "gait2392.osim"
    return model_of(msm.import_osim(file, **part).spec, str(file))


@dataclass(frozen=True)
class Body:
    """A model, and the bones of it that a motion tells of."""

    load: Callable[[], msm.Model]
    bones: tuple[str, ...]
    """Not a kneecap of 28 g, nor a clavicle of which only what it adds to the arm's inertia is felt: those are the
    generic model's in everybody."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of `identify`."""


ACCELERATIONS: Mapping[str, Any] = {"residuals": ("acceleration",), "rate": 500.0}
"""Of trials like these they are exact enough alone: derivatives of exact velocities."""

LANDING = "leg that lands on the ground, by MJX"

BODIES: Mapping[str, Body] = {
    "MyoElbow": Body(partial(msm.load_model, "myo_sim:myoelbow"), ("r_ulna_radius_hand",)),
    "knee of MyoLegs with its patella": Body(
        partial(
            msm.load_model,
            "myo_sim:myolegs",
            joints=["knee_angle_r"],
            posture={"hip_flexion_r": 0.5},
            # not the three straps of under 300 N, of which the motion tells a hundredth of what it tells of these
            muscles=[
                *("bflh_r", "bfsh_r", "semimem_r", "semiten_r", "gaslat_r", "gasmed_r"),
                *("recfem_r", "vasint_r", "vaslat_r", "vasmed_r"),
            ],
        ),
        ("tibia_r",),
    ),
    "shoulder elevation and elbow of MyoArm": Body(
        partial(
            msm.load_model,
            "myo_sim:myoarm_r",
            joints=["shoulder_elv_r", "elbow_flexion_r"],
            posture={"elv_angle_r": 0.6},
            # of those that cross them; of some others the arm's motion tells nothing
            muscles=["DELT1", "DELT2", "TRIlong", "TRIlat", "BIClong", "BICshort", "BRA", "BRD"],
        ),
        ("humphant1_r", "ulna_r"),
        ACCELERATIONS,
    ),
    "leg of gait2392": Body(
        partial(
            gait2392,
            coordinates=["hip_flexion_r", "knee_angle_r", "ankle_angle_r"],
            muscles=[
                *("glut_max2_r", "psoas_r", "semimem_r", "bifemsh_r", "rect_fem_r", "vas_int_r", "med_gas_r"),
                *("soleus_r", "tib_ant_r"),
            ],
        ),
        ("femur_r", "tibia_r", "talus_r"),
        ACCELERATIONS,
    ),
    LANDING: Body(partial(msm.load_model, LEG), ("pelvis", "thigh", "shank")),
}


def freed(model: msm.Model, bones: tuple[str, ...]) -> list[str]:
    """Of every muscle and of these bones, but what has no size to be off by: a slack length below zero, a centre of
    mass at the origin."""
    nominal = model.nominal.to_dict()
    free = matching(model.nominal, muscle_and_bone(model))
    muscles = [p for p in free if p.startswith("muscle/") and nominal[p] > 0]
    return muscles + [p for p in free if p.split("/")[1] in bones and p.startswith("body/") and nominal[p]]


def somebody(model: msm.Model, free: list[str], seed: int) -> msm.Parameters:
    """A person 10 % off in what is freed."""
    person = msm.synthetic_subject(model, seed=seed).to_dict()
    return model.nominal.updated({p: person[p] for p in free})


def worst(model: msm.Model, free: list[str], person: msm.Parameters, trials: Any, **options: Any) -> tuple[float, int]:
    """Error of the worst estimate [%], and of how many."""
    truth = person.to_dict()
    result = msm.identify(model, trials, free=free, priors={"*": "none"}, held="exact", **options)
    return 100 * max(abs(e.value / truth[e.path] - 1) for e in result.estimates), len(result.estimates)


LANDINGS = (2, 0, 1, 3)
"""Seeds; the first alone has met the ground by 0.09 s, the others from 0.19 s."""


def on_the_ground(model: msm.Model, person: msm.Parameters, count: int, steps: int) -> list[msm.Trial]:
    """Landings of a leg, simulated by the engine that identifies it, in contact and out of it."""
    trials = []
    with float64():
        move = jit(lambda state, drive: msm.rollout(model, person, state, drive))
        for k in LANDINGS[:count]:
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


def found_again(name: str, count: int, duration: float) -> tuple[float, int]:
    """Error of the worst estimate [%] of a person of one of the bodies, and of how many.

    **Arguments:** `count`, `duration`: of the trials [s].
    """
    body = BODIES[name]
    model = body.load()
    free = freed(model, body.bones)
    person = somebody(model, free, seed=1)
    if name == LANDING:
        trials = on_the_ground(model, person, count, round(0.16 * duration / model.timestep))
    else:
        trials = msm.synthetic_trials(model, person, seed=1, count=count, duration=duration)
    return worst(model, free, person, trials, **body.options)


def line(name: str, quick: bool) -> Iterator[Row]:
    sizes = {"": (2, 1.0) if quick else (4, 2.0)}
    if name == LANDING:  # from two of the shorter ones, one of which meets the ground, 0.002 % are left
        sizes = {", 0.16 s": (4, 1.0)} if quick else {", 0.16 s": (4, 1.0), ", 0.32 s": (4, 2.0)}
    for which, size in sizes.items():
        try:
            error, unknowns = found_again(name, *size)
        except msm.InputError as missing:  # an extra, or the file
            print(f"left out: {name}: {missing}", file=sys.stderr)
            return
        yield row(f"{name}{which}: worst of {unknowns}", error, "%", at_most=TARGET)


def rows(quick: bool) -> Iterator[Row]:
    for name in BODIES:
        yield from line(name, quick)


if __name__ == "__main__":
    shorter = zip(("elbow", "knee", "arm", "leg", "ground"), BODIES, strict=True)
    run(__doc__, rows, {short: partial(line, name) for short, name in shorter})
