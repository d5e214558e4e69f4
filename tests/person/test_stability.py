"""Joints that RK4 cannot follow: closed forms, C itself, and what a user is told and given."""

import math
import warnings

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm.common.errors import InputWarning
from mjx_msm.identification.problem import Problem
from mjx_msm.person.model import load_model
from mjx_msm.person.personalisation import export, personalised_spec
from mjx_msm.person.space import parameter_space
from mjx_msm.person.stability import LIMIT, too_fast_for_rk4
from mjx_msm.recordings.settings import Settings
from mjx_msm.recordings.synthetic import synthetic_subject, synthetic_trials

H = 2e-3
INERTIA = 0.01


def pendulum(damping: float, stiffness: float) -> mujoco.MjModel:
    """M q̈ + D q̇ + K q = 0, nothing else."""
    return mujoco.MjModel.from_xml_string(
        f"""<mujoco><option integrator="RK4" timestep="{H}" gravity="0 0 0"/><worldbody><body>
        <joint name="hinge" axis="0 1 0" damping="{damping}" stiffness="{stiffness}"/>
        <inertial pos="0 0 0" mass="1" diaginertia="{INERTIA} {INERTIA} {INERTIA}"/>
        </body></worldbody></mujoco>"""
    )


def blown_up(d: mujoco.MjData) -> bool:
    kinds = mujoco.mjtWarning
    return any(d.warning[k].number for k in (kinds.mjWARN_BADQPOS, kinds.mjWARN_BADQVEL, kinds.mjWARN_BADQACC))


def grows_in_c(m: mujoco.MjModel) -> bool:
    d = mujoco.MjData(m)
    d.qpos[:], d.qvel[:] = 0.1, 1.0
    start = np.hypot(d.qpos, d.qvel).item()
    mujoco.mj_step(m, d, nstep=20_000)
    return blown_up(d) or np.hypot(d.qpos, d.qvel).item() > 10 * start


@pytest.mark.parametrize(
    ("damping", "stiffness", "reach", "parts"),
    [
        (0.99 * LIMIT * INERTIA / H, 0.0, None, 1),
        (1.01 * LIMIT * INERTIA / H, 0.0, 1.01 * LIMIT, 2),
        (2.5 * LIMIT * INERTIA / H, 0.0, 2.5 * LIMIT, 3),
        (0.0, INERTIA * (0.99 * math.sqrt(8) / H) ** 2, None, 1),  # √8 on the imaginary axis
        (0.0, INERTIA * (1.01 * math.sqrt(8) / H) ** 2, 1.01 * math.sqrt(8), 2),
        (-1.0, 0.0, None, 1),  # grows in truth, too
    ],
)
def test_the_limit_is_that_of_c(damping, stiffness, reach, parts):
    m = pendulum(damping, stiffness)
    found = too_fast_for_rk4(m)
    if reach is None:
        assert found is None
        assert grows_in_c(m) == (damping < 0)
        return
    assert found is not None
    assert found.name == "hinge"
    assert found.reach == pytest.approx(reach, rel=1e-6)
    assert found.parts == parts
    assert grows_in_c(m)
    m.opt.timestep = found.stable_timestep
    assert not grows_in_c(m)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["arm", "knee"])
def test_persons_within_the_bounds_are_written_with_a_timestep_that_holds(name, tmp_path):
    """Of 31 anywhere in the bounds and the lightest with the most damping: those that RK4 makes whirl at the model's
    timestep, where Euler's rule does not."""
    model = load_model(name)
    space = parameter_space(model.nominal, ["*"])
    unpacked = jax.jit(lambda z: space.unpack(z))
    posture, wild, told = np.full(len(model.coordinates), 0.5), 0, 0

    def fastest(m: mujoco.MjModel) -> float:
        d, top = mujoco.MjData(m), 0.0
        d.qpos[:], d.act[:], d.ctrl[:] = posture, 0.1, 0.1
        while d.time < 500 * model.timestep:
            mujoco.mj_step(m, d)
            top = max(top, float(np.abs(d.qvel).max()))
            if blown_up(d):
                return math.inf
        return top

    for seed in range(32):
        z = np.random.default_rng(seed).uniform(space.lower, space.upper)
        if seed == 0:  # as few as one of the others whirl, and none under some seeds
            z = np.where([p.endswith("/damping") for p in space.paths], space.upper, z)
            z = np.where(["/mass" in p or "/inertia/" in p for p in space.paths], space.lower, z)
        with jax.enable_x64(True):
            person = jax.tree.map(np.asarray, unpacked(jnp.asarray(z)))
        coarse = personalised_spec(model, person).compile()
        found = too_fast_for_rk4(coarse)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            written = mujoco.MjModel.from_xml_path(str(export(model, person, tmp_path / "person.xml")))
        assert len(seen) == (found is not None)
        if found is None:
            assert written.opt.timestep == model.timestep
        else:
            told += 1
            text = str(seen[0].message)
            assert seen[0].category is InputWarning
            assert f"joint '{found.name}'" in text
            assert f"h·λ = {found.reach:.2f}" in text
            assert "\n" not in text
            assert written.opt.timestep == pytest.approx(model.timestep / found.parts, rel=1e-12)
        euler = personalised_spec(model, person).compile()
        euler.opt.integrator = mujoco.mjtIntegrator.mjINT_EULER
        calm = fastest(euler)
        if fastest(coarse) > 1.5 * calm + 5.0:
            wild += 1
            assert found is not None, "every one of them is found"
        assert fastest(written) < 1.5 * calm + 5.0
    assert 0 < wild <= told < 8


def test_a_model_that_rk4_does_not_follow_is_named_when_loaded_and_identified(tmp_path):
    arm = load_model("arm", integrator="Euler")
    heavy = arm.nominal.updated({"joint/elbow_flex/damping": 200.0})
    path = export(arm, heavy, tmp_path / "heavy.xml")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        euler = load_model(path)
    words = r"joint 'elbow_flex' is so damped .*h·λ = .*; load it with timestep=.* or .*integrator=\"Euler\""
    with pytest.warns(InputWarning, match=words) as seen:
        load_model(path, integrator="RK4")
    advised = float(str(seen[0].message).split("timestep=")[1].split(",")[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_model(path, integrator="RK4", timestep=advised)
    trials = synthetic_trials(arm, synthetic_subject(arm, seed=1), count=1, duration=0.5, rate=100, seed=1)
    with pytest.warns(InputWarning, match=words):
        Problem.build(euler, trials, Settings(free=("body/forearm/mass",)))
