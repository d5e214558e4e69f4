"""A ball on a rail in front of an arm: the hand strikes it, and it rolls to a stop.

Hand and ball touch by a spring between their centres that is slack beyond the sum of their radii,

    F = k max(0, r − L),

a tendon's with a dead band. It is a passive force that C and JAX compute alike, without a constraint solver, and it has
derivatives: where on the ball and how fast the hand meets it moves where the ball stops by a finite amount. The rail
takes what is not along it, and a cushion behind the ball keeps it there. Rolling, the ball loses speed by viscous
friction, so that it stops v/λ after it left the hand at a speed v.
"""

from __future__ import annotations

import mujoco
import numpy as np

from mjx_msm.common.errors import in_one_line
from mjx_msm.envs.engines.world import World
from mjx_msm.envs.human.arm import HAND, JOINTS
from mjx_msm.envs.human.people import People

BALL = "ball"
"""Joint, site and body."""
CUSHION = "cushion"
PLACE = (0.20, -0.225, 0.87)
"""Of the ball before it is struck [m]: where a hand that swings forward from hanging comes by, near its lowest."""
BALL_RADIUS, HAND_RADIUS = 0.045, 0.045
"""[m]; the hand's is that of a fist."""
MASS = 0.4
"""Of the ball, a hockey ball's and more [kg]."""
SLOWING = 1.5
"""Part of its speed that a rolling ball loses a second, λ [1/s]."""
STIFFNESS = 3000.0
"""Of the contact [N/m]: a soft ball, in touch with the hand for 30 to 40 ms."""
FAR = 1e3
"""Length of a contact's spring beyond which it would pull [m]."""
RAIL = 1.6
"""Length of the rail that is drawn [m]."""


def strike_scene(people: People) -> World:
    """The arm, and a ball whose only coordinate is its way along x [m]."""
    spec = people.spec.copy()
    try:
        _add_ball(spec)
        return World.of(spec, JOINTS, tracked=(HAND, BALL))
    except ValueError as e:
        raise type(e)(f"{people.source}: {in_one_line(e)}") from None


def _add_ball(spec: mujoco.MjSpec) -> None:
    looks = {"contype": 0, "conaffinity": 0, "mass": 0, "group": 1}
    x, y, z = PLACE
    height = z - BALL_RADIUS
    for side in (-0.5, 0.5):
        edge = y + side * BALL_RADIUS
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[x - 0.06, edge, height, x + RAIL, edge, height],
            size=[0.006, 0, 0],
            rgba=[0.45, 0.47, 0.5, 1],
            **looks,
        )
    for foot in (x, x + RAIL - 0.05):
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[foot, y, 0, foot, y, height],
            size=[0.012, 0, 0],
            rgba=[0.45, 0.47, 0.5, 1],
            **looks,
        )
    inertia = 0.4 * MASS * BALL_RADIUS**2
    ball = spec.worldbody.add_body(
        name=BALL, pos=PLACE, mass=MASS, ipos=np.zeros(3), inertia=np.full(3, inertia), explicitinertial=True
    )
    ball.add_joint(name=BALL, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[1, 0, 0], damping=[MASS * SLOWING, 0, 0])
    ball.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[BALL_RADIUS, 0, 0], rgba=[0.93, 0.55, 0.1, 1], **looks)
    ball.add_site(name=BALL, size=[0.004] * 3, group=4)
    touch = HAND_RADIUS + BALL_RADIUS
    spec.worldbody.add_site(name=CUSHION, pos=[x - touch, y, z], size=[0.004] * 3, group=4)
    for name, other in ((BALL, HAND), (CUSHION, CUSHION)):
        tendon = spec.add_tendon(name=name, springlength=[touch, FAR], rgba=[0, 0, 0, 0], group=5)
        tendon.stiffness[0] = STIFFNESS
        tendon.wrap_site(other)
        tendon.wrap_site(BALL)
    # from the side, and far enough away for the whole rail
    spec.worldbody.add_camera(name="strike", pos=[0.75, -2.9, 1.05], xyaxes=[1, 0, 0, 0, 0.04, 1], fovy=38)
