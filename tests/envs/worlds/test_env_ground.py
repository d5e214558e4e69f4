"""The recorded walk: ground and moving pelvis come back from the recorded moment, and carry the leg through stance."""

import warnings
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest

from mjx_msm import assets
from mjx_msm.common.compiled import COMPILER_OPTIONS
from mjx_msm.common.errors import InputError
from mjx_msm.envs import KNEE_EXO
from mjx_msm.envs.engines.world import LEADING_INERTIA, World
from mjx_msm.envs.human.leg import JOINTS
from mjx_msm.envs.human.recording import GAP, Recording
from mjx_msm.envs.worlds.ground import external_moment
from mjx_msm.recordings.readers.delimited import write_csv

KNEE = JOINTS.index("knee_angle")
LED = ("hip_flexion", "ankle_angle")


def pushed(t: Any) -> Any:
    """What a world does to a knee: it flexes it in stance, and extends it before heel strike [N·m]."""
    return 40.0 * np.exp(-(((t - 0.35) / 0.1) ** 2)) - 15.0 * np.exp(-(((t - 0.75) / 0.08) ** 2))


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """Result folder, times and columns of the generic leg, whose muscles and a known moment moved it, in C MuJoCo."""
    folder, seconds, pace = tmp_path_factory.mktemp("walk"), 1.1, 2 * np.pi * 0.8
    spec = mujoco.MjSpec.from_file(str(assets.path("knee")))
    world = World.of(spec, JOINTS, led=LED)
    m, d = world.model, mujoco.MjData(world.model)
    t = m.opt.timestep * np.arange(round(seconds / m.opt.timestep))
    vasti = np.array([name.startswith("vas") for name in world.muscles])
    u = 0.08 + 0.06 * np.sin(2 * np.pi * 0.9 * t[:, None] + np.arange(len(vasti)))
    u += 0.25 * vasti * np.exp(-(((t[:, None] - 0.35) / 0.1) ** 2))
    d.qpos[:], d.qvel[:], d.act[:] = (0.3, 0.5, 0.0), (0.3 * pace, 0.0, 0.2 * pace), u[0]
    position, moment = np.empty((len(t), 3)), np.empty(len(t))
    for k, now in enumerate(t):
        d.ctrl[:] = u[k]
        d.qfrc_applied[:] = -LEADING_INERTIA * pace**2 * np.array([0.3, 0.0, 0.2]) * np.sin(pace * now)
        d.qfrc_applied[KNEE] = pushed(now)
        mujoco.mj_forward(m, d)
        position[k], moment[k] = d.qpos, d.qfrc_actuator[KNEE] + d.qfrc_passive[KNEE]
        mujoco.mj_step(m, d)
    (folder / "model.xml").write_text(spec.to_xml())
    columns = {f"excitation/{name}": u[:, i] for i, name in enumerate(world.muscles)}
    columns |= {f"position/{name}": position[:, i] for i, name in enumerate(JOINTS)}
    columns["moment/knee_angle"] = moment
    write_csv(folder / "excitation.csv", t, columns)
    return folder, t, columns


def other(folder: Path, walk: Any, **changes: Any) -> Path:
    """The same person with other columns of moment; None: without it."""
    theirs, t, columns = walk
    (folder / "model.xml").write_text((theirs / "model.xml").read_text())
    moment = changes["moment"]
    kept = {k: v for k, v in columns.items() if not k.startswith("moment")}
    write_csv(folder / "excitation.csv", t, kept if moment is None else {**kept, "moment/knee_angle": moment})
    return folder


def strayed(folder: Path, **arguments: Any) -> float:
    """How far a knee is from its recording with the motor off, root mean square [°]."""
    env = gymnasium.make(KNEE_EXO, subject=folder, **arguments).unwrapped
    env.reset(seed=0)
    done = False
    while not done:
        *_, terminated, done, info = env.step(np.zeros(1))
        assert not terminated
    return np.degrees(info["summary"]["tracking_error_rms"])


@pytest.mark.parametrize("period", [0.02, 0.01])
def test_what_the_world_did_comes_back(walk, period: float) -> None:
    folder, _, _ = walk
    recording = Recording.read(folder / "excitation.csv")
    leg = mujoco.MjModel.from_xml_path(str(folder / "model.xml"))
    found = external_moment(recording, leg, period)
    # The middle of period k is (k + 1/2) periods after the start.
    expected = pushed(period * (np.arange(len(found)) + 0.5))
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert len(found) == int(1.099 / period)


