"""What is done with valid files as others write them: inertias, names, excitation ranges, motors, slack lengths."""

import itertools

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm.common.errors import InputError, InputWarning
from mjx_msm.dynamics.simulation import initial_state, rollout
from mjx_msm.person.model import load_model
from mjx_msm.person.personalisation import export
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.synthetic import synthetic_subject

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.filterwarnings("ignore:.*slack length below zero")]

LIMB = """<mujoco><compiler angle="radian" {compiler}/><option timestep="0.002"/><worldbody>
<site name="a" pos="0.1 0 0.2"/>
<body {bone}><joint {bend} axis="0 1 0" damping="0.4"/>{inertia}<site name="b" pos="0.03 0 -0.1"/>
<body name="tip" pos="0 0 -0.2"><joint name="curl" axis="0 1 0" damping="0.3"/><geom size="0.05" mass="0.3"/>
<site name="c" pos="0.04 0 -0.02"/></body></body></worldbody>
<tendon><spatial name="path"><site site="a"/><site site="b"/><site site="c"/></spatial></tendon>
<actuator><muscle {muscle} tendon="path" force="60" lengthrange="0.2 0.5" range="{range}"/>{actuator}</actuator>{more}
</mujoco>"""
BLANK = {
    "compiler": "", "bone": 'name="bone"', "bend": 'name="bend"', "muscle": 'name="flexor"', "range": "0.4 1.1",
    "inertia": '<inertial pos="0 0 -0.1" mass="1" diaginertia="0.01 0.01 0.002"/>', "actuator": "", "more": "",
}  # fmt: skip


@pytest.fixture
def limb(tmp_path):
    def write(**changes):
        path = tmp_path / "limb.xml"
        path.write_text(LIMB.format(**(BLANK | changes)))
        return path

    return write


# Inertias --------------------------------------------------------------------------------------------------

GEOM = '<geom type="capsule" fromto="0 0 0 0 0 -0.2" size="0.03" mass="1"/>'
PLACE = '<inertial pos="0 0.01 -0.1" mass="1"'
INERTIAS = {
    "full": f'{PLACE} fullinertia="0.01 0.012 0.003 0.001 0 0.0005"/>',
    "diagonal": f'{PLACE} diaginertia="0.01 0.01 0.002"/>',
    "turned": f'{PLACE} euler="0.3 0.2 0.1" diaginertia="0.01 0.012 0.003"/>',
    "turned by an axis": f'{PLACE} axisangle="0 1 0 0.4" diaginertia="0.01 0.012 0.003"/>',
    "geoms": GEOM,
    "both": f'{PLACE} fullinertia="0.01 0.012 0.003 0.001 0 0.0005"/>{GEOM}',
    "unbalanced": f'{PLACE} diaginertia="0.01 0.03 0.002"/>',
}
GUARDS = {
    "none": "",
    "boundmass": 'boundmass="0.5"',
    "boundinertia": 'boundinertia="0.004"',
    "settotalmass": 'settotalmass="3"',
    "inertiafromgeom": 'inertiafromgeom="true"',
    "balanceinertia": 'balanceinertia="true"',
    "all": 'boundmass="0.5" boundinertia="0.004" settotalmass="3" balanceinertia="true"',
}


