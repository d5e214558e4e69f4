"""A payload: C MuJoCo with the same ball, nothing at all without mass, and the person's unknowns where they were."""

import numpy as np
import pytest

from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.simulation import State, rollout
from mjx_msm.person.payload import Grip, find_grip, parameters_with_payload, space_with_payload, with_payload
from mjx_msm.person.personalisation import personalised_spec
from mjx_msm.person.space import parameter_space

POSTURE, STEPS = np.array([0.3, 1.0]), 200


def motion(model, parameters):
    drive = np.full((STEPS, len(model.muscles)), 0.1)
    with float64():
        out = rollout(model, parameters, State(POSTURE, 0 * POSTURE, drive[0]), drive)
        return np.asarray(out.position)


def test_it_steps_like_c_and_weighs_what_it_should(arm, step_in_c):
    loaded = with_payload(arm, 2.0)
    drive = np.full((STEPS, len(arm.muscles)), 0.1)
    in_c, _, _ = step_in_c(loaded.host.mj_model, POSTURE, 0 * POSTURE, drive[0], drive)
    assert np.abs(motion(loaded, loaded.nominal) - in_c).max() < 1e-9
    assert loaded.host.mj_model.body_mass.sum() == pytest.approx(arm.host.mj_model.body_mass.sum() + 2.0)
    assert personalised_spec(loaded, loaded.nominal).compile().body("payload").mass[0] == 2.0


def test_without_mass_it_is_the_person_alone(arm):
    loaded = with_payload(arm, 1.0)
    alone = parameters_with_payload(arm.nominal, loaded, 0.0)
    np.testing.assert_array_equal(motion(loaded, alone), motion(arm, arm.nominal))


def test_the_unknowns_stay_where_they_were(arm):
    space = parameter_space(arm.nominal, ["body/*/mass", "body/forearm/inertia", "muscle/BRA/*_length"])
    loaded = with_payload(arm, 1.0)
    heavy = space_with_payload(space, loaded, 3.0)
    assert heavy.paths == space.paths
    with float64():
        z = np.asarray(space.pack(arm.nominal)) + 0.1 * np.arange(space.size) / space.size
        before, after = space.unpack(z).to_dict(), heavy.unpack(z).to_dict()
    assert {k: v for k, v in after.items() if not k.startswith("body/payload/")} == before
    assert after["body/payload/mass"] == 3.0


def test_inertias_add_by_the_parallel_axis_theorem(arm):
    """One forearm that is as heavy as forearm and ball together moves as they do."""
    grip, load = find_grip(arm), 2.0
    place, radius = np.array(grip.position), (3 * load / (4 * np.pi * 7850)) ** (1 / 3)
    row = arm.nominal.names.body.index("forearm")
    mass, com, inertia = (
        np.asarray(x)[row] for x in (arm.nominal.body.mass, arm.nominal.body.com, arm.nominal.body.inertia)
    )
    centre = (mass * com + load * place) / (mass + load)

    def about(point, m, at, own):
        d = at - point
        return own + m * (d @ d * np.eye(3) - np.outer(d, d))

    forearm = inertia[np.array([[0, 3, 4], [3, 1, 5], [4, 5, 2]])]
    both = about(centre, mass, com, forearm) + about(centre, load, place, 0.4 * load * radius**2 * np.eye(3))
    values = {"mass": mass + load, **{f"com/{c}": x for c, x in zip("xyz", centre, strict=True)}}
    values |= {f"inertia/{c}": both["xyz".index(c[0]), "xyz".index(c[1])] for c in ("xx", "yy", "zz", "xy", "xz", "yz")}
    one = arm.nominal.updated({f"body/forearm/{k}": float(v) for k, v in values.items()})
    loaded = with_payload(arm, load, grip)
    np.testing.assert_allclose(motion(arm, one), motion(loaded, loaded.nominal), atol=1e-9)


def test_the_same_payload_is_compiled_for_once(arm):
    assert with_payload(arm, 1.0).host is with_payload(arm, 1.0).host


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda arm: with_payload(arm, 0.0), "payload mass 0 kg must be positive"),
        (lambda arm: with_payload(arm, 1.0, Grip("thorax", (0, 0, 0))), "'thorax' does not move"),
        (lambda arm: with_payload(with_payload(arm, 1.0), 1.0, find_grip(arm)), "holds a payload already"),
        (lambda arm: find_grip(arm, "tail"), "site 'tail'"),
    ],
)
def test_errors_in_one_line(arm, make, message):
    with pytest.raises(InputError, match=message) as error:
        make(arm)
    assert "\n" not in str(error.value)
