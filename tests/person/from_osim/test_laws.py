"""The law that is read of an OpenSim file's muscles: one for all, several, curves of another shape."""

from pathlib import Path

import numpy as np
import pytest

from mjx_msm.person.from_osim.laws import own_laws
from mjx_msm.person.from_osim.opened import OpenedModel

STRAIN = "tendon_strain_at_one_norm_force"


def opened(limb_osim: Path, folder: Path, kinds: dict[str, tuple[str, str]]) -> OpenedModel:
    """The limb with muscles of another class, and what is added to their elements; all by default Thelen's."""
    text = limb_osim.read_text()
    for muscle, (kind, more) in kinds.items():
        before, begin, rest = text.partition(f'<Thelen2003Muscle name="{muscle}">')
        assert begin
        body, _, after = rest.partition("</Thelen2003Muscle>")
        text = f'{before}<{kind} name="{muscle}">{body}{more}</{kind}>{after}'
    (folder / "other.osim").write_text(text)
    return OpenedModel(folder / "other.osim")


def laws(limb_osim, folder, kinds):
    return own_laws(opened(limb_osim, folder, kinds), dict.fromkeys(kinds, 0.0))


RIGID = "<ignore_tendon_compliance>true</ignore_tendon_compliance>"


@pytest.mark.parametrize(
    ("kind", "law"),
    [("Millard2012EquilibriumMuscle", "millard"), ("DeGrooteFregly2016Muscle", "degroote")],  # Thelen's always yield
)
def test_rigid_tendons_beside_others_leave_the_fibers_their_law(limb_osim, tmp_path, kind, law):
    kinds = {"straight": (kind, ""), "hamstring": (kind, RIGID), "calf": (kind, "")}
    name, values, notes = laws(limb_osim, tmp_path, kinds)
    assert name == law
    (note,) = notes
    assert f"{kind}, the tendons of 1 of 3 rigid (hamstring)" in note
    assert f'muscle = "{law}", with which no tendon yields, and "{law}-compliant", with which all do' in note
    assert all("fiber_damping" in own for own in values.values())
    for all_alike, end in ((RIGID, ""), ("", "-compliant")):
        name, same, (note,) = laws(limb_osim, tmp_path, {m: (kind, all_alike) for m in kinds})
        assert name == f"{law}{end}"
        assert same == values
        assert note == f'muscles are {kind}: muscle = "{law}{end}" keeps their law'


def test_several_classes_are_all_named_and_keep_what_every_muscle_has(limb_osim, tmp_path):
    kinds = {
        "straight": ("Millard2012EquilibriumMuscle", RIGID), "hamstring": ("Millard2012EquilibriumMuscle", ""),
        "calf": ("DeGrooteFregly2016Muscle", f"<{STRAIN}>0.06</{STRAIN}>"),
    }  # fmt: skip
    name, values, (note,) = laws(limb_osim, tmp_path, kinds)
    assert name == "none"
    assert note.startswith("muscles are 1 DeGrooteFregly2016Muscle, 2 Millard2012EquilibriumMuscle, whose law is left")
    assert {tuple(own) for own in values.values()} == {("pennation_angle", "passive_fiber_strain", "tendon_strain")}
    assert [own["tendon_strain"] for own in values.values()] == pytest.approx([0.049, 0.049, 0.06])


@pytest.mark.parametrize("scale", [1.0, 1.2, 1.5])
def test_a_width_that_the_law_has_not_is_told_as_force(limb_osim, tmp_path, scale):
    """OpenSim widens each Gaussian's argument b3 + b4 l by the scale; written out here from its documentation."""
    more = f"<active_force_width_scale>{scale}</active_force_width_scale><{STRAIN}>0.06</{STRAIN}>"
    _, _, notes = laws(limb_osim, tmp_path, {"calf": ("DeGrooteFregly2016Muscle", more)})
    rows = (0.815, 1.055, 0.162, 0.063), (0.433, 0.717, -0.030, 0.200), (0.100, 1.000, 0.354, 0.000)
    length = np.linspace(0.3, 1.9, 400)

    def curve(x):
        return sum(b1 * np.exp(-0.5 * ((x - b2) / (b3 + b4 * x)) ** 2) for b1, b2, b3, b4 in rows)

    expected = np.abs(curve(1 + (length - 1) / scale) - curve(length)).max()
    told = [float(n.partition("differ by ")[2].split()[0]) for n in notes if "shaped by constants" in n]
    assert told == ([] if scale == 1 else [pytest.approx(expected, abs=0.02)])


def test_fibers_whose_passive_force_is_left_out_are_told(limb_osim, tmp_path):
    more = "<ignore_passive_fiber_force>true</ignore_passive_fiber_force>"
    _, _, notes = laws(limb_osim, tmp_path, {"calf": ("DeGrooteFregly2016Muscle", more)})
    assert any("curves of 1 muscles" in n for n in notes)
