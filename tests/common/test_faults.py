"""What is wrong in several places, said at once: the same of several files as one, and no name or fault lost."""

import itertools

import pytest

from mjx_msm.common.errors import Faults, InputError, InputErrors


def said(*messages: str) -> list[str]:
    faults = Faults()
    for message in messages:
        faults.add(InputError(message))
    with pytest.raises(InputError) as raised:
        faults.raise_any()
    return list(raised.value.messages) if isinstance(raised.value, InputErrors) else [str(raised.value)]


COLUMN = "no column 'x'"


def test_the_same_of_several_files_is_one():
    assert said(f"a.csv: {COLUMN}") == [f"a.csv: {COLUMN}"]
    assert said(f"a.csv: {COLUMN}", f"b.csv: {COLUMN}", f"a.csv: {COLUMN}") == [f"a.csv and b.csv: {COLUMN}"]
    assert said(*(f"{n}.csv: {COLUMN}" for n in "abc")) == [f"a.csv, b.csv and c.csv: {COLUMN}"]
    assert said(*(f"{n}.csv: {COLUMN}" for n in "abcde")) == [f"a.csv, b.csv and 3 more: {COLUMN}"]
    assert said(COLUMN, COLUMN) == [COLUMN]


@pytest.mark.parametrize("order", list(itertools.permutations([COLUMN, f"a.csv: {COLUMN}", f"b.csv: {COLUMN}"])))
def test_what_names_no_file_stays_beside_those_that_do(order):
    """In whichever order: none is lost, and no name is empty."""
    assert sorted(said(*order[:2])) == (
        sorted(order[:2]) if COLUMN in order[:2] else [f"{order[0][:5]} and {order[1][:5]}: {COLUMN}"]
    )
    files = [m.partition(":")[0] for m in order if m != COLUMN]
    together = f"{' and '.join(files)}: {COLUMN}"
    assert said(*order) == ([COLUMN, together] if order[0] == COLUMN else [together, COLUMN])


@pytest.mark.parametrize("message", [": no name", "no end: ", "a: b: c", "12:30 is no date"])
def test_a_lonely_message_is_said_as_it_is(message):
    assert said(message) == [message]
