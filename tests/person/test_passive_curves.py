"""Passive curves: through the exponential's values, the same in C, in MJX and here, back from a file as they went."""

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.simulation import passive_moments
from mjx_msm.person.model import load_model
from mjx_msm.person.passive_curves import KNOWN, PIECES, add_passive_curves
from mjx_msm.person.personalisation import export, personalise

PERSON = {
    "joint/knee_angle/lower_passive_moment": 9.0,
    "joint/knee_angle/lower_passive_steepness": 7.0,
    "joint/knee_angle/upper_passive_moment": 20.0,
    "joint/knee_angle/upper_passive_steepness": 1.5,
    "joint/knee_angle/biarticular_passive_moment": 12.0,
    "joint/knee_angle/biarticular_passive_steepness": 3.0,
}
JOINTS = ("hip_flexion", "knee_angle", "ankle_angle")
POSTURES = np.radians([[0, -3, 0], [20, 12.3, 5], [-10, 58, 1], [0, 64, 0], [5, 125, -10], [25, 3, 20]])


@pytest.fixture(scope="module")
def knee():
    return load_model("knee", passive=["knee_angle"])


@pytest.fixture(scope="module")
def person(knee):
    return knee.nominal.updated(PERSON)


@pytest.fixture(scope="module")
def written(knee, person, tmp_path_factory):
    return export(knee, person, tmp_path_factory.mktemp("person") / "person.xml")


def found(model, parameters, posture):
    with float64():
        return np.asarray(passive_moments(model, parameters, jnp.asarray(posture)))


def exponentials(posture):
    """Moments, and by how much straight pieces lie above them at most."""
    moments, above = np.zeros(3), np.zeros(3)
    for side, known in KNOWN["knee_angle"].items():
        moment, steepness = (PERSON[f"joint/knee_angle/{side}_passive_{f}"] for f in ("moment", "steepness"))
        along = np.array([known.along.get(j, 0.0) for j in JOINTS])
        span = known.end - known.begin
        stretch = max(along @ posture - known.begin, 0.0)
        tension = moment * np.expm1(steepness * stretch) / np.expm1(steepness * span)
        piece = steepness * span / PIECES
        grown = moment * np.exp(steepness * stretch + piece) / np.expm1(steepness * span) * (stretch > 0)
        moments, above = moments - tension * along, above + np.abs(along) * piece**2 / 8 * grown
    return moments, above


def test_the_moment_is_the_exponential_within_what_is_stated(knee, person):
    for posture in POSTURES:
        expected, above = exponentials(posture)
        assert (np.abs(found(knee, person, posture) - expected) <= above + 1e-12).all()


def test_the_literatures_knee(knee):
    """Riener & Edrich's exponentials at angles in degrees, plantar flexion positive, less what they are where ours
    begin."""
    for posture in POSTURES:
        hip, angle, ankle = np.degrees(posture) * [1, 1, -1]
        steep = np.exp(2.22 - 0.15 * angle) * (angle < 30)
        flexed = np.exp(-3.971 + 0.0495 * angle) * (angle > 60)
        crossing = np.exp(1.8 - 0.0460 * ankle - 0.0352 * angle + 0.0217 * hip)
        assert found(knee, knee.nominal, posture)[1] == pytest.approx(steep + crossing - flexed, abs=1.2)


def test_c_has_the_same_moments(knee, person, written):
    """What the export adds to the passive forces of a knee without such curves."""
    plain = load_model("knee").host.mj_model
    for posture in POSTURES:
        forces = []
        for model in (mujoco.MjModel.from_xml_path(str(written)), plain):
            d = mujoco.MjData(model)
            d.qpos[:] = posture
            mujoco.mj_forward(model, d)
            forces.append(d.qfrc_passive.copy())
        np.testing.assert_allclose(forces[0] - forces[1], found(knee, person, posture), atol=1e-10)


