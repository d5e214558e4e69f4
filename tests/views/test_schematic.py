"""The schematic, by its pixels."""

import mujoco
import numpy as np


def test_every_kind_of_geom_has_an_outline(draw, reddish):
    kinds = ("sphere", "capsule", "ellipsoid", "cylinder", "box", "mesh")
    geoms = "".join(
        f"<geom name='{k}' type='{k}' pos='{i} 0 0' rgba='1 0 0 1' "
        + ("mesh='m'/>" if k == "mesh" else "size='.3 .3 .3'/>")
        for i, k in enumerate(kinds)
    )
    mjcf = f"""<mujoco><asset><mesh name="m" vertex="0 0 0 .4 0 0 0 .4 0 0 0 .4"/></asset><worldbody>
      <camera name="sagittal" pos="2.5 -9 0" xyaxes="1 0 0 0 0 1"/>
      <geom type="plane" size="9 9 1" pos="0 0 0"/>{geoms}</worldbody></mujoco>"""
    frame = draw(mujoco.MjModel.from_xml_string(mjcf), "schematic", [])
    columns = reddish(frame).any(axis=0).astype(int)
    assert (np.diff(columns) == 1).sum() == len(kinds)
