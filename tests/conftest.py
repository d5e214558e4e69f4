"""Fixtures for the whole suite."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The recorded data sets, which are not part of the repository."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("MJX_MSM_DATA") or default).resolve()
    if not (folder / "knee_walk").is_dir():
        pytest.skip(f"recorded data not found in {folder}; set MJX_MSM_DATA to the folder with knee_walk/")
    return folder