def test_who_moves_as_recorded_follows_the_recording(walk, tmp_path) -> None:
    """What is left is the exoskeleton's weight and friction, and excitation held for a control period."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = strayed(walk[0])
    assert ours < 0.4
    with pytest.warns(UserWarning, match="has no moment/knee_angle; the walk has no ground"):
        without = strayed(other(tmp_path, walk, moment=None))
    assert without > 5.0


def test_who_tracks_expects_the_ground(walk) -> None:
    """With no delay of nerves the internal model is all but exact, ground included: 40 N·m do not move the knee."""
    assert strayed(walk[0], human={"tracking": True, "nerve_delay": 0.0}) < 1.5


def test_a_load_comes_on_top(walk) -> None:
    """The ground is that of the recording, in which nobody carried anything."""
    bare, loaded = (gymnasium.make(KNEE_EXO, subject=walk[0], load=x).unwrapped.task._ground for x in (0.0, 3.0))
    np.testing.assert_array_equal(bare, loaded)


def test_moments_with_gaps(walk, tmp_path) -> None:
    """Short pauses are bridged, longer ones part the walk, of which the longest stretch is kept."""
    _, t, columns = walk
    moment = columns["moment/knee_angle"].copy()
    moment[(t < 0.095) | ((t > 0.3) & (t < 0.3 + 0.9 * GAP)) | (t > 0.8)] = np.nan
    moment[(t > 0.2) & (np.arange(len(t)) % 10 > 0)] = np.nan  # sampled more slowly
    path = other(tmp_path, walk, moment=moment) / "excitation.csv"
    with pytest.warns(UserWarning, match=r"has pauses; of 0–1\.\d+ s, 0\.095–0\.8 s are walked"):
        recording = Recording.read(path)
    assert recording.time[[0, -1]] == pytest.approx([0.095, 0.8])
    assert recording.moment is not None
    assert recording.moment[0] == columns["moment/knee_angle"][95]
    leg = mujoco.MjModel.from_xml_path(str(tmp_path / "model.xml"))
    error = external_moment(recording, leg, 0.02) - pushed(recording.middles(0.02))
    inside = np.abs(recording.middles(0.02) - 0.345) > 0.06
    assert np.abs(error[inside]).max() < 0.5
    moment[(t > 0.5) & (t < 0.5 + 1.2 * GAP)] = np.nan
    path = other(tmp_path, walk, moment=moment) / "excitation.csv"
    with pytest.warns(UserWarning, match="has pauses"):
        assert Recording.read(path).time[[0, -1]] == pytest.approx([0.095, 0.5])
    # Pauses of exactly the longest that is bridged, whatever rounding makes of them.
    sparse = np.where(np.arange(len(t)) % round(GAP / (t[1] - t[0])) == 0, columns["moment/knee_angle"], np.nan)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*has pauses")  # the last sample need not have one
        assert np.ptp(Recording.read(other(tmp_path, walk, moment=sparse) / "excitation.csv").time) > np.ptp(t) - GAP
    # A single sample is no moment, and the file is as one without.
    moment[t != 0.5] = np.nan
    recording = Recording.read(other(tmp_path, walk, moment=moment) / "excitation.csv")
    assert recording.moment is None
    assert len(recording.time) == len(t)
    with pytest.raises(InputError, match="no column moment/knee_angle"):
        external_moment(recording, leg, 0.02)


@pytest.mark.slow
def test_the_walk_is_the_same_in_jax(walk) -> None:
    """With the ground pushing, a person who knows of it, and muscles that are under way at the start."""
    import jax

    from mjx_msm.envs.functional import make

    arguments, periods = {"subject": walk[0], "human": {"tracking": True}}, 30
    env = gymnasium.make(KNEE_EXO, **arguments).unwrapped
    actions = np.random.default_rng(0).uniform(-1, 1, (periods, 1))
    with jax.enable_x64(True):
        twin = make(KNEE_EXO, **arguments)

        def episode(start: Any, actions: Any) -> Any:
            def step(state: Any, action: Any) -> Any:
                state = twin.step(state, action)
                return state, (state.engine.position, state.engine.activation)

            return jax.lax.scan(step, start, actions)[1]

        start = jax.jit(twin.reset, compiler_options=COMPILER_OPTIONS)(jax.random.key(0), twin.person)
        seen = jax.jit(episode, compiler_options=COMPILER_OPTIONS)(start, actions)
        positions, activations = (np.asarray(x) for x in seen)
    env.reset(seed=0)
    np.testing.assert_allclose(start.engine.activation, env.data.act[:12], atol=1e-12)
    for k in range(periods):
        env.step(actions[k])
        np.testing.assert_allclose(positions[k], env.data.qpos, atol=1e-9)
        np.testing.assert_allclose(activations[k], env.data.act[:12], atol=1e-7)
