"""The demo's steps that no other command takes."""

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from mjx_msm.cli.demo import _step_exported
from mjx_msm.dynamics.simulation import State, rollout
from mjx_msm.person.personalisation import export
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.synthetic import synthetic_subject


def test_the_exported_file_ends_where_the_rollout_ends(arm, tmp_path):
    """To the tenth of a degree that is printed, a fifth of what a stair of excitation is off."""
    person, time = synthetic_subject(arm, seed=3), arm.timestep * np.arange(751)
    rng = np.random.default_rng(2)
    drive = 0.1 * (1 + np.sin(np.outer(time, rng.uniform(3, 15, 6)) + rng.uniform(0, 6, 6)))
    with jax.enable_x64(True):
        start = State(jnp.full(2, 0.5), jnp.zeros(2), jnp.asarray(drive[0]))
        position = np.asarray(rollout(arm, person, start, jnp.asarray(drive[:-1])).position)
    export(arm, person, tmp_path / "model.xml")
    columns = {f"excitation/{m}": drive[:, i] for i, m in enumerate(arm.muscles)}
    columns |= {f"position/{c}": position[:, i] for i, c in enumerate(arm.coordinates)}
    write_csv(tmp_path / "excitation.csv", time, columns)
    console = Console(record=True, width=200)
    _step_exported(console, tmp_path)
    ends = [f"{angle:.1f}°" for angle in np.degrees(position[-1])]
    said = console.export_text()
    assert said.count("1.50 s in") == 1
    for name, end in zip(arm.coordinates, ends, strict=True):
        assert f"{name} {end}" in said
    assert f"(measured {', '.join(ends)})" in said
