"""A part of a model against the whole one in C with its other joints held: paths, moment arms, accelerations."""

import json
from dataclasses import asdict

import mujoco
import numpy as np
import pytest
from held_model import compared

from mjx_msm.common.errors import InputError
from mjx_msm.common.json_files import plain_json, record_of
from mjx_msm.person.model import load_model
from mjx_msm.person.personalisation import export
from mjx_msm.person.reduction import Part, reduced

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.filterwarnings("ignore:.*slack length below zero")]

# Held joints before, between and after kept ones in one body, with anchors off the origin; a ball; a static body;
# tendons over joints of either kind; an equality; sensors and keyframes of what goes.
WHOLE = """<mujoco><compiler angle="degree"/><option timestep="0.002"><flag contact="disable"
equality="disable"/></option>
<default><joint damping="0.3" armature="0.01"/><default class="other"><joint damping="0.7"/></default></default>
<worldbody><site name="root" pos="0.1 0 0.1"/><frame euler="10 20 0">
<body name="trunk" pos="0 0 0.2" euler="0 5 0"><joint name="lean" axis="1 0.2 0" pos="0.02 0.01 -0.05" ref="10"/>
  <joint name="swing" axis="0 1 0" pos="0 0.03 0.02" stiffness="3" springref="20"/>
  <joint name="shift" type="slide" axis="0.3 0 1" ref="0.01"/><joint name="twist" axis="0 0.3 1" pos="0.01 0 0.04"/>
  <joint name="bow" axis="1 1 0" pos="0 0.02 0" springdamper="0.3 0.8"/>
  <geom type="capsule" fromto="0 0 0 0.03 0.05 -0.3" size="0.04"/><site name="side" pos="0.06 0 -0.2"/>
  <body name="plate" pos="0 0.05 -0.1" euler="30 0 0"><geom type="box" size="0.03 0.02 0.04"/><site name="via"
    pos="0.05 0 0"/></body>
  <body name="limb" pos="0 0 -0.3"><joint name="socket" type="ball" damping="0.2"/><geom type="capsule"
    fromto="0 0 0 0 0.05 -0.25" size="0.03"/>
    <geom name="bone" type="cylinder" size="0.03 0.1" euler="80 0 10" contype="0"/><site name="knob" pos="0.05 0 -0.1"/>
    <body name="tip" pos="0 0.05 -0.25"><joint name="bend" axis="0 1 0" class="other"/><geom size="0.05"/><site
      name="end" pos="0.04 0 -0.03"/>
      <body name="toe" pos="0 0 -0.1"><joint name="curl" axis="0 1 0" springref="15" stiffness="1"/><geom
        size="0.03" pos="0.02 0 0"/><site name="nail" pos="0.03 0 -0.02"/></body></body></body></body></frame>
</worldbody>
<tendon><spatial name="t0"><site site="root"/><site site="via"/><site site="knob"/><site site="end"/></spatial>
<spatial name="t1"><site site="side"/><geom geom="bone"/><site site="end"/><site site="nail"/></spatial>
<spatial name="t2"><site site="end"/><site site="nail"/></spatial>
<fixed name="t3"><joint joint="swing" coef="0.04"/><joint joint="lean" coef="0.02"/><joint joint="curl" coef="-0.03"/>
</fixed>
<spatial name="band" stiffness="60" damping="1"><site site="root"/><site site="side"/></spatial></tendon>
<actuator><muscle name="m0" tendon="t0" force="200" lengthrange="0.4 0.9"/><muscle name="m1" tendon="t1"
lengthrange="0.2 0.6"/><muscle name="m2" tendon="t2" force="50" lengthrange="0.05 0.2"/><muscle name="m3" tendon="t3"
force="90" lengthrange="-0.1 0.1" gear="1.4"/><muscle name="m4" joint="curl" gear="0.03" force="40"
lengthrange="-0.05 0.05"/></actuator>
<equality><joint joint1="curl" joint2="bend" polycoef="0.1 0.5 0.2 0 0"/></equality>
<sensor><jointpos joint="curl"/><actuatorfrc actuator="m2"/><tendonpos tendon="band"/></sensor>
<keyframe><key qpos="0 0 0 0 0 1 0 0 0 0.2 0.3"/></keyframe></mujoco>"""
POSTURE = {"lean": 0.3, "shift": 0.02, "twist": -0.4, "bow": 0.25, "swing": 0.5, "bend": 0.7}
PARTS = {
    "one in the middle": ["swing"],
    "first and last": ["lean", "bow"],
    "every other": ["swing", "twist", "bend"],
    "slide": ["shift", "bend", "curl"],
    "patterns": ["s[hw]*", "b?nd"],
}


@pytest.fixture
def whole(tmp_path):
    path = tmp_path / "whole.xml"
    path.write_text(WHOLE)
    return path


