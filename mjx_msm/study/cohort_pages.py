"""Everybody's own report with what the study knows of them on top, which is known once all are done."""

from __future__ import annotations

from pathlib import Path

from mjx_msm.common.errors import InputError
from mjx_msm.knowledge.cohort import Cohort
from mjx_msm.knowledge.cohort_belonging import belonging
from mjx_msm.study.result_folder import load_result
from mjx_msm.views.report.page import REPORT, save_report


def save_pages(out: Path, cohort: Cohort) -> None:
    """Write those again that do not say what the study knows now.

    **Arguments:** `out`: the study's folder.
    """
    for member in cohort.identified:
        page, of = out / member.folder / REPORT, belonging(cohort, member, REPORT)
        if not page.is_file() or of.digest in page.read_text(encoding="utf-8"):
            continue
        try:
            result, trials = load_result(page.parent)
        except InputError:  # what only shows a result may be missing from its folder
            continue
        save_report(page, result, trials, truth=member.truth or None, of=of)
