"""Names and patterns of them, as a user writes them."""

import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.common.patterns import matches, named

NAMES = ("knee_r", "knee_l", "RF [mV]", "hip")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (("hip", "knee_*"), ("hip", "knee_r", "knee_l")),
        (("knee_?", "knee_r"), ("knee_r", "knee_l")),
        (("RF [mV]",), ("RF [mV]",)),
        ((), ()),
    ],
)
def test_what_is_named(wanted, found):
    assert named(wanted, NAMES, "there is no") == found


def test_what_is_not_there_is_named():
    with pytest.raises(InputError, match=r"the leg has no joint 'kne'; did you mean 'knee_r'"):
        named(["hip", "kne"], NAMES, "the leg has no joint")


def test_brackets_are_a_choice_or_themselves():
    assert matches("emg/RF [mV]/gain", "emg/RF [mV]/*")
    assert matches("knee_r", "knee_[rl]")
