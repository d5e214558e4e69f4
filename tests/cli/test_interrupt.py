"""The first Ctrl-C counts, whenever it comes: while libraries load, among compilations, in JAX's callbacks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = "from mjx_msm.cli import main; import sys; print('ready', file=sys.stderr, flush=True); main()"
# An interrupt at the first garbage collection after JAX is there: in a callback, whose exceptions Python drops.
IN_A_CALLBACK = """
import gc, signal, sys
count = 0
def press(phase, info):
    global count
    if phase == "start" and "jax" in sys.modules and sys.modules.get("mjx_msm.identification.identify"):
        count += 1
        if count == 1:
            print("pressed", file=sys.stderr, flush=True)
            signal.raise_signal(signal.SIGINT)
gc.callbacks.append(press)
"""


def started(code: str, study: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, "identify", str(study / "quick.toml"), "--out", str(out), "--no-cv"],
        env={**os.environ, "MJX_MSM_CACHE": "off"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str], pressed: float) -> str:
    """What it said on stderr, if it ended as an interrupted command does."""
    try:
        printed, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode in (0, 130), error  # 0: it was done before
    assert "Traceback" not in error
    assert process.returncode == 0 or "interrupted" in error + printed
    assert time.monotonic() - pressed < 100
    return error


@pytest.mark.slow
def test_an_interrupt_in_a_callback_counts(synthetic, tmp_path):
    process = started(IN_A_CALLBACK + COMMAND, synthetic, tmp_path / "r")
    error = ended(process, time.monotonic())
    assert "pressed" in error
    assert process.returncode == 130


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.1, 1.0, 2.0, 3.5, 5.0, 7.0])
def test_an_interrupt_counts_at_any_moment(synthetic, tmp_path, after):
    process = started(COMMAND, synthetic, tmp_path / "r")
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    ended(process, time.monotonic())
