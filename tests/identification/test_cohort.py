"""Many subjects: each as if alone, and one bad recording costs only itself."""

from dataclasses import replace

import numpy as np
import pytest
from moment_recording import moved

from mjx_msm import InputError, identify, identify_many, synthetic_subject, synthetic_trials

FREE = ["muscle/*/max_isometric_force", "body/forearm/mass"]


@pytest.fixture(scope="module")
def people(arm):
    return {
        f"s{k}": synthetic_trials(
            arm, synthetic_subject(arm, seed=k), count=1, duration=1.0, rate=250, seed=k, angle_noise=0.003
        )
        for k in range(3)
    }


def test_every_subject_is_identified_as_if_alone(arm, people):
    results = identify_many(arm, people, free=FREE, workers=2)
    assert list(results) == list(people)
    for name, trials in people.items():
        alone = identify(arm, trials, free=FREE)
        assert results[name].subject == name
        np.testing.assert_array_equal(results[name].z, alone.z)  # bit for bit, whoever works beside it
        assert len({r.z for r in results.values()}) == len(people)


def test_a_bad_recording_costs_only_itself(arm, people):
    broken = replace(people["s1"][0], channels=("x", *people["s1"][0].channels[1:]))
    results = identify_many(arm, {"good": people["s0"], "bad": (broken,)}, free=FREE)
    assert isinstance(results["bad"], InputError)
    assert "subject 'bad'" in str(results["bad"])
    assert "TRIlong" in str(results["bad"])
    assert results["good"].subject == "good"


def test_an_empty_cohort_is_refused(arm):
    with pytest.raises(InputError, match="no subjects"):
        identify_many(arm, {}, free=FREE)


def test_people_whose_calls_are_made_as_one_come_to_the_same(arm):
    """Moments of three people of one length and a fourth of another, who need more and fewer evaluations."""
    people = {f"p{k}": (moved(arm, k, 0.6 if k < 3 else 1.2),) for k in range(4)}
    settings = dict(free=["muscle/*/max_isometric_force"], residuals=("moment",))
    together = identify_many(arm, people, executor="abreast", rate=50.0, **settings)
    alone = identify_many(arm, people, workers=1, rate=50.0, **settings)
    assert list(together) == list(people)
    assert len({r.stages[0].evaluations for r in alone.values()}) > 1
    for name, r in alone.items():
        sd = np.sqrt(np.diag(np.array(r.covariance)))
        np.testing.assert_allclose(np.array(together[name].z) / sd, np.array(r.z) / sd, atol=1e-5)
        np.testing.assert_allclose(together[name].covariance, r.covariance, rtol=1e-5, atol=1e-10)


@pytest.mark.slow
def test_other_processes_find_the_same(arm, people):
    results = identify_many(arm, people, free=FREE, executor="processes", workers=2)
    assert list(results) == list(people)
    here = identify_many(arm, people, free=FREE)
    for name in people:
        np.testing.assert_array_equal(results[name].z, here[name].z)
    with pytest.raises(InputError, match="a listener hears this process alone"):
        identify_many(arm, people, free=FREE, executor="here", listener=print)
