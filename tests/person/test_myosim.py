"""The eleven models of MyoSim, version 0.2.4: whole, in part, or why not, as the table in the docs says."""

import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.person.model import load_model

WHOLE = {  # which engine steps it, coordinates, muscles; or why it does not load whole, and what of it does
    "myoelbow": ("tree", 1, 6),
    "myoelbow_2dof": ("tree", 2, 6),
    "myoelbow_exo": ("tree", 1, 6),
    "myofinger": ("tree", 4, 5),
    "myohand_r": ("tree", 23, 39),
    "myoarm_r": ("tree", 27, 63),
    "myotorso": ("tree", 3, 210),
    "myolegs": ("mjx", 35, 80),
    "myofullbody": ("mjx", 129, 416),
    "myolegs26": ("GEOM_PLANE, mjtGeom.mjGEOM_MESH", "knee_angle_r", 5),
    "osl": ("GEOM_ELLIPSOID, mjtGeom.mjGEOM_MESH", "knee_angle_l", 13),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::mjx_msm.common.errors.InputWarning")
@pytest.mark.parametrize("name", WHOLE)
def test_the_models_of_myosim_load_as_the_docs_say(name):
    pytest.importorskip("myo_sim", reason="needs the extra [myosim]")
    how, coordinates, muscles = WHOLE[name]
    source = f"myo_sim:{name}"
    if isinstance(coordinates, str):
        with pytest.raises(InputError, match=how):
            load_model(source)
        part = load_model(source, joints=[coordinates])
        assert (part.host.engine, part.coordinates, len(part.muscles)) == ("tree", (coordinates,), muscles)
        return
    model = load_model(source)
    assert (model.host.engine, len(model.coordinates), len(model.muscles)) == (how, coordinates, muscles)
