"""`mjx_msm/KneeExo-v0`: a leg in a knee exoskeleton that helps it follow a motion."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.utils import EzPickle
from jaxtyping import Float

from mjx_msm import assets
from mjx_msm.envs.exoskeleton import CUFFS, JOINTS, PREFIX, Coupling, CuffLoad, Exoskeleton, check_leg, wear
from mjx_msm.envs.human import EXCITATION_FILE, KNEE_INDEX, Human, Recorded, Seated
from mjx_msm.errors import InputError
from mjx_msm.prescribed import PrescribedMotion, constraint_reason

TIMESTEP = 0.001
"""Of the simulation [s]; the straps' fastest oscillation has a period of about 40 of them."""
CONTROL_RATE = 100
"""Actions a second."""
PREVIEW = (0.0, 0.05, 0.1, 0.2)
"""How far ahead the reference is observed [s]."""
SETTLING = 0.4
"""How long the exoskeleton settles in its straps before an episode, the leg held still [s]."""

MAX_ANGLE, MAX_SPEED, MAX_SHIFT, MAX_FORCE = np.pi, 30.0, 0.1, 1000.0
TRACKING_SCALE = 0.1
"""Tracking error that costs 1 [rad]."""
EFFORT_WEIGHT = 0.1
FAILURE_REWARD = -100.0


