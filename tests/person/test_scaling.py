"""A model at a person's size: against OpenSim's own scaling, de Leva's tables, and what scaling has to keep."""

import json

import mujoco
import numpy as np
import pytest
from made_result import made_result

import mjx_msm as msm
from mjx_msm.common.errors import InputError
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.anthropometry import limb, segment_length
from mjx_msm.person.couplings import whole_position
from mjx_msm.person.model import model_of
from mjx_msm.person.scaled_geometry import path_lengths
from mjx_msm.person.scaling import described, muscle_volume, scale, with_factors
from mjx_msm.person.space import parameter_space

pytestmark = pytest.mark.usefixtures("x64")


def every_body(model, factor):
    return {b.name: factor for b in model.host.spec.bodies[1:]}


def assert_same(one, other, tolerance=1e-9):
    a, b = one.to_dict(), other.to_dict()
    assert a.keys() == b.keys()
    for path, value in a.items():
        assert b[path] == pytest.approx(value, rel=tolerance, abs=1e-9), path


def test_factor_one_is_the_same_model(knee):
    same = scale(knee, factors=every_body(knee, 1.0))
    assert_same(knee.nominal, same.nominal)
    for field in ("site_pos", "body_pos", "geom_size", "geom_pos", "jnt_pos", "actuator_lengthrange"):
        np.testing.assert_allclose(getattr(same.host.mj_model, field), getattr(knee.host.mj_model, field), atol=1e-12)


def test_a_person_of_the_size_the_model_describes_keeps_its_strength_and_lengths(knee):
    who = described(knee)
    same = scale(knee, mass=who.mass)
    np.testing.assert_allclose(same.nominal.muscle.max_isometric_force, knee.nominal.muscle.max_isometric_force)
    np.testing.assert_allclose(same.nominal.body.mass, knee.nominal.body.mass)


@pytest.mark.parametrize("factor", [0.8, 1.15])
def test_uniform_scaling_stretches_every_path_at_every_posture(arm, factor):
    scaled, rng = scale(arm, factors=every_body(arm, factor)), np.random.default_rng(0)
    for _ in range(5):
        lengths, posture = [], rng.uniform(0, 1.5, arm.host.mj_model.nq)
        for m in (arm.host.mj_model, scaled.host.mj_model):
            d = mujoco.MjData(m)
            d.qpos[:] = posture
            mujoco.mj_forward(m, d)
            lengths.append(d.ten_length[m.actuator_trnid[:, 0]].copy())
        np.testing.assert_allclose(lengths[1], factor * lengths[0], rtol=1e-12)
    p, s = arm.nominal, scaled.nominal
    np.testing.assert_allclose(s.muscle.optimal_fiber_length, factor * p.muscle.optimal_fiber_length)
    np.testing.assert_allclose(s.muscle.tendon_slack_length, factor * p.muscle.tendon_slack_length)
    np.testing.assert_allclose(s.muscle.max_isometric_force, p.muscle.max_isometric_force)
    np.testing.assert_allclose(s.body.mass, factor**3 * p.body.mass)
    np.testing.assert_allclose(s.body.com, factor * p.body.com)
    np.testing.assert_allclose(s.body.inertia, factor**5 * p.body.inertia)


