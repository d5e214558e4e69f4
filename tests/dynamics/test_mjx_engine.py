"""MJX as an engine: C's trajectories with contacts, limits, free and ball joints; derivatives against C's own."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm.common.compiled import jit
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.simulation import State, engine_of, initial_state, rollout
from mjx_msm.person.model import load_model
from mjx_msm.person.personalisation import export
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.synthetic import synthetic_trials

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.filterwarnings("ignore:.*slack length below zero")]

# A leg on a rail whose foot meets the ground: contact with friction, a limit of the knee, dry friction on the rail.
LEG = """<mujoco><compiler angle="radian"/>
<option timestep="0.001" iterations="50" ls_iterations="50" tolerance="1e-14"/>
<worldbody><geom name="ground" type="plane" size="5 5 0.1"/>
<body name="pelvis" pos="0 0 0.78"><joint name="rail" type="slide" axis="0 0 1" {rail}/>
  <geom size="0.08" mass="6" contype="0" conaffinity="0"/><site name="front" pos="0.06 0 0"/>
  <site name="rear" pos="-0.06 0 0"/>
  <body name="thigh"><joint name="hip" axis="0 1 0" damping="0.6"/><geom type="capsule" fromto="0 0 0 0 0 -0.38"
    size="0.05" mass="4" contype="0" conaffinity="0"/><site name="shaft" pos="0.055 0 -0.3"/>
    <site name="ham" pos="-0.05 0 -0.2"/>
    <body name="shank" pos="0 0 -0.38"><joint name="knee" axis="0 1 0" range="0.05 2" limited="true" damping="0.4"/>
      <geom type="capsule" fromto="0 0 0 0 0 -0.34" size="0.04" mass="2.5" contype="0" conaffinity="0"/>
      <site name="tuber" pos="0.05 0 -0.05"/><site name="back" pos="-0.04 0 -0.06"/>
      <geom name="foot" size="0.04" pos="0.02 0 -0.37" mass="0.6" friction="0.8"/></body></body></body></worldbody>
<tendon><spatial name="vas"><site site="front"/><site site="shaft"/><site site="tuber"/></spatial>
<spatial name="ham"><site site="rear"/><site site="ham"/><site site="back"/></spatial></tendon>
<actuator><muscle name="vas" tendon="vas" force="1800" lengthrange="0.3 0.5" range="0.5 1.3"/>
<muscle name="ham" tendon="ham" force="900" lengthrange="0.3 0.5" range="0.5 1.3"/>{motor}</actuator></mujoco>"""
FLOATING = """<mujoco><compiler angle="radian"/><option timestep="0.001" iterations="50" ls_iterations="50"
tolerance="1e-14"/><worldbody><geom name="ground" type="plane" size="5 5 0.1"/>
<body name="trunk" pos="0 0 0.12" euler="0.1 0.2 0"><freejoint name="root"/>
  <geom size="0.1" mass="3"/><site name="a" pos="0.09 0 0"/>
  <body name="arm" pos="0.1 0 0"><joint name="socket" type="ball" damping="0.1"/><geom type="capsule"
    fromto="0 0 0 0.25 0.02 0" size="0.03" mass="0.7" contype="0" conaffinity="0"/><site name="b" pos="0.08 0.02 0.03"/>
    <body name="hand" pos="0.25 0 0"><joint name="wrist" axis="0 1 0" range="-0.3 0.4" limited="true"/><geom size="0.04"
      mass="0.3" contype="0" conaffinity="0"/><site name="c" pos="0.02 0 0.04"/></body></body></body></worldbody>