class KneeExoEnv(gymnasium.Env[np.ndarray, np.ndarray], EzPickle):
    """A leg, its hip and ankle led, in an exoskeleton that can help its knee.

    **Mechanics.** The subject's leg with its muscles, and a two-link exoskeleton joined to it only by straps
    (`mjx_msm.envs.exoskeleton`), in C MuJoCo at 1 kHz. Hip and ankle follow the human half exactly; the knee is free.

    **Action** (1,), −1..1: torque of the exoskeleton's motor as part of its limit, positive in flexion, 100 a second.
    It reaches the knee through the motor's bandwidth and torque–speed limit, and the straps.

    **Observation** (float32; `observation_names`): angle and velocity of the exoskeleton's and of the human knee,
    hip, ankle, their reference now and 50, 100, 200 ms ahead, the motor's torque, net force, largest strap tension and
    displacement of each cuff, activation of every muscle. SI units; clipped to the space's bounds.

    **Reward**: −(e/0.1 rad)² − 0.1·a², e the human knee's distance from the reference, a the action.

    **Episode.** Terminates when the state is not finite; truncated at the end of a recording, else by the time limit.

    **Info**: `human_torque` (of the muscles about the knee), `robot_torque` (of the motor), `interaction_torque` (of
    the shank cuff about the human knee) [N·m], all positive in flexion; for each cuff `<cuff>_force`, `<cuff>_strap`
    (largest tension) [N] and `<cuff>_displacement` [m]; `knee_angle`, `reference`, `tracking_error` [rad];
    `activation` (muscle,); `reward_tracking`, `reward_effort`; `time` [s].

    **Arguments:**

    - `subject`: a folder written by ``mjx-msm identify``, its ``identification.json``, an MJCF file exported from
      the knee model, or None for the generic leg. A folder with an ``excitation.csv`` is replayed; else the person
      sits on a bench and extends the knee.
    - `human`: another human half, in place of that choice.
    - `strength`: part of the needed or recorded excitation that the person gives, unless `human` is given.
    - `exoskeleton`: numbers of the device to replace, as in `Exoskeleton`, e.g. ``{"torque_limit": 15.0}``.
    - `render_mode`: None or ``"rgb_array"``, then `camera`, `width` and `height` say of what.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_RATE}  # noqa: RUF012 (Gymnasium's name and type)

    def __init__(
        self,
        subject: str | Path | None = None,
        *,
        human: Human | None = None,
        strength: float = 0.6,
        exoskeleton: Mapping[str, float] | Exoskeleton | None = None,
        render_mode: str | None = None,
        camera: str = "sagittal",
        width: int = 640,
        height: int = 480,
    ):
        EzPickle.__init__(
            self,
            subject,
            human=human,
            strength=strength,
            exoskeleton=exoskeleton,
            render_mode=render_mode,
            camera=camera,
            width=width,
            height=height,
        )
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise InputError(f"render_mode {render_mode!r}: choose one of {', '.join(self.metadata['render_modes'])}")
        self.render_mode = render_mode
        self._picture = {"camera": camera, "size": (width, height)}
        self._renderer: Any = None

        self.exoskeleton = Exoskeleton.of(exoskeleton)
        leg = load_leg(subject)
        self.human: Human = _human(subject, strength) if human is None else human
        self.human.place(leg)
        self.leg: mujoco.MjModel = leg.compile()
        """The person alone."""
        self.model: mujoco.MjModel = wear(leg, self.exoskeleton).compile()
        """The person in the exoskeleton."""
        self.data = mujoco.MjData(self.model)
        self.coupling = Coupling(self.model)
        self._motion = PrescribedMotion(self.model, [JOINTS[0], JOINTS[2]])
        self._still = PrescribedMotion(self.model, JOINTS)
        self._substeps = round(1.0 / (CONTROL_RATE * TIMESTEP))
        self._muscles = self.leg.nu
        self._exo_knee = int(self.model.joint(f"{PREFIX}knee").dofadr[0])
        self._episode: Any = None
        self._step = 0

        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_names, low, high = self._layout()
        self._low, self._high = low, high
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)

    # Gymnasium ---------------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, "observation"], dict[str, Any]]:
        """Start an episode: the leg at the start of the motion, the exoskeleton hanging in its straps."""
        super().reset(seed=seed)
        m, d = self.model, self.data
        self._episode, self._step = self.human.episode(self.leg, self.np_random), 0
        mujoco.mj_resetData(m, d)
        d.qpos[: len(JOINTS)] = start = self._episode.at(0)
        self.coupling.align(d)
        for _ in range(round(SETTLING / TIMESTEP)):
            self._still.step(d, start)
        rest = d.qpos.copy()
        # The motion may start at speed; the exoskeleton moves along.
        d.qvel[: len(JOINTS)] = (self._episode.at(1) - start) / TIMESTEP
        self.coupling.align(d)
        d.qpos[:] = rest
        d.qfrc_applied[:] = 0.0  # what held the knee
        d.act[: self._muscles] = self._episode.excite(0, d)
        d.time = 0.0
        self._refresh()
        loads = self._loads()
        return self._observe(loads), self._report(loads)

    def step(
        self, action: Float[np.ndarray, "action"]
    ) -> tuple[Float[np.ndarray, "observation"], float, bool, bool, dict[str, Any]]:
        """Apply a torque for one control period."""
        if self._episode is None:
            raise InputError("step was called before reset; call reset first")
        share = self._share(action)
        d, episode, device = self.data, self._episode, self.exoskeleton
        wanted, motor = share * device.torque_limit, self._muscles
        for _ in range(self._substeps):
            d.ctrl[:motor] = episode.excite(self._step, d)
            d.ctrl[motor] = device.available_torque(wanted, d.qvel[self._exo_knee])
            following = episode.at(self._step + 1)
            self._motion.step(d, (following[0], following[2]))
            self._step += 1
        self._refresh()
        if not (np.isfinite(d.qpos).all() and np.isfinite(d.qvel).all()):
            return np.zeros_like(self._low), FAILURE_REWARD, True, False, {"time": self._step * TIMESTEP}
        loads = self._loads()
        info = self._report(loads)
        info["reward_tracking"] = -((info["tracking_error"] / TRACKING_SCALE) ** 2)
        info["reward_effort"] = -EFFORT_WEIGHT * share**2
        ended = episode.steps is not None and self._step + self._substeps > episode.steps
        reward = info["reward_tracking"] + info["reward_effort"]
        return self._observe(loads), reward, False, ended, info

    def render(self) -> Any:
        """The current frame (height, width, 3), or None without a render mode."""
        if self.render_mode is None:
            gymnasium.logger.warn('render() without a render_mode; make the environment with render_mode="rgb_array"')
            return None
        if self._renderer is None:
            from mjx_msm.render import FrameRenderer

            self._renderer = FrameRenderer(self.model, **self._picture)
        return self._renderer.frame(self.data.qpos, self.data.act[: self._muscles])

    def close(self) -> None:
        """Free the picture's OpenGL context."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    # Parts -------------------------------------------------------------------------------------------------

    def _share(self, action: Any) -> float:
        try:
            value = np.asarray(action, float)
        except (TypeError, ValueError):
            raise InputError(f"action {action!r} is not a number; give an array of shape (1,)") from None
        if value.shape != (1,):
            raise InputError(f"action has shape {value.shape}; give shape (1,): the motor's torque, −1..1 of its limit")
        if not np.isfinite(value[0]):
            raise InputError(f"action is {value[0]}; give a finite number, −1..1")
        return float(min(max(value[0], -1.0), 1.0))

    def _refresh(self) -> None:
        """Bring MuJoCo's derived quantities to the state."""
        mujoco.mj_fwdPosition(self.model, self.data)
        mujoco.mj_fwdVelocity(self.model, self.data)
        mujoco.mj_fwdActuation(self.model, self.data)

    def _loads(self) -> dict[str, CuffLoad]:
        return {cuff: self.coupling.load(self.data, cuff) for cuff in CUFFS}

    def _layout(self) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
        rows: list[tuple[str, float, float]] = []
        for name in ("exo_knee", "knee"):
            rows += [(f"{name}_angle", -MAX_ANGLE, MAX_ANGLE), (f"{name}_velocity", -MAX_SPEED, MAX_SPEED)]
        rows += [(name, -MAX_ANGLE, MAX_ANGLE) for name in ("hip_angle", "ankle_angle")]
        rows += [(f"reference_{1000 * ahead:.0f}ms", -MAX_ANGLE, MAX_ANGLE) for ahead in PREVIEW]
        rows += [("motor_torque", -self.exoskeleton.torque_limit, self.exoskeleton.torque_limit)]
        for cuff in CUFFS:
            rows += [(f"{cuff}_force", 0.0, MAX_FORCE), (f"{cuff}_strap", 0.0, MAX_FORCE)]
            rows += [(f"{cuff}_displacement", 0.0, MAX_SHIFT)]
        rows += [(f"activation_{self.leg.actuator(i).name}", 0.0, 1.0) for i in range(self._muscles)]
        names, low, high = zip(*rows, strict=True)
        return names, np.array(low, np.float32), np.array(high, np.float32)

    def _observe(self, loads: dict[str, CuffLoad]) -> Float[np.ndarray, "observation"]:
        d, exo = self.data, self._exo_knee
        values = [d.qpos[exo], d.qvel[exo], d.qpos[KNEE_INDEX], d.qvel[KNEE_INDEX], d.qpos[0], d.qpos[2]]
        ahead = (self._step + round(t / TIMESTEP) for t in PREVIEW)
        values += [self._episode.at(k)[KNEE_INDEX] for k in ahead]
        values.append(d.act[self._muscles])
        for load in loads.values():
            values += [np.linalg.norm(load.force), load.tension.max(), load.displacement]
        observation = np.concatenate([values, d.act[: self._muscles]]).astype(np.float32)
        return np.clip(observation, self._low, self._high)

    def _report(self, loads: dict[str, CuffLoad]) -> dict[str, Any]:
        d = self.data
        knee, reference = float(d.qpos[KNEE_INDEX]), float(self._episode.at(self._step)[KNEE_INDEX])
        info: dict[str, Any] = {
            "time": self._step * TIMESTEP,
            "knee_angle": knee,
            "reference": reference,
            "tracking_error": abs(knee - reference),
            "human_torque": float(d.qfrc_actuator[KNEE_INDEX]),
            "robot_torque": float(d.qfrc_actuator[self._exo_knee]),
            "interaction_torque": loads["shank"].moment,
            "activation": d.act[: self._muscles].copy(),
        }
        for cuff, load in loads.items():
            info[f"{cuff}_force"] = float(np.linalg.norm(load.force))
            info[f"{cuff}_strap"] = float(load.tension.max())
            info[f"{cuff}_displacement"] = load.displacement
        return info


