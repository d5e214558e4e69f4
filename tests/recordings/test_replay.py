"""Curves through plain C: the rollout's own trajectory, an Euler model's, and what is refused."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.simulation import State, rollout
from mjx_msm.person.model import load_model
from mjx_msm.person.personalisation import export
from mjx_msm.recordings.replay import Replay, replay
from mjx_msm.recordings.synthetic import synthetic_subject

HELD = ("hip_flexion", "ankle_angle")


def waves(time, count, size, seed=0):
    rng = np.random.default_rng(seed)
    return size * (1 + np.sin(np.outer(time, rng.uniform(3, 15, count)) + rng.uniform(0, 6, count)))


@pytest.mark.parametrize("name", ["arm", "knee"])
def test_an_exported_person_replays_the_rollout_for_a_second(name, tmp_path):
    """To 1e-9 rad, hip and ankle held; and a stair instead of the curve is another motion."""
    model = load_model(name, prescribed=HELD if name == "knee" else ())
    time = model.timestep * np.arange(round(1 / model.timestep) + 1)
    drive = waves(time, len(model.muscles), 0.1)
    drive[-1] = drive[-2]  # a rollout's excitation is constant in its last step
    held = {joint: curve for joint, curve in zip(HELD, waves(time, 2, 0.2).T, strict=True) if name == "knee"}
    person = synthetic_subject(model, seed=3)
    m = mujoco.MjModel.from_xml_path(str(export(model, person, tmp_path / "person.xml")))
    assert m.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4
    start = np.full(len(model.coordinates), 0.5)
    q, v, a = replay(m, time, drive, start, 0 * start, drive[0], held=held)
    with jax.enable_x64(True):
        state = State(jnp.asarray(start), jnp.zeros(len(start)), jnp.asarray(drive[0]))
        prescribed = jnp.stack([jnp.asarray(held[c]) for c in model.prescribed], -1) if held else None
        motion = rollout(model, person, state, jnp.asarray(drive[:-1]), prescribed=prescribed)
    np.testing.assert_allclose(q, motion.position, rtol=0, atol=1e-9)
    np.testing.assert_allclose(v, motion.velocity, rtol=0, atol=1e-8)
    np.testing.assert_allclose(a, motion.activation, rtol=0, atol=1e-12)
    for joint, curve in held.items():
        np.testing.assert_allclose(q[:, model.coordinates.index(joint)], curve, rtol=0, atol=1e-11)
    if not held:
        data = mujoco.MjData(m)
        data.qpos[:], data.act[:] = start, drive[0]
        for u in drive[:-1]:
            data.ctrl[:] = u
            mujoco.mj_step(m, data)
        assert np.abs(data.qpos - q[-1]).max() > 1e-4


def test_finer_steps_follow_the_same_curves():
    model = load_model("arm")
    time = model.timestep * np.arange(251)
    drive, start = waves(time, 6, 0.1), np.array([0.3, 1.0])
    one, four = (replay(model.host.mj_model, time, drive, start, 0 * start, drive[0], substeps=n)[0] for n in (1, 4))
    assert np.ptp(one, axis=0).min() > 0.05
    assert 0 < np.abs(one - four).max() < 2e-5


def test_muscles_are_driven_at_every_stage_and_left_alone_afterwards():
    m, seen = load_model("arm").host.mj_model, []
    time, drive = np.array([0.0, 0.1]), np.array([[0.0] * 6, [1.0] * 6])

    class Watched(Replay):
        def _drive(self, model, data):
            super()._drive(model, data)
            seen.append((data.time, data.ctrl[0]))

    data = mujoco.MjData(m)
    with Watched(m, time, drive):
        mujoco.mj_step(m, data)
    h = m.opt.timestep
    np.testing.assert_allclose(seen, [(0, 0), (h / 2, 5 * h), (h / 2, 5 * h), (h, 10 * h)], rtol=0, atol=1e-12)
    assert mujoco.get_mjcb_control() is None
    data.ctrl[:] = 0.3
    mujoco.mj_step(m, data)
    assert len(seen) == 4
    np.testing.assert_array_equal(data.ctrl, 0.3)


def test_what_does_not_fit_is_refused():
    m, euler = load_model("knee").host.mj_model, load_model("knee", integrator="Euler").host.mj_model
    time, drive = np.array([0.0, 0.1]), np.zeros((2, 12))
    with pytest.raises(InputError, match=r"excitation has shape \(2, 11\), expected \(2, 12\)"):
        Replay(m, time, drive[:, 1:])
    with pytest.raises(InputError, match="held joint 'hip' is not in the model; it has hip_flexion"):
        Replay(m, time, drive, {"hip": np.zeros(2)})
    with pytest.raises(InputError, match=r"held joint 'hip_flexion' has \(3,\) positions for 2 samples"):
        Replay(m, time, drive, {"hip_flexion": np.zeros(3)})
    with pytest.raises(InputError, match="by RK4 only"):
        Replay(euler, time, drive, {"hip_flexion": np.zeros(2)})
