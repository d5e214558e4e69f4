"""Two runs have the same files where those hold the same, wherever they lie."""

import pytest

from mjx_msm.common.changed_files import changed_file

BEFORE = {"subject.toml": "1", "walk.csv": "2"}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (BEFORE, None),
        ({"copy.toml": "1", "../there/walk.csv": "2"}, None),
        ({}, None),
        ({"subject.toml": "1", "walk.csv": "3"}, "walk.csv has changed"),
        ({"subject.toml": "1", "../there/walk.csv": "3"}, "../there/walk.csv has come in"),
        ({**BEFORE, "run.csv": "3"}, "run.csv has come in"),
        ({"subject.toml": "1"}, "walk.csv has gone"),
        ({**BEFORE, "again.csv": "2"}, "again.csv has come in"),
    ],
)
def test_what_differs(now, said):
    assert changed_file(BEFORE, now) == said


def test_nothing_is_said_of_a_run_that_kept_no_digests():
    assert changed_file({}, BEFORE) is None
