"""Motion prescribed in C: against the rollout of the device, a plain step, and inverse dynamics."""

import jax
import mujoco
import numpy as np
import pytest
from prescribed_motion import PrescribedMotion

from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.simulation import initial_state, rollout
from mjx_msm.person.model import load_model

HELD = ("hip_flexion", "ankle_angle")


@pytest.fixture(scope="module")
def leg() -> mujoco.MjModel:
    """The leg without its muscles' pull: what is left is mechanics."""
    m = load_model("knee", integrator="Euler").host.spec.compile()
    m.actuator_gainprm[:, 2] = m.actuator_biasprm[:, 2] = 1e-9
    return m


def at_rest(m: mujoco.MjModel) -> mujoco.MjData:
    d = mujoco.MjData(m)
    d.qpos[:3] = 0.9, 0.8, 0.0
    return d


def test_prescribed_motion_is_the_rollout_of_the_device() -> None:
    with jax.enable_x64(True):
        model = load_model("knee", prescribed=HELD, integrator="Euler")
        h, steps, count = model.timestep, 1000, len(model.muscles)
        t, rng = h * np.arange(steps + 1), np.random.default_rng(0)
        held = np.stack([0.6 + 0.5 * np.sin(7 * t), 0.15 * np.sin(12 * t + 1)], axis=-1)
        phase, rate = rng.uniform(0, 6, count), rng.uniform(3, 12, count)
        excitation = rng.uniform(0, 0.3, count) * (0.5 + 0.5 * np.sin(np.outer(t[:-1], rate) + phase))
        start = initial_state(model, {HELD[0]: held[0, 0], HELD[1]: held[0, 1], "knee_angle": 0.7}, activation=0.05)
        device = rollout(model, model.nominal, start, excitation, prescribed=held)
        assert device.ok
        expected = np.asarray(device.position)

    m = model.host.mj_model
    d, motion = mujoco.MjData(m), PrescribedMotion(m, HELD)
    d.qpos[:], d.act[:] = np.asarray(start.position), np.asarray(start.activation)
    d.qvel[[0, 2]] = (held[1] - held[0]) / h  # the rollout, too, starts at the speed of the held motion
    position = [d.qpos.copy()]
    for k in range(steps):
        d.ctrl[:] = excitation[k]
        motion.step(d, held[k + 1])
        position.append(d.qpos.copy())
    assert np.abs(np.array(position) - expected).max() < 1e-9
    assert np.ptp(expected[:, 1]) > 0.3  # the knee did move
    assert np.abs(np.array(position)[:, [0, 2]] - held).max() < 1e-12


def test_nothing_prescribed_is_a_plain_step(leg: mujoco.MjModel) -> None:
    ours, theirs = at_rest(leg), at_rest(leg)
    motion = PrescribedMotion(leg, [])
    for k in range(200):
        ours.qfrc_applied[1] = theirs.qfrc_applied[1] = 5 * np.sin(0.1 * k)
        motion.step(ours, [])
        mujoco.mj_step(leg, theirs)
    assert np.array_equal(ours.qpos, theirs.qpos)


def test_holding_force_is_what_inverse_dynamics_asks_for(leg: mujoco.MjModel) -> None:
    d, motion = at_rest(leg), PrescribedMotion(leg, HELD)
    d.qvel[:] = np.random.default_rng(1).normal(0, 0.3, leg.nv)
    before, velocity = d.qpos.copy(), d.qvel.copy()
    force = motion.step(d, before[[0, 2]] + 0.001)
    check = mujoco.MjData(leg)
    check.qpos[:], check.qvel[:], check.qacc[:] = before, velocity, (d.qvel - velocity) / leg.opt.timestep
    mujoco.mj_inverse(leg, check)
    implicit = leg.opt.timestep * leg.dof_damping * check.qacc
    np.testing.assert_allclose((check.qfrc_inverse + implicit)[[0, 2]], force, rtol=1e-9)


def test_prescribing_what_cannot_be_is_refused(leg: mujoco.MjModel) -> None:
    with pytest.raises(InputError, match="'hip' is not in the model"):
        PrescribedMotion(leg, ["hip"])
    with pytest.raises(InputError, match="twice"):
        PrescribedMotion(leg, ["hip_flexion", "hip_flexion"])
    limited = mujoco.MjModel.from_xml_string(
        "<mujoco><option integrator='Euler'/><worldbody><body><joint name='a' range='-1 1' limited='true'/>"
        "<geom size='.1' contype='0' conaffinity='0'/></body></worldbody></mujoco>"
    )
    with pytest.raises(InputError, match="joint or tendon limit"):
        PrescribedMotion(limited, ["a"])
