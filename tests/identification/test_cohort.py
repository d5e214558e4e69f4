"""Many subjects: each as if alone, and one bad recording costs only itself."""

from dataclasses import replace

import numpy as np
import pytest

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


@pytest.mark.slow
def test_other_processes_find_the_same(arm, people):
    results = identify_many(arm, people, free=FREE, executor="processes", workers=2)
    assert list(results) == list(people)
    here = identify_many(arm, people, free=FREE)
    for name in people:
        np.testing.assert_array_equal(results[name].z, here[name].z)
    with pytest.raises(InputError, match="a listener hears this process alone"):
        identify_many(arm, people, free=FREE, executor="here", listener=print)