# Muscles from the world, slides that follow a hinge and one another, that are followed, with references and stops; a
# muscle by a sum of joints, one on a joint, a ligament.
GLIDING = """<mujoco><compiler angle="radian"/><worldbody><site name="a" pos="0.1 0 0.3"/>
<site name="c" pos="0 0.1 0.2"/><body name="thigh" pos="0 0 0.1"><joint name="hip" axis="0 1 0" ref="0.2"/>
<geom size="0.05" mass="1"/><geom name="round" type="cylinder" size="0.03 0.1" pos="0 0 -0.38" euler="1.5708 0 0"/>
<body name="shank" pos="0 0 -0.4" euler="0.2 0 0"><joint name="glide" type="slide" axis="1 0 0" ref="0.02"/>
<joint name="deep" type="slide" axis="0 0.3 1"/><joint name="knee" axis="0 1 0"/><geom size="0.05" mass="1"/>
<site name="b" pos="0.06 0 -0.1"/><body name="cap" pos="0.05 0 0.02"><joint name="up" type="slide" axis="0 0 1"
ref="0.01" range="-0.03 0.05" limited="true" stiffness="40" springref="0.02"/><joint name="nod" axis="0 1 0"/>
<geom size="0.02" mass="0.1"/><site name="d" pos="0.02 0 0.01"/></body></body></body></worldbody>
<tendon><spatial name="t"><site site="a"/><site site="d"/><site site="b"/></spatial>
<spatial name="w"><site site="c"/><geom geom="round"/><site site="b"/></spatial>
<spatial name="ligament" stiffness="10" springlength="0.2 0.3"><site site="c"/><site site="d"/></spatial>
<fixed name="sum"><joint joint="hip" coef="0.04"/><joint joint="up" coef="-0.5"/></fixed>
<fixed name="stop" stiffness="100" springlength="-0.01 0.03"><joint joint="up" coef="1"/></fixed></tendon>
<equality><joint joint1="glide" joint2="knee" polycoef="0.01 0.02 0.03 0 0.001"/>
<joint joint1="deep" joint2="glide" polycoef="0 0.4 3 20 0"/><joint joint1="nod" joint2="up" polycoef="0.1 9 40 0 0"/>
</equality><actuator><muscle name="m" tendon="t" force="100" lengthrange="0.2 0.6" range="0.5 1.2"/>
<muscle name="w" tendon="w" force="100" lengthrange="0.2 0.6" range="0.5 1.2"/>
<muscle name="s" tendon="sum" force="100" lengthrange="-0.1 0.2" range="0.5 1.2"/>
<muscle name="k" joint="knee" gear="0.03" force="100" lengthrange="-0.1 0.2" range="0.5 1.2"/></actuator>
<keyframe><key name="default" qpos="0.3 0.03 0.01 0.5 0.02 0.1"/></keyframe></mujoco>"""


def assert_stretched(model, scaled, factor):
    """Lengths of all muscles at random postures, coordinates in radians as they are and in metres larger."""
    m, rng = model.host.mj_model, np.random.default_rng(2)
    slides = np.array([m.jnt_type[m.joint(c).id] == mujoco.mjtJoint.mjJNT_SLIDE for c in model.coordinates])
    for _ in range(8):
        q, lengths = rng.uniform(-1.2, 1.2, len(slides)) * np.where(slides, 0.03, 1), []
        for one, at in ((m, q), (scaled.host.mj_model, np.where(slides, factor, 1) * q)):
            d = mujoco.MjData(one)
            d.qpos[:] = whole_position(one, at)
            mujoco.mj_forward(one, d)
            lengths.append(d.actuator_length.copy())
        np.testing.assert_allclose(lengths[1], factor * lengths[0], rtol=1e-9, atol=1e-12)
    for field in ("optimal_fiber_length", "tendon_slack_length"):
        old, new = (getattr(p.nominal.muscle, field) for p in (model, scaled))
        np.testing.assert_allclose(new, factor * old, rtol=1e-9, err_msg=field)


@pytest.mark.filterwarnings("ignore:.*slack length below zero")
@pytest.mark.parametrize("factor", [0.7, 1.5])
def test_what_slides_and_what_follows_is_scaled_too(factor):
    model = model_of(mujoco.MjSpec.from_string(GLIDING), "legs")
    scaled = scale(model, factors=dict.fromkeys(("thigh", "shank", "cap"), factor))
    assert_stretched(model, scaled, factor)
    old, new = model.host.mj_model, scaled.host.mj_model
    np.testing.assert_allclose(new.eq_data[0, :5], factor * np.array([0.01, 0.02, 0.03, 0, 0.001]))
    np.testing.assert_allclose(new.eq_data[2, :3], [0.1, 9 / factor, 40 / factor**2])
    slides = old.jnt_type == mujoco.mjtJoint.mjJNT_SLIDE
    for field in ("qpos0", "qpos_spring"):
        np.testing.assert_allclose(getattr(new, field), np.where(slides, factor, 1) * getattr(old, field))
    np.testing.assert_allclose(new.key("default").qpos, np.where(slides, factor, 1) * old.key("default").qpos)
    for name, by in {"ligament": factor, "stop": factor, "up_stop": factor}.items():
        np.testing.assert_allclose(
            new.tendon_lengthspring[new.tendon(name).id], by * old.tendon_lengthspring[old.tendon(name).id]
        )


