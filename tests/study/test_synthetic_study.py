"""A synthetic study goes where nobody's files are."""

import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.study.synthetic_study import check_study_folder


@pytest.mark.parametrize(("holds", "said"), [("identification.json", "the result of"), ("subject.toml", "not of a")])
def test_a_folder_of_somebody_elses(tmp_path, holds, said):
    check_study_folder(tmp_path)
    (tmp_path / holds).touch()
    with pytest.raises(InputError, match=said):
        check_study_folder(tmp_path)
    check_study_folder(tmp_path, overwrite=True)


def test_a_synthetic_study_is_replaced(tmp_path):
    for name in ("subject.toml", "truth.json"):
        (tmp_path / name).touch()
    check_study_folder(tmp_path)
