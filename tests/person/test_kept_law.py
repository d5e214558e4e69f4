"""User data of muscles, from which laws take pennation, strains and constants: what is not there is no zero."""

import numpy as np
import pytest

import mjx_msm as msm
from mjx_msm.common.errors import InputError
from mjx_msm.person.model import MUSCLES, law_constants

WORDS = "millard-compliant pennation_angle passive_fiber_strain tendon_strain fiber_damping least_active"
GOOD = "0.3 0.7 0.05 0.2 0.05"


def arm(folder, words: str = WORDS, first: str = GOOD, second: str | None = GOOD) -> str:
    """A hinge between two muscles."""
    user = [f'user="{u}"' if u is not None else "" for u in (first, second)]
    path = folder / "arm.xml"
    path.write_text(f"""<mujoco>
      <custom><text name="muscle_law" data="{words}"/></custom>
      <worldbody><body><joint name="elbow" axis="0 1 0"/><geom size="0.03 0.2" type="capsule"/></body></worldbody>
      <actuator>
        <muscle name="flexor" joint="elbow" gear="0.03" lengthrange="0.45 0.55" force="500" {user[0]}/>
        <muscle name="extensor" joint="elbow" gear="-0.03" lengthrange="0.45 0.55" force="400" {user[1]}/>
      </actuator>
    </mujoco>""")
    return str(path)


def test_what_is_there_is_taken_up(tmp_path):
    model = msm.load_model(arm(tmp_path, second="0.1 0.6 0.04 0.1 0"), muscle="millard")
    np.testing.assert_allclose(model.nominal.muscle.passive_fiber_strain, [0.7, 0.6])
    np.testing.assert_allclose(model.nominal.muscle.pennation_angle, [0.3, 0.1])
    np.testing.assert_allclose(law_constants(model.muscle)["least_active"], [0.05, 0.0])


@pytest.mark.parametrize("law", [name for name in MUSCLES if not name.startswith("mujoco")])
@pytest.mark.parametrize("second", [None, "0 0 0 0 0", "0.3 0.7"])
def test_a_muscle_without_user_data_is_named(tmp_path, law, second):
    with pytest.raises(
        InputError, match=r"arm.xml': muscle 'extensor' lacks values .* user=.* pennation_angle .* or delete"
    ):
        msm.load_model(arm(tmp_path, second=second), muscle=law)


def test_user_data_that_are_all_gone_are_missed(tmp_path):
    path = arm(tmp_path)
    text = (tmp_path / "arm.xml").read_text().replace(f'user="{GOOD}"', "")
    (tmp_path / "arm.xml").write_text(text)
    with pytest.raises(InputError, match=r"muscle 'flexor' lacks values"):
        msm.load_model(path, muscle="degroote")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("degroote passive_fiber_strain tendon_strain fiber_damping", "has no column 'pennation_angle'"),
        (
            WORDS.replace("least_active", "active_width"),
            "has column 'active_width'; muscles of law 'millard-compliant' have",
        ),
        (WORDS.replace("least_active", "fiber_damping"), "has column 'fiber_damping' twice"),
        (
            "none pennation_angle passive_fiber_strain tendon_strain curvature",
            "has column 'curvature'; muscles of law 'none' have",
        ),
    ],
)
def test_columns_are_those_of_the_law(tmp_path, words, said):
    with pytest.raises(InputError, match=f"arm.xml': text 'muscle_law' {said}"):
        msm.load_model(arm(tmp_path, words), muscle="degroote")


@pytest.mark.parametrize(
    ("user", "law", "said"),
    [
        ("0.3 0 0.05 0.2 0.05", "degroote", r"'extensor' has passive_fiber_strain = 0 .*above 0: mend it \(column 2"),
        ("0.3 0.7 0 0.2 0.05", "degroote-compliant", r"'extensor' has tendon_strain = 0 .*above 0: mend it \(column 3"),
        ("1.6 0.7 0.05 0.2 0.05", "thelen", r"'extensor' has pennation_angle = 1.6 .*from 0 to 90°"),
        ("0.3 0.7 0.05 -1 0.05", "millard", r"user data of its muscles: Millard2012.fiber_damping .* choose"),
    ],
)
def test_values_that_no_curve_can_have_are_refused(tmp_path, user, law, said):
    with pytest.raises(InputError, match=said):
        msm.load_model(arm(tmp_path, second=user), muscle=law)


def test_who_takes_nothing_of_them_asks_for_nothing(tmp_path):
    """Native muscles beside any text of that name; rigid tendons, whatever their strain."""
    assert msm.load_model(arm(tmp_path, "as in the paper", second=None)).muscles == ("flexor", "extensor")
    model = msm.load_model(arm(tmp_path, second="0.3 0.7 0 0.2 0.05"), muscle="degroote")
    np.testing.assert_allclose(model.nominal.muscle.tendon_strain, 0.049)