@pytest.mark.parametrize("part", PARTS)
def test_a_part_moves_as_the_whole_with_its_other_joints_held(part, whole):
    m = mujoco.MjModel.from_xml_path(str(whole))
    posture = {
        j: x
        for j, x in POSTURE.items()
        if j not in PARTS[part] and not (part == "patterns" and j in ("swing", "shift", "bend"))
    }
    spec, notes = reduced(mujoco.MjSpec.from_file(str(whole)), "whole", joints=PARTS[part], posture=posture)
    small = spec.compile()
    kept = {small.joint(j).name for j in range(small.njnt)}
    assert kept >= {p for p in PARTS[part] if p.isalpha()}
    assert "held and their bodies fused" in notes[0]
    assert small.nbody <= len(kept) + 2
    held = {m.joint(j).name: m.qpos0[m.jnt_qposadr[j]] for j in range(m.njnt) if m.joint(j).name not in kept}
    held |= posture | {"socket": np.array([1.0, 0, 0, 0])}
    if "curl" in held:  # it follows the joint it is coupled to
        held["curl"] = 0.1 + 0.5 * held["bend"] + 0.2 * held["bend"] ** 2
    rng = np.random.default_rng(1)
    for _ in range(3):
        q = {n: rng.uniform(-0.5, 1) * (0.05 if n == "shift" else 1) for n in kept}
        got, expected = compared(m, small, held, q, {n: rng.normal() for n in kept}, rng.uniform(0, 1, m.na))
        for g, e in zip(got[1:], expected[1:], strict=True):
            np.testing.assert_allclose(g, e, rtol=1e-8, atol=1e-9 * max(np.abs(e).max(), 1))
        for i in range(small.nu):  # the constant part of a tendon over joints is taken off
            offset = small.actuator_lengthrange[i] - m.actuator(small.actuator(i).name).lengthrange
            np.testing.assert_allclose(offset[0], offset[1], atol=1e-12)
            np.testing.assert_allclose(got[0][i] - offset[0], expected[0][i], atol=1e-12)


def test_bodies_that_exclude_contacts_are_fused_too(tmp_path):
    """What is one body has no contacts within it to exclude; between bodies that stay two, exclusions stay."""
    pairs = '<contact><exclude body1="tip" body2="toe"/><exclude body1="trunk" body2="limb"/></contact>'
    path = tmp_path / "whole.xml"
    path.write_text(WHOLE.replace("</mujoco>", f"{pairs}</mujoco>"))
    spec, _ = reduced(mujoco.MjSpec.from_file(str(path)), "whole", joints=["swing", "socket"])
    m = spec.compile()
    assert [m.body(b).name for b in range(m.nbody)] == ["world", "trunk", "limb"]
    assert [(e.bodyname1, e.bodyname2) for e in spec.excludes] == [("trunk", "limb")]


def test_muscles_by_name_and_what_they_leave(whole):
    spec, notes = reduced(mujoco.MjSpec.from_file(str(whole)), "whole", joints=["swing", "twist"], muscles=["m0", "m2"])
    m = spec.compile()
    assert [m.actuator(i).name for i in range(m.nu)] == ["m0"], "m2 has both ends beyond the kept joints"
    assert {m.tendon(t).name for t in range(m.ntendon)} == {"t0", "band"}
    assert "4 of 5 muscles left out" in " ".join(notes)


def test_a_part_is_an_ordinary_file(whole, tmp_path):
    model = load_model(whole, joints=["swing", "bend"], posture={"twist": 0.3})
    assert model.coordinates[0] == "swing"
    assert "2 others" not in model.host.notes[0]
    path = export(model, model.nominal.updated({"body/trunk/mass": 2.0}), tmp_path / "part.xml")
    again = load_model(path)
    assert again.coordinates == model.coordinates
    assert again.muscles == model.muscles
    assert again.nominal.to_dict()["body/trunk/mass"] == 2.0


def test_a_result_knows_its_part(whole):
    """What `load_model` was asked for goes through a result's file, and loads the same part again."""
    model = load_model(whole, joints=["swing", "bend"], posture={"twist": 0.3}, engine="tree")
    assert model.host.part.arguments == {"joints": ("swing", "bend"), "posture": {"twist": 0.3}, "engine": "tree"}
    read = record_of(Part)(json.loads(json.dumps(plain_json(asdict(model.host.part)))))
    assert read == model.host.part
    again = load_model(whole, **read.arguments)
    assert again.coordinates == model.coordinates
    np.testing.assert_array_equal(again.host.mj_model.body_pos, model.host.mj_model.body_pos)
    assert load_model(whole, joints=["curl", "bend"]).host.part != model.host.part


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"joints": ["sling"]}, "has no joint 'sling'; did you mean 'swing'"),
        ({"joints": "swing"}, r"joints is a list of names, e\.g\. joints=\['swing'\]"),
        ({"joints": ["swing"], "muscles": ["m9"]}, "has no muscle 'm9'"),
        ({"joints": ["swing"], "muscles": ["m2"]}, "none of the muscles crosses a kept joint"),
        ({"joints": ["swing"], "posture": {"swing": 0.1}}, "joint 'swing' .* is kept, not held"),
        ({"joints": ["swing"], "posture": {"sling": 0.1}}, "joint 'sling' .* is not in the model"),
        ({"joints": ["swing"], "posture": {"twist": "far"}}, "posture of joint 'twist' must be a number"),
        ({"joints": ["swing"], "posture": {"socket": 1.0}}, "free or ball joint, which stays"),
    ],
)
def test_what_is_not_there(arguments, match, whole):
    with pytest.raises(InputError, match=match):
        load_model(whole, **arguments)