@pytest.mark.parametrize(("written", "guard"), list(itertools.product(INERTIAS, GUARDS)))
def test_every_inertia_under_every_guard(written, guard, limb, tmp_path):
    path = limb(inertia=INERTIAS[written], compiler=GUARDS[guard])
    try:
        raw = mujoco.MjModel.from_xml_path(str(path))
    except ValueError:
        with pytest.raises(InputError, match="does not compile"):
            load_model(path)
        return
    model = load_model(path)
    files = [model.host.mj_model, model.host.skeleton]
    files.append(mujoco.MjModel.from_xml_path(str(export(model, model.nominal, tmp_path / "out.xml"))))
    for m in files:
        np.testing.assert_allclose(m.body_mass, raw.body_mass, rtol=1e-12)
        np.testing.assert_allclose(m.body_ipos, raw.body_ipos, atol=1e-12)
        np.testing.assert_allclose(full_inertias(m), full_inertias(raw), rtol=1e-9, atol=1e-13)
    heavier = model.nominal.updated({"body/bone/mass": 2.5 * model.nominal.body.mass[0]})
    heavy = mujoco.MjModel.from_xml_path(str(export(model, heavier, tmp_path / "out.xml")))
    np.testing.assert_allclose(heavy.body("bone").mass, 2.5 * raw.body("bone").mass, rtol=1e-12)
    np.testing.assert_allclose(full_inertias(heavy), full_inertias(raw), rtol=1e-9, atol=1e-13)


def full_inertias(m):
    out = []
    for b in range(1, m.nbody):
        turn = np.zeros(9)
        mujoco.mju_quat2Mat(turn, m.body_iquat[b])
        out.append(turn.reshape(3, 3) @ np.diag(m.body_inertia[b]) @ turn.reshape(3, 3).T)
    return np.array(out)


# Names and ranges ------------------------------------------------------------------------------------------


def test_what_has_no_name_gets_one(limb):
    model = load_model(limb(bone="", bend="", muscle="", more=""))
    assert model.coordinates == ("joint_0", "curl")
    assert model.muscles == ("actuator_0",)
    assert model.nominal.names.body == ("body_1", "tip")
    notes = " | ".join(model.host.notes)
    for text in ("unnamed joints named joint_0", "unnamed bodies named body_1", "unnamed actuators named actuator_0"):
        assert text in notes


def test_given_names_do_not_meet_those_of_others(limb):
    model = load_model(limb(bend="", more="").with_suffix(".xml"))
    assert "joint_0" in model.coordinates
    path = limb(bend="")
    path.write_text(path.read_text().replace('"curl"', '"joint_0"'))
    assert load_model(path).coordinates == ("joint_0_", "joint_0")


@pytest.mark.parametrize("limits", ["0.001 1", "0 0.5", "0.2 0.4"])
def test_a_narrow_excitation_range_is_widened(limits, limb, tmp_path):
    model = load_model(limb(muscle=f'name="flexor" ctrlrange="{limits}" ctrllimited="true"'))
    assert "excitation range of flexor widened to 0..1" in model.host.notes
    np.testing.assert_array_equal(model.host.mj_model.actuator_ctrlrange, [[0, 1]])
    assert load_model(export(model, model.nominal, tmp_path / "out.xml")).host.notes == ()


def test_a_passive_force_of_its_own_strength(limb, tmp_path):
    """Strength and fpmax of biasprm come in as a product, active-only numbers of biasprm do not matter."""
    odd = (
        '<general name="odd" joint="curl" gear="0.1" dyntype="muscle" gaintype="muscle" biastype="muscle"'
        ' dynprm="0.01 0.04" lengthrange="-0.2 0.2"'
        ' gainprm="0.7 1.3 100 200 0.5 1.6 1.5 1.3 1.2" biasprm="0.7 1.3 50 200 0.9 1.6 2.5 1.9 1.7"/>'
    )
    path = limb(actuator=odd)
    raw, model = mujoco.MjModel.from_xml_path(str(path)), load_model(path)
    assert "passive strength of odd, given in biasprm, written as gainprm's fpmax" in model.host.notes
    exported = mujoco.MjModel.from_xml_path(str(export(model, model.nominal, tmp_path / "out.xml")))
    forces = []
    for m in (raw, model.host.mj_model, exported):
        d = mujoco.MjData(m)
        d.qpos[:], d.qvel[:], d.act[:] = [0.1, 1.7], [0.2, 0.5], [0.3, 0.4]
        mujoco.mj_forward(m, d)
        forces.append(d.actuator_force.copy())
    assert abs(forces[0][1]) > 1
    np.testing.assert_allclose(forces[1:], [forces[0]] * 2, rtol=1e-12)


