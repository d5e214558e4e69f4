"""Result folders appear whole or not at all."""

import pytest

from mjx_msm.study.result_folder import result_folder


def test_a_failure_leaves_no_folder(tmp_path):
    def fail() -> None:
        with result_folder(tmp_path / "out") as folder:
            (folder / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
