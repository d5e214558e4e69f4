"""Joints that follow others: reduced coordinates against C's whole mechanics, projected, and its soft constraint."""

import importlib.util

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm.dynamics.geometry import geometry
from mjx_msm.dynamics.paths import paths, paths_and_curvature
from mjx_msm.dynamics.simulation import (
    generalised_force,
    initial_state,
    mechanics,
    muscle_tension,
    rollout,
    spatial_inertia,
)
from mjx_msm.person.couplings import couplings, spread, whole_motion, whole_position
from mjx_msm.person.inspection import moment_arm_curves
from mjx_msm.person.model import load_model
from mjx_msm.person.personalisation import export, with_parameters

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.filterwarnings("ignore:.*slack length below zero")]

# Followers before and after what they follow, two in one body, on another branch, of a chain, and one that is constant;
# with springs, dampers and armature of their own; tendons between branches, around a wrap, over joints.
KNEE = """<mujoco><option timestep="0.001" integrator="RK4"/><compiler angle="radian"/>
<default><joint damping="0.2"/></default><worldbody><site name="hip" pos="0.05 0 0.05"/>
<body name="thigh"><joint name="flex" axis="0 1 0" ref="0.1"/><geom type="capsule" fromto="0 0 0 0 0 -0.4" size="0.04"/>
  <site name="front" pos="0.06 0 -0.3"/>
  <body name="patella" pos="0.05 0 -0.38"><joint name="p1" type="slide" axis="1 0 0" armature="0.1" stiffness="30"
    springref="0.01"/><joint name="p2" type="slide" axis="0 0.1 1"/><joint name="p3" axis="0 1 0" damping="0.05"/>
    <geom size="0.02" mass="0.1"/><site name="cap" pos="0.02 0 0.01"/></body>
  <body name="shank" pos="0 0 -0.42"><joint name="t1" type="slide" axis="0 0 1"/><joint name="bend" axis="0 1 0"
    range="-0.2 2" limited="true" damping="0.5"/><joint name="t2" axis="0 0.2 1" range="0 0.1" limited="true"/>
    <joint name="tilt" axis="1 0 0"/><geom type="capsule" fromto="0 0 0 0 0 -0.35" size="0.03"/>
    <geom name="condyle" type="cylinder" size="0.03 0.05" euler="1.5708 0 0" contype="0"/>
    <site name="tuber" pos="0.04 0 -0.06"/><site name="back" pos="-0.03 0 -0.05"/></body></body></worldbody>
<tendon><spatial name="quad"><site site="hip"/><site site="front"/><site site="cap"/><site site="tuber"/></spatial>
<spatial name="ham"><site site="hip"/><geom geom="condyle"/><site site="back"/></spatial>
<fixed name="both"><joint joint="t2" coef="0.3"/><joint joint="flex" coef="0.05"/></fixed></tendon>
<actuator><muscle name="quad" tendon="quad" force="400" lengthrange="0.2 0.7" range="0.4 1.3"/><muscle name="ham"
tendon="ham" force="300" lengthrange="0.2 0.6" range="0.4 1.3"/><muscle name="over" tendon="both" force="100"
lengthrange="-0.1 0.2" range="0.8 1.2"/></actuator>
<equality><joint joint1="p1" joint2="bend" polycoef="0.01 0.02 -0.008 0.001 0" solref="0.004 1"/>
<joint joint1="p2" joint2="bend" polycoef="0 -0.04 0.01 0 0.001" solref="0.004 1"/>
<joint joint1="p3" joint2="t2" polycoef="0.02 4 1 0 0" solref="0.004 1"/>
<joint joint1="t1" joint2="bend" polycoef="0 0.004 0.003 0 0" solref="0.004 1"/>
<joint joint1="t2" joint2="bend" polycoef="0 0.1 -0.03 0 0" solref="0.004 1"/>
<joint joint1="tilt" polycoef="0.05 0 0 0 0" solref="0.004 1"/></equality></mujoco>"""


@pytest.fixture(scope="module")
def knee_with_patella(tmp_path_factory):
    path = tmp_path_factory.mktemp("couplings") / "knee.xml"
    path.write_text(KNEE)
    return load_model(path)


def projected(model, parameters, q, v, a):
    """From C at the whole position: lengths, moment arms, GᵀMG and Gᵀ(f − M Ġ q̇)."""
    m = model.host.mj_model
    d, h = mujoco.MjData(m), 1e-5
    g, turning = spread(m, q), (spread(m, q + h * v) - spread(m, q - h * v)) / (2 * h)
    d.qpos[:], d.qvel[:], d.act[:] = whole_position(m, q), g @ v, a
    mujoco.mj_forward(m, d)
    matrix, arms = np.zeros((m.nv, m.nv)), np.zeros((m.nu, m.nv))
    mujoco.mj_fullM(m, d, matrix)
    mujoco.mju_sparse2dense(arms, d.actuator_moment, d.moment_rownnz, d.moment_rowadr, d.moment_colind)
    force = d.qfrc_passive - d.qfrc_bias + arms.T @ d.actuator_force - matrix @ (turning @ v)
    return d.actuator_length.copy(), arms @ g, g.T @ matrix @ g, g.T @ force


def ours(model, parameters, q, v, a):
    shape = geometry(model, q, v)
    terms = mechanics(model, parameters, spatial_inertia(parameters.body), shape, q, v)
    force = generalised_force(terms, muscle_tension(model, parameters, terms, v, a))
    return shape.path_length, -shape.moment_arm, terms.mass_matrix, force