def test_a_passive_force_of_another_length_is_said(limb):
    """As that of MyoSim's SUPSP: the active numbers are taken, and what that changes is stated."""
    odd = (
        '<general name="odd" joint="curl" gear="0.1" dyntype="muscle" gaintype="muscle" biastype="muscle"'
        ' dynprm="0.01 0.04" lengthrange="-0.2 0.2"'
        ' gainprm="0.7 1.3 100 200 0.5 1.6 1.5 1.3 1.2" biasprm="0.7 1.6 100 200 0.5 1.6 1.5 1.3 1.2"/>'
    )
    path = limb(actuator=odd)
    model, raw = load_model(path), mujoco.MjModel.from_xml_path(str(path))
    # where the range ends, the fiber of 0.4/0.6 m is at 1.3 l_opt, that of 0.4/0.9 m at 1.6: of half of lmax's stretch
    forces = []
    for m in (raw, model.host.mj_model):
        d = mujoco.MjData(m)
        d.qpos[:] = [0, 2.0]
        mujoco.mj_forward(m, d)
        forces.append(d.actuator_force[1])
    assert f"changes it by up to {forces[1] - forces[0]:.1f} N over its length range" in " ".join(model.host.notes)
    assert forces[1] - forces[0] > 50


def test_limits_of_tendons_become_stops(limb):
    path = limb()
    path.write_text(path.read_text().replace('name="path"', 'name="path" limited="true" range="0.3 0.42"'))
    model = load_model(path)
    assert "limits of tendons path turned into stops of 20000 N/m" in model.host.notes
    m = model.host.mj_model
    np.testing.assert_array_equal(m.tendon_lengthspring, [*[[0.3, 0.42]]])
    assert m.tendon_stiffness[0] == 20e3
    assert not m.tendon_limited.any()


def test_all_obstacles_are_said_at_once(limb):
    path = limb(
        bend='name="bend" frictionloss="1"', muscle='name="flexor" forcerange="-9 0"',
        more='<equality><weld body1="tip"/></equality>', compiler='autolimits="true"',
    )  # fmt: skip
    with pytest.raises(InputError) as error:
        load_model(path, engine="tree")
    text = str(error.value)
    for part in ("has 3 obstacles: (1) joint 'bend' has dry friction", "(2) muscle 'flexor' limits its force", "(3) "):
        assert part in text
    two = path.read_text().replace('name="curl"', 'name="curl" frictionloss="2"')
    path.write_text(two)
    with pytest.raises(InputError, match=r"joint 'bend' \(and 1 more\) has dry friction"):
        load_model(path, engine="tree")


# Motors and servos -----------------------------------------------------------------------------------------

MOTORS = """<motor name="pull" joint="curl" gear="-2" ctrlrange="-0.5 0.5" forcerange="-0.3 0.4"/>
<position name="hold" joint="bend" kp="3" dampratio="0.7" ctrlrange="-1 1"/>
<general name="push" joint="curl" gear="0.5" gaintype="fixed" gainprm="2" biastype="affine" biasprm="0.4 -0.3 -0.1"/>"""