<tendon><spatial name="t"><site site="a"/><site site="b"/><site site="c"/></spatial></tendon>
<actuator><muscle name="pull" tendon="t" force="60" lengthrange="0.2 0.4" range="0.6 1.2"/></actuator></mujoco>"""


@pytest.fixture(scope="module")
def leg(tmp_path_factory):
    path = tmp_path_factory.mktemp("leg") / "leg.xml"
    path.write_text(LEG.format(rail='frictionloss="2"', motor=""))
    return load_model(path)


def in_c(m, state, excitation, applied=None):
    d = mujoco.MjData(m)
    d.qpos[:], d.qvel[:], d.act[:] = map(np.asarray, (state.position, state.velocity, state.activation))
    q, touched = [d.qpos.copy()], 0
    for k, u in enumerate(np.asarray(excitation)):
        d.ctrl[: len(u)] = u
        if applied is not None:
            d.qfrc_applied[:] = applied[k]
        mujoco.mj_step(m, d)
        q.append(d.qpos.copy())
        touched += d.ncon > 0
    return np.array(q), touched


def landing(model):
    start = initial_state(model, {"hip": -0.3, "knee": 0.6, "rail": 0.01})
    steps = 200
    waves = 0.3 + 0.25 * np.sin(np.arange(steps)[:, None] / 30 + np.arange(2))
    return start, jnp.asarray(waves)


def test_the_engine_is_chosen_by_what_the_file_holds(leg, tmp_path):
    assert leg.host.engine == "mjx"
    assert engine_of(leg).name == "mjx"
    assert leg.coordinates == ("rail", "hip", "knee")
    path = tmp_path / "leg.xml"
    path.write_text(LEG.format(rail="", motor=""))
    plain = load_model(path)
    assert plain.host.engine == "tree"
    assert any("contacts disabled" in n for n in plain.host.notes)
    asked = load_model(path, engine="mjx")
    assert asked.host.engine == "mjx"
    assert not any("contacts" in n or "limits" in n for n in asked.host.notes)
    assert asked.host.skeleton.ngeom == 2
    path.write_text(LEG.format(rail='frictionloss="2"', motor=""))
    with pytest.raises(InputError, match="joint 'rail' has dry friction"):
        load_model(path, engine="tree")
    with pytest.raises(InputError, match="engine 'c' is unknown"):
        load_model(path, engine="c")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"prescribed": ["hip"]}, "stepped by MJX, where no coordinate is prescribed or locked"),
        ({"muscle": "degroote"}, "stepped by MJX, whose muscle is MuJoCo's own"),
    ],
)
def test_what_mjx_cannot_do_is_said(arguments, match, tmp_path):
    path = tmp_path / "leg.xml"
    path.write_text(LEG.format(rail='frictionloss="2"', motor=""))
    with pytest.raises(InputError, match=match):
        load_model(path, **arguments)


def test_synthetic_trials_need_the_tree(leg):
    with pytest.raises(InputError, match=r"synthetic_trials is not there for model .* stepped by MJX; load a part"):
        synthetic_trials(leg, leg.nominal)


@pytest.mark.slow
def test_a_landing_is_that_of_c_and_so_are_its_derivatives(leg, tmp_path):
    """Through the first contact and the knee's limit, for another person; forward mode against differences of C."""
    start, u = landing(leg)
    someone = leg.nominal.updated(
        {"body/shank/mass": 3.1, "muscle/vas/max_isometric_force": 1500, "joint/hip/damping": 0.9}
    )
    run = jit(lambda p: rollout(leg, p, start, u).position)
    got = np.asarray(run(someone))
    m = mujoco.MjModel.from_xml_path(str(export(leg, someone, tmp_path / "out.xml")))
    expected, touched = in_c(m, start, u)
    assert 40 < touched < 200, "it falls, and lands"
    np.testing.assert_allclose(got, expected, atol=1e-7)

    free = ["body/shank/*", "muscle/vas/max_isometric_force", "muscle/ham/tendon_slack_length", "joint/hip/damping"]
    space = parameter_space(someone, free)
    z = np.asarray(space.pack(someone))
    tangent = jit(
        lambda t: jax.jvp(lambda x: rollout(leg, space.unpack(x), start, u).position, (jnp.asarray(z),), (t,))[1]
    )
    for k, path in enumerate(space.paths):
        ends, h = [], 1e-5
        for side in (-h, h):
            other = jax.tree.map(np.asarray, space.unpack(jnp.asarray(z + side * np.eye(space.size)[k])))
            ends.append(
                in_c(mujoco.MjModel.from_xml_path(str(export(leg, other, tmp_path / "other.xml"))), start, u)[0]
            )
        difference = (ends[1] - ends[0]) / (2 * h)
        slope = np.asarray(tangent(jnp.eye(space.size)[k]))
        size = max(np.abs(difference).max(), 1e-6)
        assert np.abs(slope - difference).max() < 2e-3 * size, (path, np.abs(slope - difference).max() / size)


@pytest.mark.slow
def test_free_and_ball_joints_and_a_failure(tmp_path):
    path = tmp_path / "floating.xml"
    path.write_text(FLOATING)
    model = load_model(path)
    assert model.host.engine == "mjx"
    assert model.coordinates[:3] == ("root/x", "root/y", "root/z")
    assert model.coordinates[-1] == "wrist"
    assert model.nominal.names.joint == ("wrist",)
    start = initial_state(model)
    velocity = np.random.default_rng(0).normal(size=model.host.dofs)
    velocity[2] = -0.5  # down to the ground
    start = State(start.position, jnp.asarray(velocity), start.activation + 0.2)
    u = jnp.full((150, 1), 0.4)
    someone = model.nominal.updated({"body/arm/mass": 1.0, "joint/wrist/damping": 0.05})
    moved = rollout(model, someone, start, u)
    m = mujoco.MjModel.from_xml_path(str(export(model, someone, tmp_path / "out.xml")))
    expected, touched = in_c(m, start, u)
    assert touched > 10
    np.testing.assert_allclose(moved.position, expected, atol=1e-7)
    assert moved.ok
    gone = rollout(model, someone.updated({"body/arm/mass": np.nan}), start, u)
    assert int(gone.failed_step) == 0
    assert np.isfinite(gone.position).all()
    again = load_model(tmp_path / "out.xml")
    assert again.host.engine == "mjx"
    assert again.nominal.to_dict()["body/arm/mass"] == 1.0
