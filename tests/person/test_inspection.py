"""What a model says of itself: moving bodies, ranges, moment arms."""

import numpy as np
import pytest

from mjx_msm.person.inspection import coordinate_range, moment_arm_ranges, moving_bodies, muscle_and_bone
from mjx_msm.person.model import load_model


def test_only_bodies_that_the_free_coordinates_move():
    knee = load_model("knee", free=["knee_angle"], prescribed=["hip_flexion", "ankle_angle"])
    assert moving_bodies(knee) == ("tibia", "foot")
    assert "body/tibia/com/z" in muscle_and_bone(knee)


def test_ranges_of_coordinates_and_moment_arms():
    arm = load_model("arm")
    assert np.rad2deg(coordinate_range(arm, "shoulder_elev")) == pytest.approx([-70, 150], abs=0.01)
    arms = moment_arm_ranges(arm, samples=7)
    low, high = arms["BRA"]["elbow_flex"]
    assert 0.010 < low < high < 0.030  # a flexor
    assert arms["TRIlat"]["elbow_flex"][1] < -0.010  # an extensor
    assert arms["BRA"]["shoulder_elev"] == pytest.approx((0, 0), abs=1e-9)
