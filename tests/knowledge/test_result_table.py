"""Words below the result's table."""

import math

import pytest

from mjx_msm.knowledge.records import Fit
from mjx_msm.knowledge.result_table import better_predictions


def fit(kind, unit, identified, spread):
    return Fit("one", "identify", kind, "elbow_flex", unit, 1.0, identified, 0.1, spread)


@pytest.mark.parametrize(
    ("row", "warned"),
    [
        (fit("motion", "rad", 0.3, 0.2), True),
        (fit("motion", "rad", 0.1, 0.2), False),
        (fit("motion", "rad", math.radians(0.3), math.radians(0.03)), False),  # a static trial: noise about a constant
        (fit("moment", "N·m", 9.0, 8.0), True),
        (fit("moment", "N·m", 2.0, 0.4), False),
    ],
)
def test_a_constant_is_better_only_where_something_changes(row, warned):
    assert any("worse than a constant" in text for text in better_predictions([row])) == warned
