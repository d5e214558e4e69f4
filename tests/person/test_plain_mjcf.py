"""One plain text of a specification compiles to the same model, each time: copies lose a class now and then."""

import mujoco
import numpy as np

from mjx_msm.person.plain_mjcf import plain

CLASSES = """<mujoco><compiler angle="radian"/><default><joint axis="0 1 0" damping="0.5"/><site size="0.02"/>
<geom contype="0" conaffinity="0"/><tendon stiffness="3"/><default class="stiff"><joint stiffness="7" damping="0"/>
<geom contype="2"/></default></default><worldbody><site name="s" size="0.005"/>
<body><joint name="a" axis="0 0 1"/><geom size="0.1" contype="1"/><site name="t" pos="0.1 0 0.2"/>
<body childclass="stiff"><joint name="b"/><joint name="c" class="main" axis="1 0 0" damping="0"/><geom size="0.1"/>
</body></body></worldbody><tendon><spatial name="path"><site site="s"/><site site="t"/></spatial></tendon>
<actuator><muscle tendon="path" lengthrange="0.1 0.5"/></actuator></mujoco>"""


def test_classes_are_written_out_the_same_every_time():
    spec = mujoco.MjSpec.from_string(CLASSES)
    other = mujoco.MjSpec.from_string(CLASSES)
    joined = mujoco.MjSpec.from_string(CLASSES.replace("axis", "pos='0 0 0.1' axis"))
    joined.attach(other, prefix="other/", frame=joined.worldbody.add_frame(pos=[1, 0, 0]))
    for of in (spec, joined):
        expected = of.compile()
        for _ in range(30):
            same(plain(of).compile(), expected)


def same(got: mujoco.MjModel, expected: mujoco.MjModel) -> None:
    kinds = ("body", "jnt", "dof", "geom", "site", "tendon", "actuator")
    for name in (n for n in dir(expected) if n.split("_")[0] in kinds):
        value = getattr(expected, name)
        if isinstance(value, np.ndarray):
            np.testing.assert_allclose(getattr(got, name), value, atol=1e-7, err_msg=name)
