"""The other side of the body: the original's lengths, arms and accelerations in C, every place mirrored."""

import mujoco
import numpy as np
import pytest

import mjx_msm as msm
from mjx_msm import assets
from mjx_msm.common.errors import InputError
from mjx_msm.person.mirrored import mirrored, other_side
from mjx_msm.person.model import load_model
from mjx_msm.person.personalisation import export
from mjx_msm.recordings.subject_file.grammar import parse_subject

ZOO = """<mujoco><compiler angle="degree" eulerseq="zyx" meshdir="meshes"/>
<option gravity="0 0 -9.81" wind="1 2 3"/>
<asset><mesh name="bone" file="bone.obj" scale="0.5 1 1"/></asset>
<custom><text name="credit" data="&quot;Anna&quot; &amp; others"/></custom>
<worldbody><site name="origin_r" pos="0.02 0.03 0.04"/>
<light name="sun" pos="0 1 2" dir="0.1 0.2 -1"/><camera name="eye" pos="0 1 1" euler="10 20 30"/>
<body name="thigh_r" pos="0.1 0.2 0.3" euler="5 -10 15">
  <joint name="hip_r" axis="0.1 1 0.05" pos="0.01 0.02 0.03" range="-60 90"/>
  <inertial pos="0.01 0.02 -0.1" mass="2" fullinertia="0.03 0.04 0.02 0.001 0.002 -0.003"/>
  <geom name="femur" type="mesh" mesh="bone" pos="0.01 0.02 0.03" euler="30 40 50" mass="0"/>
  <geom name="wrap_r" type="cylinder" size="0.03 0.1" pos="0.03 0.01 -0.2" euler="80 10 5" mass="0"/>
  <site name="side_r" pos="0.08 0.01 -0.2"/>
  <frame pos="0.01 -0.02 -0.3" euler="10 20 -30">
    <body name="shank_r" pos="0.01 0.02 -0.05" quat="0.9 0.1 0.3 0.2">
      <joint name="knee_r" axis="0 -1 0.1" springref="10" stiffness="3" damping="0.4"/>
      <joint name="glide_r" type="slide" axis="0.5 0.3 0.8" stiffness="500" damping="5"/>
      <joint name="turn_r" axis="0.2 0.1 1" damping="0.1"/>
      <geom name="tibia" type="capsule" fromto="0 0.01 0 0.02 0.03 -0.3" size="0.02"/>
      <geom name="box" type="box" size="0.02 0.03 0.04" pos="0.03 0.02 0.01" euler="20 30 40"/>
      <site name="end_r" pos="0.03 -0.02 -0.15"/><site name="back_r" pos="-0.04 0.01 -0.1"/>
    </body>
  </frame>
</body></worldbody>
<equality><joint name="roll_r" joint1="turn_r" joint2="knee_r" polycoef="0 0.2 0.1 0 0"/></equality>
<tendon>
  <spatial name="front_r"><site site="origin_r"/><geom geom="wrap_r" sidesite="side_r"/><site site="end_r"/></spatial>
  <spatial name="back_r" stiffness="50"><site site="origin_r"/><site site="back_r"/></spatial>
  <fixed name="both_r"><joint joint="hip_r" coef="0.03"/><joint joint="knee_r" coef="-0.02"/></fixed>
</tendon>
<actuator>
  <muscle name="quad_r" tendon="front_r" force="900" lengthrange="0.3 0.7"/>
  <muscle name="ham_r" tendon="back_r" force="700" lengthrange="0.2 0.7"/>
  <muscle name="both_r" tendon="both_r" force="400" lengthrange="-0.1 0.1"/>
  <motor name="motor_r" joint="hip_r"/>
</actuator>
<keyframe><key name="start" qpos="0.1 0.2 0.01 0.05"/></keyframe></mujoco>"""
BONE = "v 0 0 0\nv 0.1 0 0\nv 0 0.3 0\nv 0 0 0.2\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