def check_against_c(model, states=5):
    step, rng, count = (
        jax.jit(lambda *x: ours(model, model.nominal, *x)),
        np.random.default_rng(2),
        len(model.coordinates),
    )
    for _ in range(states):
        q, v, a = rng.uniform(0.1, 1.4, count), 2 * rng.normal(size=count), rng.uniform(0, 1, len(model.muscles))
        got = step(*map(jnp.asarray, (q, v, a)))
        for x, y in zip(got, projected(model, model.nominal, q, v, a), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-10 * max(1.0, np.abs(y).max()))


@pytest.mark.slow
def test_reduced_coordinates_are_c_projected(knee_with_patella):
    assert knee_with_patella.coordinates == ("flex", "bend")
    assert len(couplings(knee_with_patella.host.mj_model)) == 6
    note = next(n for n in knee_with_patella.host.notes if "follow others" in n)
    assert note.endswith("p1, p2, p3, t1, t2, tilt")
    check_against_c(knee_with_patella)


@pytest.mark.slow
def test_slopes_and_curvatures_are_derivatives(knee_with_patella):
    model, q = knee_with_patella, jnp.array([0.3, 0.8])
    along, bend = paths_and_curvature(model, q)
    slope, curvature = jax.jacfwd(lambda x: paths(model, x).length)(q), jax.jacfwd(lambda x: paths(model, x).slope)(q)
    np.testing.assert_allclose(along.slope, slope, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(bend, curvature, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_c_goes_the_same_way_within_its_softness(knee_with_patella, tmp_path):
    """C keeps couplings by a spring of `solref`: at a quarter of its time constant C is nearer to ours, from both sides
    (motion and what is left of the coupling)."""
    model, steps = knee_with_patella, 200
    parameters = model.nominal.updated({"body/shank/mass": 3.0, "joint/bend/damping": 0.8})
    start = initial_state(model, {"flex": 0.2, "bend": 0.6})
    got = np.asarray(rollout(model, parameters, start, jnp.full((steps, 3), 0.15)).position)
    assert np.ptp(got[:, 1]) > 0.2
    path, apart, open_ = export(model, parameters, tmp_path / "out.xml"), [], []
    for solref in ([0.02, 1], [0.005, 1]):
        m = mujoco.MjModel.from_xml_path(str(path))
        m.opt.timestep, m.eq_solref[:], m.eq_solimp[:] = 2.5e-4, solref, [0.9999, 0.9999, 0.001, 0.5, 2]
        d, motion = mujoco.MjData(m), []
        order = [m.joint(c).qposadr[0] for c in model.coordinates]
        d.qpos[:] = whole_position(m, np.array([0.2, 0.6]))
        for _ in range(steps):
            d.ctrl[:] = 0.15
            mujoco.mj_step(m, d, nstep=4)
            motion.append(d.qpos.copy())
        motion = np.array(motion)
        apart.append(np.abs(motion[:, order] - got[1:]).max())
        open_.append(np.abs(motion - whole_position(m, motion[:, order])).max())
    assert apart[1] < 5e-3
    assert open_[1] < 1e-3
    assert apart[1] < apart[0]


def test_moment_arms_of_what_follows_whatever_steps_it(knee_with_patella, tmp_path):
    """MJX, which keeps the joints that follow as coordinates, moves them along as well."""
    path = tmp_path / "knee.xml"
    path.write_text(KNEE)
    whole, own = (
        moment_arm_curves(load_model(path, engine="mjx", integrator="Euler"), 5),
        moment_arm_curves(knee_with_patella, 5),
    )
    assert whole.keys() == own.keys() == {"flex", "bend"}
    np.testing.assert_allclose(whole["bend"][1], own["bend"][1], atol=1e-9)


def test_inverse_dynamics_of_the_whole_motion(knee_with_patella):
    """Forces that C finds for the whole motion, projected, are those of the reduced equations: GᵀMG q̈ + …"""
    model, rng = knee_with_patella, np.random.default_rng(3)
    m = model.host.mj_model
    d = mujoco.MjData(m)
    q, v, a = rng.uniform(0.2, 1, 2), rng.normal(size=2), 5 * rng.normal(size=2)
    d.qpos[:], d.qvel[:], d.qacc[:] = whole_motion(m, q, v, a)
    mujoco.mj_inverse(m, d)
    needed = spread(m, q).T @ (d.qfrc_inverse + d.qfrc_constraint)
    _, arms, matrix, force = projected(model, model.nominal, q, v, np.zeros(3))
    d.act[:] = 0.0
    mujoco.mj_forward(m, d)
    np.testing.assert_allclose(needed, matrix @ a - force + arms.T @ d.actuator_force, rtol=1e-8)


def test_mjx_of_the_person_has_all_joints(knee_with_patella):
    parameters = knee_with_patella.nominal.updated({"joint/bend/damping": 0.9, "joint/flex/stiffness": 2.0})
    m, host = with_parameters(knee_with_patella, parameters), knee_with_patella.host.mj_model
    assert m.nv == host.nv == 8
    bend, flex = (host.joint(n).id for n in ("bend", "flex"))
    assert m.dof_damping[bend] == 0.9
    assert m.jnt_stiffness[flex] == 2.0
    others = [j for j in range(8) if j not in (bend, flex)]
    np.testing.assert_array_equal(m.dof_damping[np.array(others)], host.dof_damping[others])


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("myo_sim") is None, reason="needs the extra [myosim]")
def test_the_knee_of_myolegs_with_its_patella():
    model = load_model("myo_sim:myolegs", joints=["knee_angle_r"], posture={"hip_flexion_r": 0.3})
    assert model.coordinates == ("knee_angle_r",)
    assert model.nominal.names.body == ("tibia_r", "patella_r")
    assert len(model.muscles) == 13
    check_against_c(model, states=3)