@pytest.mark.filterwarnings("ignore:.*slack length below zero")
def test_a_part_grows_with_what_it_hangs_from(tmp_path):
    """The thigh is held and so one with the world; what a result remembers makes the same of it."""
    (tmp_path / "legs.xml").write_text(GLIDING)
    model = msm.load_model(tmp_path / "legs.xml", joints=["knee", "up"], posture={"hip": 0.3})
    assert [b.name for b in model.host.spec.bodies[1:]] == ["shank", "cap"]
    scaled = scale(model, factors={"shank": 1.5, "cap": 1.5})
    assert scaled.host.scaling["world"] == pytest.approx((1.5,) * 3)
    assert_stretched(model, scaled, 1.5)
    again = with_factors(model, scaled.host.scaling)
    np.testing.assert_allclose(path_lengths(again.host.mj_model), path_lengths(scaled.host.mj_model), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:.*slack length below zero")
def test_a_flat_body_stays_one_that_can_be():
    """Moments of which one is the sum of the others, as files write them; rounded, they may be of no body."""
    flat = (
        '<inertial pos="0 0 0" mass="1.689" fullinertia="0.01091 0.01682 0.00591 0 0 0"/><geom size="0.02" mass="0"/>'
    )
    xml = GLIDING.replace('<geom size="0.02" mass="0.1"/>', flat)
    model = model_of(mujoco.MjSpec.from_string(xml), "legs")
    for factor in np.linspace(0.8, 1.3, 7):
        scaled = scale(model, factors=dict.fromkeys(("thigh", "shank", "cap"), factor))
        k = model.nominal.names.body.index("cap")
        old, new = (np.asarray(x.nominal.body.inertia)[k] for x in (model, scaled))
        np.testing.assert_allclose(new, factor**5 * old, rtol=1e-8, atol=1e-12)


def test_a_bare_world_stays(knee):
    assert "world" not in scale(knee, factors=every_body(knee, 1.2)).host.scaling


@pytest.mark.filterwarnings("ignore:.*slack length below zero")
@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("</equality>", '<tendon tendon1="t" polycoef="0 1 0 0 0"/></equality>', "equality .* of lengths"),
        ('"stop" stiffness="100" springlength="-0.01 0.03">', '"stop" stiffness="100" springlength="-0.01 0.03"><joint '
         'joint="hip" coef="0.2"/>', "'stop' has a spring or limit over joints that scale differently"),
    ],
)  # fmt: skip
def test_what_cannot_be_scaled_is_one_line(before, after, words):
    model = model_of(mujoco.MjSpec.from_string(GLIDING.replace(before, after)), "legs")
    with pytest.raises(InputError, match=words):
        scale(model, factors={"thigh": 1.2})


def test_a_slide_that_is_locked_elsewhere_is_one_line():
    spec = mujoco.MjSpec.from_string(GLIDING.replace('<joint joint1="nod" joint2="up" polycoef="0.1 9 40 0 0"/>', ""))
    model = model_of(spec, "legs", locked={"up": 0.02, "nod": 0.1})
    with pytest.raises(InputError, match=r"'up' is locked at 0.02 m in a model of the old size; scale the model"):
        scale(model, factors={"thigh": 1.2})


@pytest.mark.slow
def test_an_imported_knee_that_rolls_by_polynomials_is_stretched(tmp_path):
    pytest.importorskip("opensim", reason="needs the extra [opensim]")
    from limb_osim import limb as limb_xml

    from mjx_msm.person.from_osim.importing import import_osim

    path = tmp_path / "limb.osim"
    path.write_text(limb_xml())
    kept, muscles = ["ty", "flex", "bend"], ["hamstring", "vastus", "straight"]
    made = import_osim(path, coordinates=kept, muscles=muscles, rolling="coupled")
    model = model_of(made.spec, str(path))
    assert_stretched(model, scale(model, factors=every_body(model, 1.5)), 1.5)


def test_scaling_twice_is_scaling_by_the_product(knee):
    once = scale(knee, factors={"femur": (1.1, 0.9, 1.2), "tibia": 1.05})
    twice = scale(
        scale(knee, factors={"femur": (1.1, 1.0, 1.2), "tibia": 1.05}), factors={"femur": (1, 0.9, 1), "tibia": 1}
    )
    assert twice.host.scaling["femur"] == pytest.approx((1.1, 0.9, 1.2))
    for name in ("femur", "tibia"):
        b = once.host.mj_model.body(name).id
        np.testing.assert_allclose(once.host.mj_model.body_pos[b], twice.host.mj_model.body_pos[b], atol=1e-12)