@pytest.mark.slow
@pytest.mark.parametrize("integrator", ["Euler", "RK4"])
def test_motors_are_known_inputs(integrator, limb, tmp_path):
    """C with all actuators against ours: zero, and given, beyond what they are clamped to; for another person, too."""
    model = load_model(limb(actuator=MOTORS), integrator=integrator)
    assert [i.name for i in model.host.inputs] == ["pull", "hold", "push"]
    assert model.muscles == ("flexor",)
    assert "not muscles, but known inputs, zero unless given: 'pull', 'hold', 'push'" in model.host.notes
    parameters = model.nominal.updated({"body/tip/mass": 0.5, "joint/bend/damping": 0.2})
    exported = mujoco.MjModel.from_xml_path(str(export(model, parameters, tmp_path / "out.xml")))
    assert exported.nu == 4
    rng, steps = np.random.default_rng(3), 200
    for given in (None, rng.uniform(-1.5, 1.5, (steps, 3))):
        d = mujoco.MjData(exported)
        d.qpos[:], expected = [0.4, 0.3], []
        excitation = np.full((steps, 1), 0.4)
        for k in range(steps):
            d.ctrl[:] = [0.4, *(np.zeros(3) if given is None else given[k])]
            mujoco.mj_step(exported, d)
            expected.append(d.qpos.copy())
        start = initial_state(model, {"bend": 0.4, "curl": 0.3})
        got = rollout(model, parameters, start, jnp.asarray(excitation), inputs=given)
        np.testing.assert_allclose(got.position[1:], expected, atol=1e-9)
    again = load_model(tmp_path / "out.xml")
    assert again.host.inputs == model.host.inputs
    with pytest.raises(InputError, match="`inputs` has shape"):
        rollout(model, parameters, start, jnp.asarray(excitation), inputs=np.zeros((steps, 2)))


def test_motors_alone_are_no_model(limb):
    path = limb(actuator=MOTORS)
    text = path.read_text()
    begin, end = text.index("<muscle"), text.index("/>", text.index("<muscle")) + 2
    path.write_text(text[:begin] + text[end:])
    with pytest.raises(InputError, match="none of its actuators is a muscle"):
        load_model(path)


# Slack lengths ---------------------------------------------------------------------------------------------


def test_a_negative_slack_length_is_said_and_can_be_replaced(limb):
    """range="0.75 1.05" of a length range 0.2..0.5 m is an optimal length of 1 m and a slack length of −0.55 m."""
    with pytest.warns(InputWarning, match=r"1 of 1 muscles \(flexor\) .*below zero.*worst: flexor, -550 mm"):
        model = load_model(limb(range="0.75 1.05"))
    path = "muscle/flexor/tendon_slack_length"
    assert model.nominal.to_dict()[path] == pytest.approx(-0.55)
    someone = synthetic_subject(model, seed=1)
    assert someone.to_dict()[path] == model.nominal.to_dict()[path], "it has no scale"
    assert someone.to_dict()["body/bone/mass"] != model.nominal.to_dict()["body/bone/mass"]
    with pytest.raises(InputError, match=r"tendon_slack_length is not physically possible .* give its prior a mean"):
        parameter_space(model.nominal, ["muscle/*/*_length"])
    space = parameter_space(model.nominal, ["muscle/*/*_length"], priors={path: {"mean": 0.12}})
    np.testing.assert_allclose(space.physical(space.prior_mean), [1.0, 0.12])
    assert np.all(space.lower < space.prior_mean)


# Other files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("robot.urdf", "<robot name='r'/>", "is a URDF, which holds no muscles"),
        ("robot.xml", "<?xml version='1.0'?><!-- <mujoco> --><robot name='r'/>", "is a URDF"),
        (
            "legs.xml",
            '<?xml version="1.0"?><OpenSimDocument Version="40000"/>',
            "OpenSim cannot load it|needs the package opensim",
        ),
        ("part.xml", "<mujocoinclude><body/></mujocoinclude>", "is a part of a model .*load the file that includes it"),
    ],
)
def test_other_files_are_named(tmp_path, name, text, match):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=match):
        load_model(tmp_path / name)


def test_the_file_that_includes_a_part_is_found(tmp_path):
    (tmp_path / "parts").mkdir()
    part = tmp_path / "parts" / "part.xml"
    part.write_text("<mujocoinclude/>")
    (tmp_path / "whole.xml").write_text('<mujoco><include file="parts/part.xml"/></mujoco>')
    with pytest.raises(InputError, match=r"e\.g\. '.*whole\.xml'"):
        load_model(part)
