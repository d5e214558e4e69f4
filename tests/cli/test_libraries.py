"""Where compiled code is kept."""

import sys

from mjx_msm.cli.libraries import cache_folder


def test_the_cache_can_be_moved_and_turned_off(monkeypatch, tmp_path):
    monkeypatch.setenv("MJX_MSM_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("MJX_MSM_CACHE", "off")
    assert cache_folder() is None
    monkeypatch.delenv("MJX_MSM_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "mjx_msm"
