"""Random people over a zoo of what MJCF can say: device and exported file step alike, wherever the file lies."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.simulation import State, rollout
from mjx_msm.person.model import load_model
from mjx_msm.person.personalisation import export
from mjx_msm.person.space import parameter_space

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.filterwarnings("ignore:.*slack length below zero")]

CUBE = "".join(f"v {x} {y} {z}\n" for x in (0, 1) for y in (0, 1) for z in (0, 1)) + "".join(
    f"f {a} {b} {c}\n"
    for a, b, c in (
        (1, 3, 4), (1, 4, 2), (5, 6, 8), (5, 8, 7), (1, 2, 6), (1, 6, 5),
        (3, 7, 8), (3, 8, 4), (1, 5, 7), (1, 7, 3), (2, 4, 8), (2, 8, 6),
    )
)  # fmt: skip
BODY = """<mujocoinclude>
  <body name="upper arm [left]" pos="0.1 0.05 0" euler="20 0 10" childclass="limb">
    <joint name="a/shoulder" axis="0 1 0" range="-60 120" ref="15" springref="5" stiffness="2"/>
    <geom type="mesh" mesh="long" contype="0" conaffinity="0" mass="0"/>
    <geom type="capsule" fromto="0 0 0 0 0 -0.3" size="0.03" density="900"/>
    <site name="mid (front)" pos="0.03 0 -0.15"/><site name="mid back" pos="-0.03 0 -0.15"/>
    <frame pos="0 0 -0.3" euler="0 15 0">
      <body name="fore &amp; arm" pos="0 0 0">
        <joint name="elbow" axis="0 1 0" class="sprung" range="0 140"/>
        <inertial pos="0 0.01 -0.1" euler="10 20 0" mass="0.8" diaginertia="0.01 0.011 0.002"/>
        <geom name="pulley" type="cylinder" size="0.02 0.05" euler="90 0 0" contype="0" conaffinity="0"/>
        <geom type="mesh" mesh="short" contype="0" conaffinity="0" mass="0"/>
        <site name="hand" pos="0.02 0 -0.06"/><site name="hand back" pos="-0.02 0 -0.03"/>
        <body name="slider" pos="0 0 -0.2">
          <joint name="reach" type="slide" axis="0 0 1" stiffness="200" damping="4" range="-0.05 0.05"/>
          <geom size="0.04" mass="0.3"/><site name="tip"/>
        </body>
      </body>
    </frame>
  </body>
</mujocoinclude>"""
WHOLE = """<mujoco model="zoo"><compiler angle="degree" meshdir="shapes" autolimits="true" {compiler}/>
  <option timestep="0.001" integrator="{integrator}" gravity="0.5 0 -9.81"/>
  <default><joint armature="0.004"/><default class="limb"><joint damping="0.3"/><site size="0.004"/>
    <default class="sprung"><joint springdamper="0.25 0.6" springref="40"/></default></default>
    <default class="strong"><muscle force="250" timeconst="0.012 0.05" range="0.5 1.4" ctrlrange="0.001 1"/></default>
  </default>
  <asset><mesh name="long" file="a/bone.obj" scale="0.02 0.02 0.3"/>
    <mesh name="short" file="b/bone.obj" scale="0.02 0.02 0.1"/><mesh file="b/Bone.OBJ" scale="0.01 0.01 0.01"/></asset>
  <worldbody><site name="front" pos="0.13 0.05 0.02"/><site name="back" pos="0.07 0.05 0.02"/>
    <geom type="plane" size="1 1 0.1" pos="0 0 -2"/><include file="parts/limb.xml"/>
    <replicate count="2" offset="0.3 0 0"><body name="pendulum" pos="0.5 0 0"><joint name="swing" axis="0 1 0"
      springdamper="0.4 0.3"/><geom type="box" size="0.02 0.03 0.1" pos="0 0 -0.1" mass="0.4"/></body></replicate>
  </worldbody>
  <tendon>
    <spatial name="front path"><site site="front"/><site site="mid (front)"/><site site="hand"/></spatial>
    <spatial name="round"><site site="back"/><site site="mid back"/><geom geom="pulley"/><site site="hand back"/>
      <pulley divisor="2"/><site site="hand"/><site site="tip"/></spatial>
    <fixed name="both"><joint joint="elbow" coef="0.03"/><joint joint="a/shoulder" coef="-0.02"/></fixed>
    <spatial name="band" stiffness="40" damping="0.5" springlength="0.1 0.2" armature="0.01"><site site="front"/>
      <site site="hand back"/></spatial>
  </tendon>
  <actuator><muscle name="flexor #1" tendon="front path" class="strong" lengthrange="0.2 0.45"/>
    <muscle name="extensor" tendon="round" force="180" lengthrange="0.15 0.5" range="0.3 1.2" gear="1.5"/>
    <muscle name="two/joint" tendon="both" force="900" lengthrange="-0.1 0.1" range="0.6 1.3"/>
    <muscle name="on joint" joint="swing0" force="30" gear="0.05" lengthrange="-0.05 0.05" range="0.8 1.2"/>
    <motor name="aid" joint="reach" gear="3"/></actuator>
  <sensor><jointpos joint="elbow"/><actuatorfrc actuator="aid"/></sensor>
  <keyframe><key name="bent" qpos="0.1 1.2 0 0.1 0.2"/></keyframe>
