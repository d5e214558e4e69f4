"""What is said of how long things take."""

import io

import pytest
from rich.console import Console

from mjx_msm.cli.progress import Progress


@pytest.mark.parametrize(("seconds", "said"), [(3.0, "less than a minute"), (50.0, "up to 5 minutes")])
def test_a_long_part_is_announced(seconds, said):
    out = io.StringIO()
    with Progress(Console(file=out, width=132)) as progress:
        progress.ahead("cross-validation", 5, seconds)
    assert out.getvalue() == f"cross-validation: 5 more identifications, {said}\n"
