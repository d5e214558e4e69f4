"""An interrupted identification goes on where it was, and ends where it would have ended."""

from dataclasses import replace

import numpy as np
import pytest

from mjx_msm import Identification, InputError, Outcome, identify, synthetic_subject, synthetic_trials

FREE = ["muscle/*/max_isometric_force", "muscle/BRA/optimal_fiber_length", "body/forearm/mass"]


@pytest.fixture(scope="module")
def trials(arm):
    return synthetic_trials(
        arm, synthetic_subject(arm, seed=3), count=1, duration=1.0, rate=250, seed=3, angle_noise=0.004
    )


@pytest.fixture(scope="module")
def whole(arm, trials):
    return identify(arm, trials, free=FREE)


def interrupt_in(stage, iteration):
    def listener(progress):
        if progress.index == stage and progress.iteration == iteration:
            raise KeyboardInterrupt

    return listener


@pytest.mark.parametrize(("stage", "iteration"), [(0, 2), (1, 1)])
def test_it_ends_where_it_would_have(arm, trials, whole, tmp_path, stage, iteration):
    broken = identify(arm, trials, free=FREE, listener=interrupt_in(stage, iteration))
    assert broken.outcome is Outcome.INTERRUPTED
    assert len(broken.stages) == stage + 1
    seen = []
    saved = Identification.load(broken.save(tmp_path / "identification.json"))
    resumed = identify(arm, trials, free=FREE, resume=saved, listener=lambda p: seen.append(p.index))
    assert resumed.outcome is Outcome.CONVERGED
    assert min(seen) == stage  # what was done is not done again
    assert [s.name for s in resumed.stages] == [s.name for s in whole.stages]
    sd = np.sqrt(np.diag(whole.covariance))
    np.testing.assert_array_less(np.abs(np.subtract(resumed.z, whole.z)), 0.02 * sd)


def test_another_problem_is_refused(arm, trials, whole):
    with pytest.raises(InputError, match="other parameters"):
        identify(arm, trials, free=FREE[:1], resume=whole)
    with pytest.raises(InputError, match=r"walk\.csv has changed"):
        identify(arm, trials, free=FREE, resume=replace(whole, hashes={"walk.csv": "a"}), hashes={"walk.csv": "b"})


def test_a_seed_repeats_bit_for_bit(arm, trials, whole):
    np.testing.assert_array_equal(identify(arm, trials, free=FREE).z, whole.z)
    many = [identify(arm, trials, free=FREE, starts=2, seed=5) for _ in range(2)]
    np.testing.assert_array_equal(many[0].z, many[1].z)
