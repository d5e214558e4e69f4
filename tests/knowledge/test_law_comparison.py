"""Results side by side: the marginal likelihood against quadrature, and what may not be compared."""

from dataclasses import replace

import numpy as np
import pytest
from made_result import made_result
from scipy.integrate import quad

import mjx_msm as msm
from mjx_msm.cli.app import run
from mjx_msm.common.errors import InputError
from mjx_msm.knowledge.law_comparison import compare_laws
from mjx_msm.knowledge.records import Evidence, Fit
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.space import parameter_space


@pytest.fixture(scope="module")
def some(arm):
    return made_result(parameter_space(arm.nominal, ["muscle/BRA/max_isometric_force"]), np.eye(1))


def with_law(some, name, error, evidence):
    fits = [Fit("walk", role, "moment", "knee", "N·m", 9.0, e, 0.9, 10.0) for role, e in error.items()]
    return replace(some, muscle_model=name, fits=tuple(fits), evidence=evidence, residuals=("moment",))


def test_marginal_likelihood_is_the_integral():
    """One unknown, a linear model and normal noise, where Laplace's approximation is exact."""
    rng = np.random.default_rng(0)
    x, scale = rng.normal(size=12), 0.7
    y = 1.3 * x + scale * rng.normal(size=12)

    def log_likelihood(z):
        return float(np.sum(-0.5 * ((y - z * x) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)))

    def density(z):
        return np.exp(log_likelihood(z) - 0.5 * z**2) / np.sqrt(2 * np.pi)

    information = float(x @ x) / scale**2
    best = float(x @ y) / scale**2 / (information + 1.0)
    found = Evidence(12, 1.0, log_likelihood(best), -0.5 * best**2, (information,)).log_marginal_likelihood(1.0)
    assert found == pytest.approx(np.log(quad(density, best - 3, best + 3)[0]), abs=1e-6)


def test_the_table_names_who_predicts_best_and_what_is_preferred(some):
    one = with_law(some, "mujoco", {"identify": 5.0, "held-out": 6.0}, Evidence(100, 4.0, -200.0, -1.0, (50.0, 3.0)))
    two = with_law(some, "degroote", {"identify": 4.0, "held-out": 6.5}, Evidence(100, 2.0, -100.0, -1.0, (50.0, 3.0)))
    found = msm.compare_laws([one, two])
    assert found.repeated == 4.0  # the same for both: as if the samples of all said as little as those of one
    assert found.preferred.name == "degroote"
    assert found.candidates[1].log_marginal_likelihood - found.candidates[0].log_marginal_likelihood == pytest.approx(
        25
    )
    assert found.best("held-out", "moment").name == "mujoco"
    text = str(found)
    assert "error of moments, held-out: least with mujoco" in text
    assert "degroote is preferred" in text
    assert "-25.0" in text
    near = compare_laws({"a": one, "b": replace(one, evidence=replace(one.evidence, fit=-195.0))})
    assert near.preferred is None
    assert "none is preferred" in str(near)
    unknown = compare_laws({"a": one, "b": replace(two, evidence=None)})
    assert unknown.preferred is None
    assert "under the normal loss only" in str(unknown)


def test_only_the_same_recordings_are_compared(some):
    one = with_law(some, "mujoco", {"identify": 5.0}, None)
    with pytest.raises(InputError, match="needs two results or more, got 1"):
        compare_laws([one])
    with pytest.raises(InputError, match=r"need names: compare_laws\(\{'name': result"):
        compare_laws([one, one])
    other = replace(one, fits=(replace(one.fits[0], trial="run"),))
    with pytest.raises(InputError, match="only one has moment of 'knee' in trial"):
        compare_laws({"a": one, "b": other})
    louder = replace(one, fits=(replace(one.fits[0], spread=11.0),))
    with pytest.raises(InputError, match="moment of 'knee' in trial 'walk' differs"):
        compare_laws({"a": one, "b": louder})
    with pytest.raises(InputError, match="their residuals or rates differ"):
        compare_laws({"a": one, "b": replace(one, rate=one.rate + 1)})


def test_the_command_says_which_law(some, tmp_path, capsys):
    """Of two results of one recording; in the file of a result, the parts of its marginal likelihood."""
    for name, fit in (("mujoco", -200.0), ("degroote", -100.0)):
        made = with_law(some, name, {"held-out": 6.0}, Evidence(100, 4.0, fit, -1.0, (50.0,)))
        (tmp_path / name).mkdir()
        replace(made, hashes={"walk.csv": "1"}).save(tmp_path / name / "identification.json")
        assert Identification.load(tmp_path / name).evidence == made.evidence
    folders = [str(tmp_path / name) for name in ("mujoco", "degroote")]
    assert run(["compare", *folders, "--out", str(tmp_path / "laws.html")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "degroote is preferred" in said
    assert "error of moments, held-out: no one clearly less than another" in said
    other = replace(Identification.load(folders[1]), rate=12.0)
    other.save(tmp_path / "degroote" / "identification.json")
    assert run(["compare", *folders, "--out", str(tmp_path / "laws.html")]) == 0
    assert "muscle laws are not compared: results 'mujoco' and 'degroote'" in capsys.readouterr().out
