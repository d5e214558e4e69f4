"""Progress in a notebook: one line below the cell that fills, and at its end says what was done."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mjx_msm.identification.identify import Iteration

SOONEST = 0.2
"""Between two pictures of it [s]."""
_LINE = (
    '<progress max="1" value="{part:.3f}" style="width: 14em; vertical-align: middle"></progress> '
    '<span style="font-size: 90%">{text}</span>'
)


class NotebookProgress:
    """A listener for `mjx_msm.identify` and `identify_many`; without IPython it writes a line a stage to stderr.

    result = msm.identify(model, trials, free=…, listener=msm.NotebookProgress())
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._shown = -1.0
        self._stage = ""
        self._handle: Any = None
        self._display: Any = _display()

    def __call__(self, it: Iteration) -> None:
        now = time.perf_counter() - self._began
        new = it.stage != self._stage
        self._stage = it.stage
        text = f"{it.stage}, iteration {it.iteration}: cost {it.cost:.4g} ({now:.0f} s)"
        if self._display is None:
            if new:
                sys.stderr.write(f"{text}\n")
            return
        if not new and now - self._shown < SOONEST:
            return
        self._shown = now
        part = min(0.99, (it.index + 1 - 0.5 ** (it.iteration / 20)) / it.stages)
        shown = _Shown(_LINE.format(part=part, text=text), text)
        if self._handle is None:
            self._handle = self._display(shown, display_id=True)
        else:
            self._handle.update(shown)


class _Shown:
    def __init__(self, html: str, text: str):
        self._html, self._text = html, text

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._text


def _display() -> Any:
    """IPython's, in a notebook."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython  # type: ignore[import-not-found]
    from IPython.display import display  # type: ignore[import-not-found]

    shell = get_ipython()
    return display if shell is not None and hasattr(shell, "kernel") else None
