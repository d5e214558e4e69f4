"""A result as a table of pandas and as a DataTree of ArviZ holds what the result holds."""

import sys

import arviz_stats
import numpy as np
import pytest
from made_result import made_result
from results import fit, result

from mjx_msm.common.errors import InputError
from mjx_msm.person.model import load_model
from mjx_msm.person.space import parameter_space

FREE = ("muscle/*/max_isometric_force", "muscle/BRA/optimal_fiber_length", "body/forearm/inertia", "joint/*/damping")


@pytest.fixture(scope="module")
def known():
    arm = load_model("arm")
    space = parameter_space(arm.nominal, FREE)
    return made_result(space, 300.0 * np.eye(space.size))


def test_a_row_a_parameter(known):
    table = known.to_dataframe()
    assert list(table.index) == [e.path for e in known.estimates]
    for column, name in (
        ("generic", "start"),
        ("estimate", "value"),
        ("low", "low"),
        ("high", "high"),
        ("unit", "unit"),
    ):
        assert list(table[column]) == [getattr(e, name) for e in known.estimates]
    assert list(table["knowledge"]) == [k.value for k in known.knowledge]


def test_a_row_an_error_with_other_predictions_beside():
    table = result(fit(identified=2.0, ridge=3.0), fit(identified=4.0, trial="lift")).fits_to_dataframe()
    assert list(table["identified"]) == [2.0, 4.0]
    assert list(table["trial"]) == ["reach", "lift"]
    assert table["ridge"][0] == 3.0
    assert np.isnan(table["ridge"][1])


def test_every_parameter_is_in_the_tree_in_its_unit(known):
    tree, arm = known.to_arviz(), known.model()
    space = known.space(arm)
    draws = dict(zip(space.paths, space.physical(np.array(known.samples)).T, strict=True))
    force = tree["posterior"]["muscle_max_isometric_force"]
    assert force.dims == ("chain", "draw", "muscle")
    for muscle in arm.muscles:
        assert force.sel(muscle=muscle).values[0] == pytest.approx(draws[f"muscle/{muscle}/max_isometric_force"])
    assert tree["posterior"]["muscle_optimal_fiber_length"].sizes == {
        "chain": 1,
        "draw": len(known.samples),
        "muscle_optimal_fiber_length_of": 1,
    }
    assert sum(x.size // len(known.samples) for x in tree["posterior"].data_vars.values()) == len(space.paths)


def test_the_prior_has_its_spread(known):
    """A normal distribution in the logarithm, wide bounds."""
    tree = known.to_arviz(seed=1)
    (of,) = [u for u in known.unknowns if u.members == ("muscle/BRA/optimal_fiber_length",)]
    drawn = np.log(tree["prior"]["muscle_optimal_fiber_length"].values.ravel())
    assert drawn.mean() == pytest.approx(of.prior_mean, abs=4 * of.prior_scale / np.sqrt(len(drawn)))
    assert drawn.std() == pytest.approx(of.prior_scale, rel=0.3)


def test_arviz_takes_the_tree(known):
    summary = arviz_stats.summary(known.to_arviz(), var_names=["muscle_max_isometric_force"], round_to="none")
    of = known["muscle/BRA/max_isometric_force"]
    row = summary.loc["muscle_max_isometric_force[BRA]"]
    assert row["mean"] == pytest.approx(of.value, rel=0.02)
    assert row["sd"] == pytest.approx(of.sd, rel=0.2)


@pytest.mark.parametrize(("library", "call"), [("pandas", "to_dataframe"), ("arviz_base", "to_arviz")])
def test_what_to_install_is_said(known, monkeypatch, library, call):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=r"pip install 'mjx-msm\[notebook\]'"):
        getattr(known, call)()


def test_without_draws_there_is_no_tree(known):
    from dataclasses import replace

    with pytest.raises(InputError, match="holds no draws"):
        replace(known, samples=()).to_arviz()