def test_height_mass_and_sex_give_de_levas_lengths_and_inertias(knee):
    person = scale(knee, height=1.62, mass=58.0, sex="female")
    for body, segment in (("femur", "thigh"), ("tibia", "shank")):
        expected = limb(segment, mass=58.0, height=1.62, sex="female")
        k = person.nominal.names.body.index(body)
        assert segment_length(person, body, {}) == pytest.approx(expected.length, rel=1e-9)
        assert person.nominal.body.mass[k] == pytest.approx(expected.mass)
    before = described(knee)
    grown = muscle_volume(58.0, 1.62) / muscle_volume(before.mass, before.height)
    fibers = person.nominal.muscle.optimal_fiber_length / knee.nominal.muscle.optimal_fiber_length
    strength = person.nominal.muscle.max_isometric_force / knee.nominal.muscle.max_isometric_force
    np.testing.assert_allclose(strength, grown / fibers)
    assert muscle_volume(70.0, 1.7) == pytest.approx(47 * 70 * 1.7 + 1285)
    ratio = path_lengths(person.host.mj_model) / path_lengths(knee.host.mj_model)
    np.testing.assert_allclose(fibers, ratio)
    assert any("de Leva" in note for note in person.host.notes)


def test_a_measured_segment_has_its_length_and_the_others_follow(knee):
    person = scale(knee, segments={"shank": 0.41})
    assert segment_length(person, "tibia", {}) == pytest.approx(0.41)
    factor = 0.41 / segment_length(knee, "tibia", {})
    assert person.host.scaling["femur"] == pytest.approx((factor,) * 3)
    assert scale(knee, segments={"tibia": 0.41}).host.scaling == person.host.scaling


def test_markers_on_a_body_give_its_factor_whatever_the_posture(knee):
    spec = knee.host.spec.copy()
    for name, place in {"A": (0.03, 0, -0.05), "B": (0.0, 0.04, -0.35), "C": (-0.02, 0, -0.2)}.items():
        spec.body("tibia").add_site(name=name, pos=place)
    marked = model_of(spec, "knee")
    m = marked.host.mj_model
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    seen = {n: turn @ (1.07 * m.site_pos[m.site(n).id]) + 0.4 for n in "ABC"}
    person = scale(marked, markers=seen)
    assert person.host.scaling["tibia"] == pytest.approx((1.07,) * 3)


def test_what_is_scaled_is_exported_and_steps_the_same_in_c(knee, tmp_path):
    person = scale(knee, height=1.7, mass=66.0, sex="male")
    path = msm.export(person, person.nominal, tmp_path / "person.xml")
    again = msm.load_model(path)
    assert_same(person.nominal, again.nominal, 1e-9)
    np.testing.assert_allclose(path_lengths(again.host.mj_model), path_lengths(person.host.mj_model), rtol=1e-12)


def test_another_muscle_law_and_the_roles_are_kept():
    model = msm.load_model("knee", muscle="degroote", free=["knee_angle"], prescribed=["hip_flexion", "ankle_angle"])
    person = scale(model, height=1.7, mass=66.0, sex="male")
    assert type(person.muscle) is type(model.muscle)
    assert (person.free, person.prescribed) == (model.free, model.prescribed)
    np.testing.assert_allclose(person.nominal.muscle.passive_force_scale, 1.0)