def zoo(folder, text=ZOO) -> str:
    (folder / "meshes").mkdir(exist_ok=True)
    (folder / "meshes" / "bone.obj").write_text(BONE)
    (folder / "zoo.xml").write_text(text)
    return str(folder / "zoo.xml")


def check_mirrored(a: mujoco.MjModel, b: mujoco.MjModel, across: int, seed: int) -> None:
    """Whether C finds in `b` what it finds in `a`, with every place on the other side."""
    rng, s = np.random.default_rng(seed), np.ones(3)
    s[across] = -1
    da, db = mujoco.MjData(a), mujoco.MjData(b)
    order = [b.site(other_side(a.site(i).name)).id for i in range(a.nsite)]
    for _ in range(20):
        q, v = a.qpos0 + rng.uniform(-0.4, 0.4, a.nq), rng.normal(size=a.nv)
        for m, d in ((a, da), (b, db)):
            d.qpos, d.qvel, d.ctrl = q, v, np.linspace(0.1, 0.9, a.nu)
            d.act = np.linspace(0.2, 0.8, a.na)
            mujoco.mj_forward(m, d)
        np.testing.assert_allclose(db.xpos, da.xpos * s, atol=1e-14)
        np.testing.assert_allclose(db.xipos, da.xipos * s, atol=1e-14)
        np.testing.assert_allclose(db.site_xpos[order], da.site_xpos * s, atol=1e-14)
        np.testing.assert_allclose(db.ten_length, da.ten_length, atol=1e-14)
        np.testing.assert_allclose(db.actuator_length, da.actuator_length, atol=1e-14)
        np.testing.assert_allclose(db.qfrc_actuator, da.qfrc_actuator, atol=1e-10)
        np.testing.assert_allclose(db.qacc, da.qacc, rtol=1e-10, atol=1e-8)
    assert np.abs(da.site_xpos[:, across]).max() > 1e-3  # there is something to mirror


@pytest.mark.parametrize("name", assets.names())
def test_bundled_models_on_the_left(name):
    right, left = load_model(name), load_model(name, side="left")
    assert left.coordinates == right.coordinates
    assert left.muscles == right.muscles
    assert left.host.notes[0] == "mirrored across the sagittal plane (y = 0): a left side"
    check_mirrored(right.host.mj_model, left.host.mj_model, 1, 0)
    same = load_model(name, side="right")
    np.testing.assert_array_equal(same.host.mj_model.site_pos, right.host.mj_model.site_pos)


def test_everything_a_file_may_hold(tmp_path):
    spec = mujoco.MjSpec.from_file(zoo(tmp_path))
    original = spec.compile()
    made, across = mirrored(spec, "zoo")
    m = made.compile()
    assert across == "y"
    assert m.joint("knee_l").id == original.joint("knee_r").id
    assert [t.data for t in made.texts] == ['"Anna" & others']
    check_mirrored(original, m, 1, 1)
    s, d, e = np.array([1.0, -1.0, 1.0]), mujoco.MjData(original), mujoco.MjData(m)
    d.qpos, e.qpos = original.key("start").qpos, m.key("start").qpos
    mujoco.mj_forward(original, d)
    mujoco.mj_forward(m, e)
    corners = [d.geom("femur").xmat.reshape(3, 3) @ v + d.geom("femur").xpos for v in original.mesh_vert]
    others = [e.geom("femur").xmat.reshape(3, 3) @ v + e.geom("femur").xpos for v in m.mesh_vert]
    gaps = np.linalg.norm(np.array(corners)[:, None] * s - np.array(others)[None], axis=-1)
    assert gaps.min(axis=1).max() < 1e-6  # vertices are in single precision
    np.testing.assert_allclose(e.light_xdir, d.light_xdir * s, atol=1e-14)
    np.testing.assert_allclose(e.cam("eye").xpos, d.cam("eye").xpos * s, atol=1e-14)
    back, _ = mirrored(made, "zoo")
    np.testing.assert_allclose(back.compile().site_pos, original.site_pos, atol=1e-15)
    assert back.compile().names == original.names