</mujoco>"""
CASES = {"RK4": ("RK4", ""), "Euler": ("Euler", ""), "guarded": ("RK4", 'boundmass="0.35" inertiafromgeom="true"')}


@pytest.fixture
def zoo(tmp_path):
    def write(case="RK4"):
        integrator, compiler = CASES[case]
        for folder, size in (("a", 1), ("b", 2)):
            (tmp_path / "in here" / "shapes" / folder).mkdir(parents=True, exist_ok=True)
            scaled = CUBE.replace("v 1", f"v {size}")
            (tmp_path / "in here" / "shapes" / folder / "bone.obj").write_text(scaled)
        (tmp_path / "in here" / "shapes" / "b" / "Bone.OBJ").write_text(CUBE.replace("v 1", "v 3"))
        (tmp_path / "in here" / "parts").mkdir(exist_ok=True)
        (tmp_path / "in here" / "parts" / "limb.xml").write_text(BODY)
        (tmp_path / "in here" / "zoo.xml").write_text(WHOLE.format(integrator=integrator, compiler=compiler))
        return tmp_path / "in here" / "zoo.xml"

    return write


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_random_people_of_the_zoo_step_alike(case, zoo, tmp_path, step_in_c, smooth_excitation):
    path = zoo(case)
    raw, model = mujoco.MjModel.from_xml_path(str(path)), load_model(path)
    np.testing.assert_allclose(model.nominal.joint.damping, raw.dof_damping, rtol=1e-12)
    np.testing.assert_allclose(model.nominal.joint.stiffness, raw.jnt_stiffness, rtol=1e-12)
    possible = [k for k, x in model.nominal.to_dict().items() if x > 0 or not k.endswith("slack_length")]
    space, moved = parameter_space(model.nominal, possible), []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        z = rng.uniform(space.lower, space.upper)
        parameters = jax.tree.map(np.asarray, space.unpack(jnp.asarray(z)))
        if seed == 0:
            parameters = model.nominal.updated({
                "joint/*/damping": 2 * np.asarray(model.nominal.joint.damping)[1],
                "joint/*/stiffness": 0.5 * np.asarray(model.nominal.joint.stiffness)[1],
                "body/upper arm [left]/mass": 1.04,
            })  # fmt: skip
        exported = mujoco.MjModel.from_xml_path(str(export(model, parameters, tmp_path / f"{seed}" / "out.xml")))
        np.testing.assert_array_equal(exported.dof_damping, parameters.joint.damping)
        np.testing.assert_array_equal(exported.jnt_stiffness, parameters.joint.stiffness)
        own = model if exported.opt.timestep == model.timestep else load_model(path, timestep=exported.opt.timestep)
        steps, reference = 240, raw.qpos0
        u = smooth_excitation(seed, own.timestep, steps, len(model.muscles))
        q0 = reference + rng.uniform(0, 1, 5) * [1, 1, 0.03, 1, 1]
        v0, a0 = rng.normal(size=5) * [1, 1, 0.1, 1, 1], rng.uniform(0, 1, len(model.muscles))
        start = State(jnp.asarray(q0), jnp.asarray(v0), jnp.asarray(a0))
        got = rollout(own, parameters, start, jnp.asarray(u))
        q, v, a = step_in_c(exported, q0, v0, a0, np.hstack([u, np.zeros((steps, 1))]))
        np.testing.assert_allclose(got.position, q, rtol=0, atol=1e-9)
        np.testing.assert_allclose(got.velocity, v, rtol=0, atol=1e-7)
        np.testing.assert_allclose(got.activation, a, rtol=0, atol=1e-11)
        plain = rollout(own, model.nominal, start, jnp.asarray(u))
        moved.append(float(jnp.abs(plain.position - got.position).max()))
        again = load_model(tmp_path / f"{seed}" / "out.xml")
        for key, value in parameters.to_dict().items():
            if "/inertia/" not in key and not key.endswith(("pennation_angle", "_strain")):
                assert again.nominal.to_dict()[key] == pytest.approx(value, rel=1e-9, abs=1e-12), key
    assert min(moved) > 0.02, "the parameters have to matter"


def test_meshes_of_one_name_stay_apart(zoo, tmp_path):
    """Three files called bone in two folders, which also hold other sizes of it; exported twice, and moved."""
    path = zoo()
    raw, model = mujoco.MjModel.from_xml_path(str(path)), load_model(path)
    export(model, model.nominal, tmp_path / "first" / "out.xml")
    again = load_model(tmp_path / "first" / "out.xml")
    export(again, again.nominal, tmp_path / "second" / "out.xml")
    (tmp_path / "second").rename(tmp_path / "moved away")
    names = sorted(p.name for p in (tmp_path / "moved away" / "out_files").iterdir())
    assert len({n.casefold() for n in names}) == 3
    got = mujoco.MjModel.from_xml_path(str(tmp_path / "moved away" / "out.xml"))
    assert [got.mesh(i).name for i in range(3)] == [raw.mesh(i).name for i in range(3)] == ["long", "short", "Bone"]
    np.testing.assert_allclose(got.mesh_vert, raw.mesh_vert, rtol=1e-6)
    np.testing.assert_array_equal(got.geom_dataid, raw.geom_dataid)
    np.testing.assert_allclose(got.key_qpos, raw.key_qpos, rtol=1e-12)
    assert got.nsensor == raw.nsensor


def test_a_mesh_that_is_gone_is_said(zoo, tmp_path):
    path = zoo()
    model = load_model(path)
    (path.parent / "shapes" / "b" / "bone.obj").unlink()
    with pytest.raises(InputError, match=r"not written: .*bone\.obj.*; put the file back"):
        export(model, model.nominal, tmp_path / "out.xml")
