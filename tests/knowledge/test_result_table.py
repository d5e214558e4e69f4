"""Words below the result's table."""

import math
from dataclasses import replace

import pytest
from results import result

from mjx_msm.knowledge.records import Fit
from mjx_msm.knowledge.result_table import better_predictions, estimates_table


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


def test_the_table_counts_as_the_verdict_does():
    """What a bound holds, or is known only roughly, stands there dimmed, and why."""
    made = result(shares=(0.99, 0.99, 0.1), bounds=("upper", "", ""))
    e, u = (
        replace(made.estimates[1], low=0.1, high=3.1),
        replace(made.unknowns[1], lower=-5.0, upper=5.0, prior_scale=10.0),
    )
    made = replace(
        made, estimates=(made.estimates[0], e, made.estimates[2]), unknowns=(made.unknowns[0], u, made.unknowns[2])
    )
    table = estimates_table(made.estimates, made.unknowns, made.standing, made.off_prior)
    values, remarks = list(table.columns[3].cells), list(table.columns[6].cells)
    assert values == ["[dim]1.1[/dim]", "[dim]1.1[/dim]", "[dim]not determined[/dim]"]
    assert remarks[0] == "[yellow]at upper bound[/yellow]"
    assert remarks[1] == "[yellow]only roughly: 31-fold[/yellow]"
    assert remarks[2] == "[dim]prior-dominated[/dim]"