def test_a_file_is_read_back_as_the_same_person(person, written):
    back = load_model(written).nominal
    assert back.names.passive == person.names.passive == tuple(f"knee_angle/{s}" for s in KNOWN["knee_angle"])
    for path, value in PERSON.items():
        assert back.to_dict()[path] == pytest.approx(value, rel=1e-9)


def test_mjx_gets_the_springs_of_the_file(knee, person, written):
    with float64():
        springs = np.asarray(personalise(knee, person).tendon_stiffness)
    np.testing.assert_allclose(springs, mujoco.MjModel.from_xml_path(str(written)).tendon_stiffness, rtol=1e-9)


def test_springs_of_another_form_are_ordinary_ones(written, tmp_path):
    text = written.read_text()
    for what, by in (
        ("knee_angle_lower_passive_3", "knee_angle_lower_passive_30"),
        ("knee_angle_upper", "nobody_upper"),
    ):
        assert what in text
        (tmp_path / "other.xml").write_text(text.replace(f'"{what}', f'"{by}'))
        model = load_model(tmp_path / "other.xml")
        side = what.split("_")[2]
        assert f"knee_angle/{side}" not in model.nominal.names.passive


def test_springs_that_follow_no_exponential_are_ordinary_ones(knee, tmp_path):
    spec = knee.host.spec.copy()
    spec.tendon("knee_angle_lower_passive_5").stiffness[0] *= 2.0
    spec.compile()
    (tmp_path / "other.xml").write_text(spec.to_xml())
    assert load_model(tmp_path / "other.xml").nominal.names.passive == ("knee_angle/upper", "knee_angle/biarticular")


def test_other_models_have_no_such_parameters(arm):
    assert arm.nominal.names.passive == ()
    assert not any("_passive_" in path for path in load_model("knee").nominal.to_dict())
    with pytest.raises(InputError, match="passive"):
        load_model("arm", passive=["elbow"])
    with pytest.raises(InputError, match="no joint 'knee_angle'"):
        load_model("arm", passive=["knee_angle"])


@pytest.mark.parametrize("ends", ['range="-120 10"', 'range="-120 10" limited="false"'])
@pytest.mark.parametrize("ending", ["_r", "_l"])
def test_a_leg_of_opensim_has_the_same_whichever_way_it_counts(ending, ends):
    """Names with a side, and gait2392's flexion below zero: its limits say so, or the stops in their place."""

    def leg(ending, ends):
        joints = f'<joint name="hip_flexion{ending}"/>', f'<joint name="knee_angle{ending}" {ends}/>'
        bodies = "".join(f"<body>{j}<geom size='1'/>" for j in (*joints, f'<joint name="ankle_angle{ending}"/>'))
        fixed = f'<fixed springlength="-2.1 0.17"><joint joint="knee_angle{ending}" coef="1"/></fixed>'
        stop = f"<tendon>{fixed}</tendon>" if "limited" in ends else ""
        spec = mujoco.MjSpec.from_string(f"<mujoco><worldbody>{bodies}{'</body>' * 3}</worldbody>{stop}</mujoco>")
        add_passive_curves(spec, [f"knee_angle{ending}"])
        m = spec.compile()
        return m, mujoco.MjData(m)

    def moments(m, d, posture):
        d.qpos[:] = posture
        mujoco.mj_forward(m, d)
        return d.qfrc_passive.copy()

    usual, other = leg("", 'range="-10 120"'), leg(ending, ends)
    assert any(np.abs(moments(*usual, q)).max() > 5 for q in POSTURES)
    for q in POSTURES:
        np.testing.assert_allclose(moments(*other, q * [1, -1, 1]), moments(*usual, q) * [1, -1, 1], rtol=1e-9)


def test_a_joint_of_which_nothing_is_known():
    with pytest.raises(InputError, match="passive 'elbow'"):
        load_model("knee", passive=["elbow_r"])
