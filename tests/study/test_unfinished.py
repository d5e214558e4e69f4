"""A run that is at work is left alone; one that has ended is gone on with, or replaced."""

import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.study.unfinished import Unfinished


def end(folder, kept, how):
    """A run that ends by an exception, with this much in its checkpoint."""
    with Unfinished.at(folder, resume=False) as run:
        run.identification.write_text(kept)
        raise how


@pytest.fixture
def interrupted(tmp_path):
    """The folder of a run that kept something."""
    with pytest.raises(KeyboardInterrupt):
        end(tmp_path / "r", "{}\n{}\n", KeyboardInterrupt)
    return tmp_path / "r"


@pytest.mark.parametrize("asked", [{"resume": True}, {"resume": False, "overwrite": True}, {"resume": False}])
def test_one_at_a_time(interrupted, asked):
    with Unfinished.at(interrupted, resume=True) as run:
        with (
            pytest.raises(InputError, match="another process is at work here"),
            Unfinished.at(interrupted, **asked),
        ):
            pytest.fail("it was let in")
        assert run.identification.read_text() == "{}\n{}\n"


def test_one_that_ended(interrupted):
    with pytest.raises(InputError, match="--resume goes on"), Unfinished.at(interrupted, resume=False):
        pytest.fail("it was let in")
    with Unfinished.at(interrupted, resume=True) as run:
        assert run.identification.is_file()
    with Unfinished.at(interrupted, resume=False, overwrite=True) as run:
        assert not run.identification.exists()
        run.ended()
    assert list(interrupted.iterdir()) == []


def test_an_error_before_anything_is_done_leaves_nothing(tmp_path):
    with pytest.raises(InputError):
        end(tmp_path / "r", "{}\n", InputError)
    assert list(tmp_path.iterdir()) == []
