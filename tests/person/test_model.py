"""Loading: bundled models, coordinates and their roles, what is refused, what is rewritten and why it stays exact."""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm import assets
from mjx_msm.common.compiled import jit
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.simulation import initial_state, rollout
from mjx_msm.estimation.checkpoint import computed_from
from mjx_msm.person.degroote import DeGrooteFregly2016
from mjx_msm.person.mjcf import LIMIT_STIFFNESS
from mjx_msm.person.model import load_model
from mjx_msm.person.muscle import MujocoMuscle
from mjx_msm.person.personalisation import export
from mjx_msm.person.scaling import scale

pytestmark = pytest.mark.usefixtures("x64")

# A third party's arm, as MyoSuite writes them: limits, contacts, implicit integrator, muscles with automatic force.
THIRD_PARTY = """<mujoco model="third party">
  <compiler {compiler}/>
  <option timestep="0.002" {option}>{flag}</option>
  <default>
    <tendon width="0.003" {tendon_default}/>
    <geom rgba="0.8 0.7 0.6 1"/>
  </default>
  <worldbody>
    <geom name="floor" type="plane" size="1 1 0.1" pos="0 0 -1"/>
    <site name="shoulder_front" pos="0.03 0 0"/>
    <site name="shoulder_back" pos="-0.03 0 0"/>
    <body {body}>
      <joint name="shoulder" axis="0 -1 0" range="-60 120" limited="true" damping="0.2" {joint}/>
      <geom name="humerus" type="capsule" fromto="0 0 0 0 0 -0.3" size="0.02"/>
      <geom name="shaft" type="cylinder" size="0.025 0.05" pos="0 0 -0.3" euler="90 0 0" contype="0" conaffinity="0"/>
      <site name="mid_front" pos="0.025 0 -0.15"/>
      <site name="mid_back" pos="-0.025 0 -0.15"/>
      <site name="inside" pos="0 0.01 -0.31"/>
      <body name="lower" pos="0 0 -0.3">
        <joint name="elbow" axis="0 -1 0" range="0 140" damping="0.1" limited="true"/>
        <geom name="forearm" type="capsule" fromto="0 0 0 0 0 -0.25" size="0.018"/>
        <site name="hand_front" pos="0.02 0 -0.06"/>
        <site name="hand_back" pos="-0.02 0 -0.03"/>
        {inner}
      </body>
    </body>
  </worldbody>
  <tendon>
    <spatial name="biceps_path" {tendon}>
      <site site="shoulder_front"/><site site="mid_front"/><site site="hand_front"/>
    </spatial>
    <spatial name="triceps_path">
      <site site="shoulder_back"/><site site="mid_back"/><geom geom="shaft" {side}/><site site="hand_back"/>
    </spatial>
    {tendons}
  </tendon>
  <actuator>
    <muscle name="biceps" tendon="biceps_path" {muscle}/>
    <muscle name="triceps" tendon="triceps_path" force="300"/>
    {actuator}
  </actuator>
  {extra}
</mujoco>"""
SLOTS = ("compiler", "option", "flag", "tendon_default", "joint", "inner", "tendon", "side", "tendons")
BLANK = dict.fromkeys((*SLOTS, "muscle", "actuator", "extra"), "") | {"body": 'name="upper"'}


@pytest.fixture
def write(tmp_path):
    def make(**changes):
        path = tmp_path / "third_party.xml"
        path.write_text(THIRD_PARTY.format(**(BLANK | changes)))
        return path

    return make


# Bundled models --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", assets.names())
def test_bundled_models_load_as_they_are(name):
    model = load_model(name)
    assert model.host.notes == ()
    assert model.free == model.coordinates
    assert model.prescribed == ()
    assert all(np.isfinite(v) for v in model.nominal.to_dict().values())
    m = model.nominal.muscle
    assert (np.stack([m.max_isometric_force, m.optimal_fiber_length, m.tendon_slack_length]) > 0).all()
    assert (m.passive_force_scale > 0).all()
    assert model.timestep == model.host.mj_model.opt.timestep
    assert any(t.name == "credit" for t in model.host.spec.texts)


