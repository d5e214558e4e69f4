"""What goes to the browser is where C MuJoCo has it."""

import mujoco
import numpy as np
import pytest

from mjx_msm.views.posed_scene import GHOST, PosedScene
from mjx_msm.views.viewer.browser_scene import BAR, BLOCK, ROUND, instances_of

MJCF = """
<mujoco>
  <asset><mesh name="tip" vertex="0 0 0  .1 0 0  0 .1 0  0 0 .1"/></asset>
  <worldbody>
    <site name="a" pos="0 0 1.2"/>
    <body name="limb" pos="0 0 1" euler="0 20 0">
      <joint name="turn" axis="0 1 0"/>
      <geom name="ball" type="ellipsoid" size=".1 .2 .3" rgba="1 0 0 1"/>
      <geom name="bone" type="capsule" size=".03 .2" pos=".1 0 0" euler="90 0 0" rgba="0 1 0 .5"/>
      <geom name="block" type="box" size=".1 .2 .3" pos="0 .2 0"/>
      <geom name="mesh" type="mesh" mesh="tip"/>
      <geom name="unseen" type="sphere" size=".1" rgba="0 0 0 0"/>
      <site name="b" pos="0 0 -.3"/>
    </body>
  </worldbody>
  <tendon><spatial name="pull" width=".01"><site site="a"/><site site="b"/></spatial></tendon>
  <actuator><muscle name="pull" tendon="pull" lengthrange=".1 1"/></actuator>
</mujoco>
"""
ANGLE = 0.4


@pytest.fixture(scope="module")
def model():
    return mujoco.MjModel.from_xml_string(MJCF)


@pytest.fixture(scope="module")
def posed(model):
    data = mujoco.MjData(model)
    data.qpos[0] = ANGLE
    mujoco.mj_forward(model, data)
    return data


def row_at(instances, place):
    distance = np.linalg.norm(instances.position - place, axis=1)
    assert distance.min() < 1e-6
    return int(np.argmin(distance))


def turned(quaternion):
    out = np.zeros(9)
    mujoco.mju_quat2Mat(out, quaternion)
    return out.reshape(3, 3)


@pytest.mark.parametrize(("name", "shape", "scale"), [
    ("ball", ROUND, (0.1, 0.2, 0.3)), ("bone", BAR, (0.03, 0.03, 0.2)), ("block", BLOCK, (0.1, 0.2, 0.3)),
])  # fmt: skip
def test_shapes_are_where_they_are(model, posed, name, shape, scale):
    which = instances_of(PosedScene(model)([ANGLE]))[shape]
    row, geom = row_at(which, posed.geom(name).xpos), model.geom(name)
    assert which.scale[row] == pytest.approx(scale, abs=1e-6)
    assert turned(which.quaternion[row]) == pytest.approx(posed.geom(name).xmat.reshape(3, 3), abs=1e-6)
    assert which.colour[row] / 255 == pytest.approx(geom.rgba[:3], abs=0.003)
    assert which.opacity[row] == pytest.approx(geom.rgba[3])


def test_a_mesh_is_its_own_shape_and_the_unseen_is_left_out(model):
    found = instances_of(PosedScene(model)([ANGLE]))
    assert len(found["mesh/0"].position) == 1
    assert not (found[ROUND].opacity == 0).any()


def test_a_muscle_goes_from_site_to_site_in_its_colour(model, posed):
    bars = instances_of(PosedScene(model)([ANGLE], activation=[1.0]))[BAR]
    ends = posed.site("a").xpos, posed.site("b").xpos
    row = row_at(bars, (ends[0] + ends[1]) / 2)
    assert 2 * bars.scale[row, 2] == pytest.approx(np.linalg.norm(ends[1] - ends[0]), abs=1e-6)
    assert bars.colour[row, 0] > 2 * bars.colour[row, 2]  # red


def test_a_ghost_is_translucent_and_elsewhere(model):
    alone, two = PosedScene(model)([ANGLE]), None
    before = {shape: len(x.position) for shape, x in instances_of(alone).items()}
    two = instances_of(PosedScene(model)([ANGLE], ghost=[ANGLE + 1.0]))
    assert len(two[BLOCK].position) == before[BLOCK] + 1
    assert two[BLOCK].opacity.min() == pytest.approx(GHOST[3])
