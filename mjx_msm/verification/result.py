"""What `verify` returns: findings that show themselves as tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mjx_msm.verification.findings import Findings
from mjx_msm.verification.report import tables


class Verification(Findings):
    """What came of a campaign; a rich console prints it as tables."""

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        yield from tables(self)