def test_what_holds_a_side_in_its_names(tmp_path):
    path = zoo(tmp_path)
    left = load_model(path, side="left", joints=["knee_l"])
    assert left.coordinates == ("knee_l",)
    assert "quad_l" in left.muscles
    again = load_model(path, **left.host.part.arguments)
    assert again.host.part == left.host.part
    np.testing.assert_array_equal(again.host.mj_model.site_pos, left.host.mj_model.site_pos)
    other = zoo(tmp_path, ZOO.replace('_r"', '_l"'))
    there = load_model(other, side="left")
    assert there.coordinates[0] == "hip_l"
    np.testing.assert_array_equal(there.host.mj_model.site_pos, load_model(other).host.mj_model.site_pos)
    assert load_model(other, side="right").coordinates[0] == "hip_r"
    long = zoo(tmp_path, ZOO.replace('"quad_r"', '"bifem_l"'))
    assert load_model(long, side="right").coordinates[0] == "hip_r"  # of the right, with a long head
    both = zoo(tmp_path, ZOO.replace('name="hip_r"', 'name="hip_l"').replace('joint="hip_r"', 'joint="hip_l"'))
    with pytest.raises(InputError, match="side = 'left', but it has both sides; leave side out"):
        load_model(both, side="left")
    with pytest.raises(InputError, match="side 'middle' is unknown; choose one of left, right"):
        load_model("arm", side="middle")
    tilted = zoo(tmp_path, ZOO.replace('gravity="0 0 -9.81"', 'gravity="1 1 -9.81"'))
    with pytest.raises(InputError, match="gravity is in no plane of the world's axes"):
        load_model(tilted, side="left")


def test_names_of_the_other_side():
    names = ("knee_angle_r", "vasmed_l_P1", "r_elbow_flex", "hip_flexion", "r", "radius", "ulnar_dev", "glmax3_r")
    mirrored_names = (
        "knee_angle_l",
        "vasmed_r_P1",
        "l_elbow_flex",
        "hip_flexion",
        "r",
        "radius",
        "ulnar_dev",
        "glmax3_l",
    )
    assert tuple(map(other_side, names)) == mirrored_names


def test_a_scaled_left_leg_is_the_scaled_right_one_mirrored():
    who = {"height": 1.62, "mass": 58.0, "sex": "female"}
    right, left = (msm.scale(load_model("knee", side=side), **who) for side in ("right", "left"))
    check_mirrored(right.host.mj_model, left.host.mj_model, 1, 2)


def test_the_exported_person_is_a_left_one(tmp_path):
    left = load_model("knee", side="left")
    person = left.nominal.updated({"body/tibia/mass": 3.3, "body/tibia/com/y": 0.012})
    path = export(left, person, tmp_path / "model.xml")
    m = mujoco.MjModel.from_xml_path(str(path))
    np.testing.assert_allclose(m.body("tibia").ipos[1], 0.012)
    np.testing.assert_allclose(m.site("vasmed_P1").pos, left.host.mj_model.site("vasmed_P1").pos, atol=1e-12)


def test_a_subject_file_asks_for_a_side(tmp_path):
    document = {
        "subject": {"name": "anna", "mass": 60.0},
        "model": {"source": "knee", "side": "left", "free": ["knee_angle"]},
        "emg": {"muscles": {"vasmed": "VM"}},
        "trials": [{"name": "one", "motion": "a.sto", "emg": "a.sto"}],
        "identify": {"free": ["muscle/*/max_isometric_force"], "residuals": ["motion"]},
    }
    spec = parse_subject(document, tmp_path / "s.toml").model
    assert load_model(spec.source, **spec.part).host.part.side == "left"
    document["model"]["side"] = "lef"
    with pytest.raises(InputError, match=r"\[model\]: side = 'lef' is unknown; did you mean 'left'"):
        parse_subject(document, tmp_path / "s.toml")