def test_a_result_on_a_scaled_model_loads_onto_it(knee, tmp_path):
    person = scale(knee, height=1.7, mass=66.0, sex="male")
    space = parameter_space(person.nominal, ["muscle/recfem/max_isometric_force"])
    scaling, free = person.host.scaling, person.free
    result = made_result(space, np.eye(1), source="knee", timestep=0.001, free=free, scaling=scaling)
    result.save(tmp_path / "identification.json")
    again = Identification.load(tmp_path / "identification.json")
    assert again.scaling == {b: tuple(f) for b, f in person.host.scaling.items()}
    for field in ("site_pos", "body_pos", "geom_size", "actuator_lengthrange"):
        there, here = (getattr(m.host.mj_model, field) for m in (again.model(), person))
        np.testing.assert_allclose(there, here, atol=1e-12)
    data = json.loads((tmp_path / "identification.json").read_text())
    data["scaling"]["femur"] = [1.0, -1.0, 1.0]
    (tmp_path / "identification.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="no three positive factors"):
        Identification.load(tmp_path / "identification.json")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"height": 170}, "height 170 m is implausible"),
        ({"mass": 1}, "mass 1 kg is implausible"),
        ({"sex": "x"}, "sex 'x' is unknown"),
        ({}, "nothing to scale by; give height"),
        ({"sex": "male"}, "nothing to scale by"),
        ({"segments": {"shnk": 0.4}}, "no segment 'shnk'; did you mean 'shank'"),
        ({"segments": {"foot": 0.2}}, "foot has no joint at its end"),
        ({"segments": {"shank": 41}}, "'tibia' would be scaled by"),
        ({"factors": {"fibula": 1.0}}, "no body 'fibula'"),
        ({"factors": {"tibia": (1, 2)}}, "'tibia' would be scaled by"),
        ({"markers": {"X": (0, 0, 0)}}, "no site named as any of them"),
    ],
)
def test_a_size_that_cannot_be_is_one_line(knee, arguments, words):
    with pytest.raises(InputError, match=words):
        scale(knee, **arguments)


def test_against_opensims_own_scaling(tmp_path_factory):
    """Three factors a body: path lengths at random postures, centres of mass, l_opt and l_slack."""
    opensim = pytest.importorskip("opensim", reason="needs the extra [opensim]")
    from limb_osim import limb as limb_xml

    from mjx_msm.person.from_osim.importing import import_osim, lengths_in_c
    from mjx_msm.person.from_osim.opened import OpenedModel

    path = tmp_path_factory.mktemp("scaled") / "limb.osim"
    path.write_text(limb_xml())
    kept, muscles = ["flex", "add", "rot", "ankle"], ["straight", "calf"]
    model = model_of(import_osim(path, coordinates=kept, muscles=muscles).spec, str(path))
    factors = {"thigh": (1.2, 0.9, 1.1), "shank": (1.2, 0.9, 1.1), "foot": (1.1, 1.1, 1.1), "base": (0.95, 1.05, 1.0)}
    ours = with_factors(model, {**factors, "ground": (0.95, 1.05, 1.0)})

    osim = opensim.Model(str(path))
    state, scales = osim.initSystem(), opensim.ScaleSet()
    for name, three in factors.items():
        one = opensim.Scale()
        one.setSegmentName(name)
        one.setScaleFactors(opensim.Vec3(*three))
        one.setApply(True)
        scales.cloneAndAppend(one)
    mass = osim.getTotalMass(state)
    assert osim.scale(state, scales, True, mass)
    osim.initSystem()
    for name in muscles:
        muscle = osim.getMuscles().get(name)
        k = ours.muscles.index(name)
        along = np.cos(muscle.get_pennation_angle_at_optimal())
        assert ours.nominal.muscle.optimal_fiber_length[k] == pytest.approx(
            muscle.get_optimal_fiber_length() * along, rel=2e-3
        )
        assert ours.nominal.muscle.tendon_slack_length[k] == pytest.approx(muscle.get_tendon_slack_length(), rel=2e-3)
    scaled_path = path.with_name("scaled.osim")
    osim.printToXML(str(scaled_path))
    opened = OpenedModel(scaled_path)
    poses = np.random.default_rng(0).uniform(-0.3, 0.4, size=(12, 4))
    theirs, _ = opened.lengths_and_arms(muscles, kept, poses)
    mine, _ = lengths_in_c(ours.host.mj_model, muscles, kept, poses, {})
    # OpenSim stretches a joint's constant translation along the joint's frame, which is oblique; we along the body's
    np.testing.assert_allclose(mine, theirs, atol=3e-4)
    np.testing.assert_allclose(mine[:, 1], theirs[:, 1], atol=2e-5)  # calf, with its cylinder: no such joint
    com = osim.getBodySet().get("foot").getMassCenter().to_numpy()
    np.testing.assert_allclose(ours.nominal.body.com[ours.nominal.names.body.index("foot")], com, atol=1e-9)
