"""C3D files: what is written is read, and a real recording."""

from pathlib import Path

import numpy as np
import pytest

from mjx_msm.recordings.readers.c3d import read_c3d
from mjx_msm.recordings.readers.reading import read_table


def synthetic_c3d(path: Path, *, first_frame: int = 0) -> np.ndarray:
    """Two markers at 50 Hz in millimetres, two analog channels at 200 Hz; returns the analogs."""
    import ezc3d

    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [50.0]
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["parameters"]["POINT"]["LABELS"]["value"] = ("knee", "hip")
    file["parameters"]["ANALOG"]["RATE"]["value"] = [200.0]
    file["parameters"]["ANALOG"]["LABELS"]["value"] = ("vastus", " biceps ")
    file["parameters"]["ANALOG"]["UNITS"]["value"] = ("V", "V")
    points = np.ones((4, 2, 30))
    points[:3, 0] = 250.0
    points[:3, 1, 4] = np.nan
    file["data"]["points"] = points
    analogs = np.random.default_rng(1).normal(size=(1, 2, 120)).astype(np.float32)
    file["data"]["analogs"] = analogs
    file["header"]["points"]["first_frame"] = first_frame
    file.write(str(path))
    return analogs[0].T.astype(float)


def test_c3d_round_trip(tmp_path):
    analogs = synthetic_c3d(tmp_path / "x.c3d")
    file = read_c3d(tmp_path / "x.c3d")
    assert file.analogs is not None
    assert file.markers is not None
    assert file.analogs.columns == ("vastus", "biceps")
    assert file.analogs.units == ("V", "V")
    np.testing.assert_array_equal(file.analogs.values, analogs)
    np.testing.assert_allclose(file.analogs.time, np.arange(120) / 200, atol=1e-12)
    np.testing.assert_allclose(file.markers.time, np.arange(30) / 50, atol=1e-12)
    np.testing.assert_allclose(file.markers.position[:, 0], 0.25)
    assert np.isnan(file.markers.position[4, 1]).all()
    assert np.isfinite(file.markers.position[5, 1]).all()
    np.testing.assert_array_equal(read_table(tmp_path / "x.c3d").values, analogs)


def test_c3d_recording(data_dir):
    file = read_c3d(data_dir / "arm_lift" / "markers_analogs.c3d")
    assert file.analogs is not None
    assert file.markers is not None
    assert file.markers.position.shape == (580, 51, 3)
    assert file.analogs.values.shape == (11600, 38)
    assert file.analogs.rate == pytest.approx(2000)
    assert "Biceps.EMG4" in file.analogs.columns
    assert set(file.analogs.units) == {"V"}
    # The box stands on its support before it is lifted
    box = [file.markers.labels.index(n) for n in file.markers.labels if n.startswith("boite:")]
    height = np.nanmean(file.markers.position[:, box, 2], axis=1)
    np.testing.assert_allclose(height[:150], height[0], atol=2e-3)
    assert height[300] - height[0] > 0.2
    # Both marker and analog clocks cover the same span
    assert abs(file.markers.time[-1] - file.analogs.time[-1]) < 0.011