def test_nominal_parameters_are_those_of_the_file(arm):
    """F = F0·FL·a at optimal length: at L = l_slack + l_opt, an isometric native muscle gives its whole force in C."""
    mj = arm.host.mj_model
    p = arm.nominal.muscle
    for i in range(mj.nu):
        length = p.tendon_slack_length[i] + p.optimal_fiber_length[i]
        force = mujoco.mju_muscleGain(
            length, 0, mj.actuator_lengthrange[i], mj.actuator_acc0[i], mj.actuator_gainprm[i, :9]
        )
        np.testing.assert_allclose(force, -p.max_isometric_force[i], rtol=1e-12)
    assert list(arm.nominal.names.body) == [mj.body(b).name for b in arm.host.body_ids]
    np.testing.assert_allclose(arm.nominal.joint.damping, mj.dof_damping)


# Roles -----------------------------------------------------------------------------------------------------


def test_roles():
    model = load_model("knee", prescribed=["ankle_angle", "hip_flexion"])
    assert model.coordinates == ("hip_flexion", "knee_angle", "ankle_angle")
    assert model.free == ("knee_angle",)
    assert model.prescribed == ("hip_flexion", "ankle_angle"), "in the model's order, whatever the caller's"
    model = load_model("knee", free=["knee_angle"], prescribed=["hip_flexion"], locked={"ankle_angle": 0.1})
    assert dict(model.host.locked) == {"ankle_angle": 0.1}
    assert initial_state(model).position[2] == 0.1
    np.testing.assert_array_equal(model.host.free_index, [1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prescribed": ["knee"]}, r"prescribed coordinate 'knee' is not in the model \(closest: 'knee_angle'\)"),
        ({"free": ["hip"]}, "free coordinate 'hip' is not in the model"),
        ({"locked": {"ankle": 0.0}}, "locked coordinate 'ankle' is not in the model"),
        ({"free": ["knee_angle"]}, "coordinate 'hip_flexion' has no role; make it free, prescribed or locked"),
        ({"prescribed": ["knee_angle"], "locked": {"knee_angle": 0}}, "'knee_angle' has more than one role"),
        ({"muscle": "hill"}, "muscle model 'hill' is unknown; choose one of mujoco, degroote"),
        ({"timestep": 0}, "timestep 0"),
        ({"timestep": -0.001}, "timestep -0.001"),
        ({"timestep": float("nan")}, "timestep must be a number, got NaN"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        load_model("knee", **arguments)


def test_muscle_models():
    native = load_model("arm").muscle
    assert isinstance(native, MujocoMuscle)
    np.testing.assert_allclose(native.lmax, 1.72)  # the file's own curves
    assert isinstance(load_model("arm", muscle="degroote").muscle, DeGrooteFregly2016)
    own = DeGrooteFregly2016(fiber_damping=0.1)
    assert load_model("arm", muscle=own).muscle is own


def test_threads_that_ask_for_its_xml_at_once_get_what_one_gets():
    """MuJoCo ends a process where two threads write the same spec, and its precision is the process's."""
    model = load_model("arm")

    def what(k):
        if k % 3 == 0:
            return hash(replace(model.host))  # what is cached, is not there yet
        return pickle.dumps(model.host) if k % 3 == 1 else computed_from(model, [])

    alone, before = [what(k) for k in range(3)], sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(what, range(60)))
    finally:
        sys.setswitchinterval(before)
    assert found == alone * 20


def test_the_same_model_loaded_again_is_compiled_for_once():
    """Whatever tells two models apart tells their hosts apart; what does not, shares what was compiled."""
    first, again = load_model("arm"), load_model("arm")
    assert first.host == again.host == pickle.loads(pickle.dumps(first.host))
    assert hash(first.host) == hash(again.host)
    others: dict[str, Any] = {
        "timestep": 0.001, "integrator": "Euler", "prescribed": ["elbow_flex"], "locked": {"elbow_flex": 1.0},
        "joints": ["elbow_flex"], "muscles": ["BRA", "BIClong"],
    }  # fmt: skip
    hosts = {load_model("arm", **{name: value}).host for name, value in others.items()} | {load_model("knee").host}
    assert len(hosts | {first.host}) == len(others) + 2
    assert scale(first, factors={"forearm": 1.01}).host not in {*hosts, first.host}
    traced = []

    @jit
    def total(model, x):
        traced.append(model)
        return x + model.nominal.body.mass.sum()

    totals = [float(total(model, jnp.zeros(()))) for model in (first, again)]
    assert len(traced) == 1
    heavier = again.nominal.updated({"body/forearm/mass": 3.0})
    assert float(total(replace(again, nominal=heavier), jnp.zeros(()))) > totals[0] == totals[1]
    assert len(traced) == 1


def test_timestep():
    model = load_model("arm", timestep=0.0005)
    assert model.timestep == model.host.mj_model.opt.timestep == model.mjx_model.opt.timestep == 0.0005


# What is refused -------------------------------------------------------------------------------------------

BALL = '<body name="ball" pos="1 0 0"><freejoint name="float"/><geom size="0.1"/></body>'
REFUSED = {
    "ball joint": (
        {"inner": '<body name="hand"><joint name="wrist" type="ball"/><geom size="0.03"/></body>'},
        "'wrist' is a free or ball joint",
    ),
    "polynomial stiffness": ({"joint": 'stiffness="1 2 3"'}, "'shoulder' has polynomial stiffness or damping"),
    "dry friction": ({"joint": 'frictionloss="0.1"'}, "'shoulder' has dry friction"),
    "joint force limit": (
        {"joint": 'actuatorfrcrange="-1 1" actuatorfrclimited="true"'},
        "'shoulder' limits its actuator force; remove actuatorfrcrange",
    ),
    "gravity compensation by actuators": ({"joint": 'actuatorgravcomp="true"'}, "'shoulder' compensates gravity"),
    "motor along a tendon": (
        {"actuator": '<motor name="drive" tendon="biceps_path"/>'}, "not a muscle, and does not act on a joint",
    ),
    "limited servo": (
        {"actuator": '<position name="drive" joint="elbow" forcerange="-1 1"/>'}, "a servo whose force is limited",
    ),
    "integrated velocity": (
        {"actuator": '<intvelocity name="drive" joint="elbow" actrange="-1 1"/>'}, "dynamics of its own",
    ),
    "actearly": (
        {"actuator": '<general name="odd" tendon="biceps_path" dyntype="muscle" gaintype="muscle" biastype="muscle"'
         ' dynprm="0.01 0.04" lengthrange="0.1 0.4" actearly="true"'
         ' gainprm="0.7 1 100 200 0.5 1.6 1.5 1.3 1.2" biasprm="0.7 1 100 200 0.5 1.6 1.5 1.3 1.2"/>'},
        "muscle 'odd' uses actearly",
    ),
    "force range": ({"muscle": 'forcerange="-100 0" forcelimited="true"'}, "'biceps' limits its force or activation"),
    "tendon limit": ({"tendon": 'range="0.1 0.5" limited="true" stiffness="1"'}, "tendon 'biceps_path' has a limit"),
    "tendon friction": ({"tendon": 'frictionloss="1"'}, "tendon 'biceps_path' has dry friction"),
    "tendon polynomial": ({"tendon": 'stiffness="1 2 3"'}, "tendon 'biceps_path' has polynomial stiffness"),
    "equality": (
        {"extra": '<equality><connect name="couple" body1="upper" anchor="0 0 0"/></equality>'},
        "equality constraint 'couple' needs a constraint solver",
    ),
    "circle": (
        {"extra": '<equality><joint joint1="elbow" joint2="shoulder"/>'
         '<joint joint1="shoulder" joint2="elbow"/></equality>'},
        "follows itself",
    ),
    "twice": (
        {"extra": '<equality><joint joint1="elbow" joint2="shoulder"/><joint joint1="elbow"/></equality>'},
        "joint 'elbow' follows two equality constraints",
    ),
    "muscle on a follower": (
        {"extra": '<equality><joint joint1="elbow" joint2="shoulder"/></equality>',
         "actuator": '<motor name="m" joint="elbow"/>'},
        "actuator 'm' acts on a joint that follows another",
    ),
    "eulerdamp": ({"flag": '<flag eulerdamp="disable"/>'}, 'eulerdamp="disable" is not followed'),
    "actuation": ({"flag": '<flag actuation="disable"/>'}, 'actuation="disable" is not followed'),
    "springs": ({"flag": '<flag spring="disable"/>'}, 'spring="disable" is not followed'),
    "dampers": ({"flag": '<flag damper="disable"/>'}, 'damper="disable" is not followed'),
    "actuator groups": ({"option": 'actuatorgroupdisable="0"'}, "disables actuator groups"),
    "fluid": ({"option": 'density="1000"'}, "moves in a fluid"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, write):
    changes, message = REFUSED[case]
    path = write(**changes)
    mujoco.MjModel.from_xml_path(str(path))  # MuJoCo itself takes the file, and MJX some: our reason is tested
    with pytest.raises(InputError) as error:
        load_model(path, engine="tree")
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_not_a_model(tmp_path):
    with pytest.raises(InputError, match=r"'leg' is neither a bundled model .*'arm'.* nor an existing MJCF or OpenSim"):
        load_model("leg")
    with pytest.raises(InputError, match="did you mean 'knee'"):
        load_model("kne")
    with pytest.raises(InputError, match=r"is an empty folder, and a model \(MJCF\)"):
        load_model(tmp_path)
    broken = tmp_path / "broken.xml"
    broken.write_text("<mujoco><worldbody></mujoco>")
    with pytest.raises(InputError, match=r"broken\.xml' does not compile"):
        load_model(broken)
    broken.write_text("<mujoco><worldbody/></mujoco>")
    with pytest.raises(InputError, match="it has no actuators"):
        load_model(broken)


# What is rewritten -----------------------------------------------------------------------------------------


def test_a_third_party_file_is_simplified_and_stays_exact(write, tmp_path, step_in_c, smooth_excitation):
    """Limits become stops, contacts and the implicit integrator go, the automatic force is written out, all named;
    device, host and exported file then step alike, through both stops of both joints."""
    path = write(
        option='integrator="implicitfast" solver="PGS"',
        tendon_default='damping="3" stiffness="5"',
        compiler='boundmass="1.5"',
    )
    raw = mujoco.MjModel.from_xml_path(str(path))
    model = load_model(path)
    notes = " | ".join(model.host.notes)
    automatic = 200 / raw.actuator_acc0[0]
    for text in (
        "integrator set to Euler",
        f"limits of shoulder, elbow turned into stops of {LIMIT_STIFFNESS:g} N·m/rad",
        "contacts disabled",
        f"automatic force of biceps written out: {automatic:.1f} N",
    ):
        assert text in notes
    m = model.host.mj_model
    assert m.opt.integrator == mujoco.mjtIntegrator.mjINT_EULER
    assert not m.jnt_limited.any()
    assert m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_CONTACT
    for j, name in enumerate(model.coordinates):
        stop = m.tendon(f"{name}_stop").id
        np.testing.assert_allclose(m.tendon_lengthspring[stop], raw.jnt_range[j])
        assert m.tendon_stiffness[stop] == LIMIT_STIFFNESS
        assert m.tendon_damping[stop] == 0, "the file's defaults are for its own tendons"
    np.testing.assert_allclose(m.actuator_gainprm[:, 2], [automatic, 300])
    np.testing.assert_array_equal(m.actuator_gainprm[:, :9], m.actuator_biasprm[:, :9])
    np.testing.assert_allclose(m.actuator_lengthrange, raw.actuator_lengthrange)
    np.testing.assert_allclose(m.body_mass, raw.body_mass)
    np.testing.assert_array_equal(m.body_mass[1:], 1.5)
    np.testing.assert_allclose(m.body_inertia, raw.body_inertia)
    assert model.nominal.names.body == ("upper", "lower")

    changed = model.nominal.updated({"body/lower/mass": 2.5, "muscle/biceps/max_isometric_force": 500})
    for parameters in (model.nominal, changed):
        exported = mujoco.MjModel.from_xml_path(str(export(model, parameters, tmp_path / "out" / "subject.xml")))
        reached = []
        for seed, (position, velocity) in enumerate(
            (((0.5, 1.0), (0, 0)), ((2.0, 2.4), (8, 9)), ((-1, 0.05), (-8, -9)))
        ):
            u = smooth_excitation(seed, model.timestep, 500, 2)
            start = initial_state(model, dict(zip(model.coordinates, position, strict=True)))
            start = type(start)(start.position, jnp.asarray(velocity, dtype=float), start.activation)
            q, _, _ = step_in_c(exported, position, velocity, np.zeros(2), u)
            result = rollout(model, parameters, start, jnp.asarray(u))
            np.testing.assert_allclose(result.position, q, rtol=0, atol=1e-9)
            reached.append(np.stack([q.min(0) < raw.jnt_range[:, 0], q.max(0) > raw.jnt_range[:, 1]]))
        assert np.any(reached, axis=0).all()

    again = load_model(tmp_path / "out" / "subject.xml")
    assert again.host.notes == (), "an exported file needs nothing done to it"


def test_gains_of_a_flagless_file_are_kept(write):
    """Nothing to simplify, nothing noted, nothing changed."""
    path = write(flag='<flag contact="disable"/>', joint='actuatorfrclimited="false"', muscle='force="200"')
    text = (
        path.read_text().replace('limited="true"', 'limited="false"').replace('limited="false"/>', 'limited="false"/>')
    )
    path.write_text(text)
    raw, model = mujoco.MjModel.from_xml_path(str(path)), load_model(path)
    assert model.host.notes == ()
    for field in (
        "actuator_gainprm",
        "actuator_biasprm",
        "actuator_lengthrange",
        "body_mass",
        "body_inertia",
        "dof_M0",
    ):
        np.testing.assert_array_equal(getattr(model.host.mj_model, field), getattr(raw, field))


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('pos="0.02 0 -0.1"', 'pos="inf 0 -0.1"', "pos of site 'b' is not a finite number"),
        ('pos="0.02 0 -0.1"', 'pos="nan 0 -0.1"', "pos of site 'b' is not a finite number"),
        ('pos="0 0 -0.2"', 'pos="0 1e999 -0.2"', "does not compile|not a finite number"),
        ('damping="0.1"', 'damping="inf"', "damping of dof .* is not a finite number"),
        ('force="300"', 'force="inf"', "of actuator 'flexor' is not a finite number"),
        ('pos="0.02 0 -0.1"', 'pos="1e300 0 -0.1"', "not finite|not a finite number"),
    ],
)
def test_numbers_that_are_not_finite_are_refused(tmp_path, old, new, match):
    path = tmp_path / "finger.xml"
    path.write_text(FINGER)
    load_model(path)
    assert old in FINGER
    path.write_text(FINGER.replace(old, new))
    with pytest.raises(InputError, match=match):
        load_model(path)


FINGER = """<mujoco model="finger"><compiler angle="radian"/><worldbody><site name="a" pos="0.1 0 0.2"/>
<body name="bone"><joint name="bend" axis="0 1 0" damping="0.1"/>
<inertial pos="0 0 -0.1" mass="1" diaginertia="0.01 0.01 0.001"/><site name="b" pos="0.02 0 -0.1"/>
<body name="tip" pos="0 0 -0.2"><joint name="curl" axis="0 1 0"/><geom size="0.03" mass="0.2"/><site name="c"/></body>
</body></worldbody><tendon><spatial name="path"><site site="a"/><site site="b"/><site site="c"/></spatial></tendon>
<actuator><muscle name="flexor" tendon="path" force="300" lengthrange="0.2 0.5" range="0.7 1.1"/></actuator></mujoco>"""


@pytest.mark.parametrize(
    ("name", "words"),
    [("scaled.osim", "OpenSim cannot load it|needs the package opensim"), ("person.mjb", "a compiled MuJoCo model")],
)
def test_other_kinds_of_models_are_named(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"<OpenSimDocument/>")
    with pytest.raises(InputError, match=words):
        load_model(tmp_path / name)
