"""What is said of how long things take."""

import io

import pytest
from rich.console import Console

from mjx_msm.cli.progress import Count, Progress


@pytest.mark.parametrize(("seconds", "said"), [(3.0, "less than a minute"), (50.0, "up to 5 minutes")])
def test_a_long_part_is_announced(seconds, said):
    out = io.StringIO()
    with Progress(Console(file=out, width=132)) as progress:
        progress.ahead("cross-validation", 5, seconds)
    assert out.getvalue() == f"cross-validation: 5 more identifications, {said}\n"


def test_a_turn_is_counted_by_its_name():
    out = io.StringIO()
    with Count(Console(file=out, width=132), "people") as count:
        for turn in (0, 1, 2):
            for done in range(3):
                count(done, 2, turn)
    said = [line.split("s  ")[1] for line in out.getvalue().splitlines()]
    each = ("people", "people once more, turn 1", "people once more, turn 2")
    assert said == [f"{done} of 2 {what}" for what in each for done in (1, 2)]
    assert count.what == each[2]