def load_leg(subject: str | Path | None) -> mujoco.MjSpec:
    """The subject's leg, checked, with the environment's timestep.

    **Arguments:** `subject`: as in `KneeExoEnv`.

    **Raises:** `InputError` if there is no such file, or it is not a leg.
    """
    if subject is None:
        spec = mujoco.MjSpec.from_file(str(assets.path("knee")))
    else:
        try:
            path = Path(subject)
        except TypeError:
            raise InputError(
                f"subject {subject!r} is not a path; give a folder written by `mjx-msm identify`"
            ) from None
        if not path.exists():
            raise InputError(
                f"subject '{path}' does not exist; give a folder written by `mjx-msm identify`, "
                "its identification.json, or an exported .xml"
            )
        if path.is_dir() and (path / "model.xml").is_file():
            path = path / "model.xml"
        spec = _read_mjcf(path) if path.suffix.lower() == ".xml" else _from_identification(path)
    spec.option.timestep = TIMESTEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_EULER
    try:
        mj_model = spec.compile()
        check_leg(mj_model)
        reason = constraint_reason(mj_model)
        if reason is not None:
            raise InputError(f"it has {reason}, which needs a constraint solver; export it with mjx_msm first")
    except ValueError as e:
        raise InputError(f"subject '{subject}': {str(e).splitlines()[0]}") from None
    return spec


def _read_mjcf(path: Path) -> mujoco.MjSpec:
    try:
        return mujoco.MjSpec.from_file(str(path))
    except ValueError as e:
        raise InputError(f"{path}: is not an MJCF model ({str(e).splitlines()[0]}); export it again") from None


def _from_identification(path: Path) -> mujoco.MjSpec:
    from mjx_msm.identification import Identification

    with tempfile.TemporaryDirectory() as folder:
        return _read_mjcf(Identification.load(path).export(Path(folder) / "model.xml"))


def _human(subject: str | Path | None, strength: float) -> Human:
    if subject is not None:
        path = Path(subject)
        folder = path if path.is_dir() else path.parent
        recording = folder / EXCITATION_FILE
        if path.suffix.lower() != ".xml" and recording.is_file():
            return Recorded.read(recording, strength)
    return Seated(strength=strength)
