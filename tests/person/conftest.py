"""An OpenSim model written on the spot, and what is made of it."""

from pathlib import Path

import pytest
from limb_osim import limb


@pytest.fixture(scope="session")
def limb_osim(tmp_path_factory) -> Path:
    pytest.importorskip("opensim", reason="needs the extra [opensim]")
    path = tmp_path_factory.mktemp("osim") / "limb.osim"
    path.write_text(limb())
    return path


@pytest.fixture(scope="session")
def imported_limb(limb_osim):
    """The whole of it; one import for the session."""
    from mjx_msm.person.from_osim.importing import import_osim

    return import_osim(limb_osim)
