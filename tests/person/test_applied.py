"""Parameters of other programs' files onto a model: what matched, and that it is right."""

import math

import mujoco
import numpy as np
import pytest

import mjx_msm as msm
from mjx_msm.common.errors import InputError
from mjx_msm.person.applied import matches, read_ceinms
from mjx_msm.person.model import model_of

pytestmark = pytest.mark.usefixtures("x64")

CEINMS = """<?xml version="1.0"?><subject><muscles>
<muscle><name>rect_fem_r</name><shapeFactor>0.1</shapeFactor><optimalFiberLength>0.11</optimalFiberLength>
<pennationAngle>5</pennationAngle><tendonSlackLength>0.33</tendonSlackLength><maxIsometricForce>1200</maxIsometricForce>
<strengthCoefficient>0.9</strengthCoefficient></muscle>
<muscle><name>glut_med1_r</name><optimalFiberLength>0.05</optimalFiberLength><pennationAngle>8</pennationAngle>
<tendonSlackLength>0.08</tendonSlackLength><maxIsometricForce>800</maxIsometricForce></muscle>
</muscles></subject>"""


def test_names_match_across_sides_and_families():
    theirs = ["rect_fem_r", "rect_fem_l", "VAS_INT_R", "soleus"]
    assert matches(["recfem", "vasint", "soleus_r", "other"], theirs, {}, "r") == {
        "recfem": "rect_fem_r",
        "vasint": "VAS_INT_R",
        "soleus_r": "soleus",
    }
    assert matches(["recfem"], theirs, {}, "l") == {"recfem": "rect_fem_l"}
    assert matches(["recfem_l"], theirs, {}, "r") == {"recfem_l": "rect_fem_l"}
    assert matches(["other"], theirs, {"other": "soleus"}, "r") == {"other": "soleus"}


def test_the_bundled_knee_is_its_own_opensim_model(knee, data_dir):
    """It was fitted to this file: taking the file's parameters again changes next to nothing."""
    pytest.importorskip("opensim", reason="needs the extra [opensim]")
    applied = msm.apply_osim(knee, data_dir / "knee_walk" / "subject_walk_scaled.osim")
    assert set(applied.muscles) == set(knee.muscles)
    assert not applied.without
    for muscle, ratios in applied.changes.items():
        np.testing.assert_allclose(ratios, 1.0, atol=6e-3, err_msg=muscle)
    k = applied.model.nominal.names.body.index("tibia")
    assert applied.model.nominal.body.mass[k] == pytest.approx(knee.nominal.body.mass[k], rel=1e-3)
    assert "recfem_r" in str(applied)
    assert "glmax1_r" in applied.unused


def test_an_imported_model_takes_its_own_file_back(limb_osim, imported_limb):
    model = model_of(imported_limb.spec.copy(), str(limb_osim))
    changed = model.nominal.updated({"muscle/*/max_isometric_force": 1.0, "body/*/mass": 1.0})
    from mjx_msm.person.scaling import described_by

    applied = msm.apply_osim(described_by(model, changed, []), limb_osim)
    for group in ("muscle", "body"):
        for field in getattr(model.nominal, group).__dataclass_fields__:
            here, there = (getattr(getattr(m.nominal, group), field) for m in (applied.model, model))
            np.testing.assert_allclose(here, there, rtol=1e-9, atol=1e-12, err_msg=field)
    assert all("centre and inertia" in what for what in applied.bodies.values())


def test_a_ceinms_subject_gives_force_times_strength_along_the_tendon(knee, tmp_path):
    path = tmp_path / "subject.xml"
    path.write_text(CEINMS)
    applied = msm.apply_ceinms(knee, path)
    p, k, along = applied.model.nominal.muscle, knee.muscles.index("recfem"), math.cos(math.radians(5))
    assert p.max_isometric_force[k] == pytest.approx(1200 * 0.9 * along)
    assert p.optimal_fiber_length[k] == pytest.approx(0.11 * along)
    assert p.tendon_slack_length[k] == pytest.approx(0.33)
    others = [i for i in range(len(knee.muscles)) if i != k]
    np.testing.assert_allclose(p.max_isometric_force[others], knee.nominal.muscle.max_isometric_force[others])
    assert applied.unused == ("glut_med1_r",)
    assert len(applied.without) == len(knee.muscles) - 1
    exported = msm.export(applied.model, applied.model.nominal, tmp_path / "person.xml")
    again = msm.load_model(exported).nominal.muscle
    np.testing.assert_allclose(again.optimal_fiber_length, p.optimal_fiber_length, rtol=1e-9)


def test_fibers_are_as_long_as_on_the_geometry_the_lengths_belong_to(knee, data_dir):
    """With the .osim of the calibration, normalised fiber lengths in the posture of all zeros are CEINMS's."""
    pytest.importorskip("opensim", reason="needs the extra [opensim]")
    from mjx_msm.person.from_osim.opened import OpenedModel

    geometry = data_dir.parent / "reference" / "gait2392.osim"
    if not geometry.exists():
        pytest.skip("the reference models are absent")
    subject = data_dir / "treadmill" / "ceinms_calibrated.xml"
    applied = msm.apply_ceinms(knee, subject, geometry=geometry)
    assert not applied.without
    d = mujoco.MjData(applied.model.host.mj_model)
    mujoco.mj_forward(applied.model.host.mj_model, d)
    opened, found = OpenedModel(geometry), read_ceinms(subject)
    opened.pose({})
    for k, name in enumerate(applied.model.muscles):
        theirs = found[applied.muscles[name]]
        length = opened.muscles[applied.muscles[name]].getLength(opened.state)
        p = applied.model.nominal.muscle
        ours = (d.actuator_length[k] - p.tendon_slack_length[k]) / p.optimal_fiber_length[k]
        along = theirs.optimal_fiber_length * math.cos(theirs.pennation)
        assert ours == pytest.approx((length - theirs.tendon_slack_length) / along, abs=1e-6), name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<subject>", "is not XML"),
        ("<subject/>", "is no CEINMS subject"),
        (CEINMS.replace("0.33", "x"), "muscle 'rect_fem_r': tendonSlackLength is 'x'"),
        (CEINMS.replace("<optimalFiberLength>0.11</optimalFiberLength>", ""), "optimalFiberLength is None"),
        (CEINMS.replace("rect_fem_r", "biceps"), "none of its muscles is called like"),
    ],
)
def test_a_subject_that_cannot_be_read_is_one_line(knee, tmp_path, text, words):
    path = tmp_path / "subject.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        msm.apply_ceinms(knee, path)
