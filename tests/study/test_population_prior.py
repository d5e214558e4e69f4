"""A subject file that names a population: its prior is that of a person of this size."""

import numpy as np
import pytest
from made_cohort import FREE, made_cohort

from mjx_msm import InputError, load_subject, parameter_space, synthetic_subject, synthetic_trials
from mjx_msm.knowledge.population import learned
from mjx_msm.recordings.subject_file.loading import write_subject
from mjx_msm.study.settings import settings, study_space


@pytest.fixture
def subject(arm, tmp_path):
    results, traits, _ = made_cohort(parameter_space(arm.nominal, FREE), 12, seed=4)
    population = learned(results, traits, name="weak")
    population.save(tmp_path / "population.json")
    (trial,) = synthetic_trials(arm, synthetic_subject(arm, seed=1), count=1, duration=0.5, rate=250, seed=1)

    def make(**who):
        document = {
            "units": "rad",
            "subject": {"name": "one", **who},
            "model": {"source": "arm", "free": list(arm.free), "prescribed": []},
            "emg": {"kind": "envelope", "muscles": {m: m for m in arm.muscles}},
            "trials": [trial.save(tmp_path)],
            "identify": {"free": FREE, "residuals": ["motion"], "prior": "population.json"},
        }
        write_subject(tmp_path / "subject.toml", document)
        return load_subject(tmp_path / "subject.toml")

    return population, make


def test_the_prior_is_of_a_person_of_this_size(arm, subject):
    population, make = subject
    study = make(mass=82.0)
    assert "population.json" in study.hashes, "another population is another study"
    assert settings(study).prior == population.expected(mass=82.0)
    usual = parameter_space(arm.nominal, FREE)
    space = study_space(arm, study)
    expected = population.expected(mass=82.0)
    np.testing.assert_allclose(space.prior_mean[:6], usual.prior_mean[:6] + expected.shift[:6])
    light = study_space(arm, make(mass=55.0))
    assert np.mean(light.prior_mean[:6]) < np.mean(space.prior_mean[:6])


def test_a_population_that_is_not_there_is_one_line(subject, tmp_path):
    _, make = subject
    (tmp_path / "population.json").unlink()
    with pytest.raises(InputError, match=r"\[identify\] prior: no file .*population.json; correct the path"):
        make(mass=70.0)
