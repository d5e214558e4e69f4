"""A task as a Gymnasium environment, stepped by C MuJoCo."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import gymnasium
import mujoco
import numpy as np
from gymnasium.error import ResetNeeded
from jaxtyping import Float

from mjx_msm.common.errors import InputError, one_of
from mjx_msm.envs.engines.c_engine import CEngine, CState
from mjx_msm.envs.engines.kinetics import Kinetics
from mjx_msm.envs.tasks.arguments import check_arguments
from mjx_msm.envs.tasks.options import as_disturbance, as_draws, as_excitation, as_options
from mjx_msm.envs.tasks.summary import Summary
from mjx_msm.envs.tasks.task import CONTROL_RATE, Task

NOT_FINITE = "not finite"
"""What `info` calls a failure."""


class EpisodeState(NamedTuple):
    """An episode between two control periods, by value: it may be kept, pickled and gone back to more than once."""

    task: str
    """Of which it is."""
    engine: CState
    plan: Any
    memory: Any
    """Of person, robot, sensors and commands."""
    summary: Summary
    steps: int
    over: bool
    random: Mapping[str, Any]
    """State of the generator that noise and later episodes come from."""


class TaskEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """Adapter: what a task plans, drives and observes, in Gymnasium's words.

    **Arguments:**

    - `subject`, `arguments`: of the task, see there.
    - `sample_posterior`: draw a person from the subject's posterior at every reset.
    - `render_mode`: None, ``"rgb_array"`` or ``"human"``; `camera`, `width` and `height` say of what.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": CONTROL_RATE}  # noqa: RUF012 (Gymnasium's)

    kind: ClassVar[Callable[..., Task]]
    """What the environment is about; takes `subject` and `arguments`."""

    def __init__(
        self,
        subject: str | Path | None = None,
        *,
        sample_posterior: bool = False,
        render_mode: str | None = None,
        camera: str | None = None,
        width: int = 640,
        height: int = 480,
        **arguments: Any,
    ):
        picture = {"render_mode": render_mode, "camera": camera, "width": width, "height": height}
        adapter = {"sample_posterior": sample_posterior, **picture}
        self._made_with = {"subject": subject, **adapter, **arguments}
        check_arguments(type(self).__name__.removesuffix("Env"), self.kind, arguments, adapter)
        task = self.kind(subject, **arguments)
        if render_mode is not None:
            one_of("render_mode", render_mode, self.metadata["render_modes"])
        self.render_mode = render_mode
        self._picture = {"camera": task.camera if camera is None else camera, "size": (width, height)}
        self._renderer: Any = None
        self._window: Any = None
        self.task = task
        self.metadata = {**type(self).metadata, "render_fps": round(1.0 / task.period)}
        self.sample_posterior = bool(sample_posterior)
        if self.sample_posterior:
            _ = task.people.identification  # says at once if there is none
        self._engine = CEngine(task.world)
        low, high = task.bounds(task.actions)
        self.action_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        low, high = task.bounds(task.observations)
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.action_names = tuple(c.name for c in task.actions)
        self.observation_names = tuple(c.name for c in task.observations)
        self._low, self._high = self.action_space.low.astype(float), self.action_space.high.astype(float)
        self._shape = self.action_space.shape
        self._floor, self._ceiling = low, high
        self._noise = np.array([c.noise for c in task.observations])
        self._noisy = bool(self._noise.any())
        self._idle = np.clip(np.zeros(self._shape), self._low, self._high)
        self._plan: Any = None
        self._kinetics: Kinetics
        self._memory: Any
        self._summary: Summary
        self._steps = 0
        self._over = self._warned = False

    @property
    def model(self) -> mujoco.MjModel:
        """Person and robot, compiled; the person of the present episode."""
        return self._engine.model

    @property
    def data(self) -> mujoco.MjData:
        """The present state. Change it at your own risk."""
        return self._engine.data

    # Gymnasium ---------------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, "observation"], dict[str, Any]]:
        """Start an episode.

        **Arguments:** `options`, for this episode: ``"person"``: which of the posterior's draws, or `Parameters`;
        ``"disturbance"``: a `Disturbance` or a mapping of its fields; ``"draws"``: the numbers between 0 and 1 that the
        plan is made from, in place of random ones; ``"recorded"`` (period, muscle): the excitation recorded of this
        person, for one given as `Parameters` where a recording is replayed, which is the nominal person's otherwise.
        """
        super().reset(seed=seed)
        chosen = as_options(options)
        task, engine = self.task, self._engine
        draws, person, recorded = (chosen.pop(name, None) for name in ("draws", "person", "recorded"))
        disturbance = as_disturbance(chosen.pop("disturbance", None), task)
        if chosen:
            raise InputError(
                f"reset option '{next(iter(chosen))}' is not known; there are draws, person, recorded, disturbance"
            )
        uniform = self.np_random.random(task.draws) if draws is None else as_draws(draws, task.draws)
        if person is None and self.sample_posterior:
            person = int(self.np_random.integers(task.people.count))
        if recorded is not None:
            recorded = as_excitation(recorded, len(task.world.muscles))
        if isinstance(person, int | np.integer):
            engine.become(task.people.draw(int(person)))
            if recorded is None and task.recorded is not None:
                recorded = task.recorded[person]
        else:
            engine.become(person)
        self._plan = plan = task.plan(np, uniform, disturbance, recorded)
        engine.start(*task.initial(np, plan))
        self._kinetics = engine.kinetics()
        self._memory = task.begin(np, plan, self._kinetics)
        self._summary = Summary.empty(np, len(task.summarised))
        self._steps = 0
        self._over = self._warned = False
        outcome, self._memory = task.observe(np, plan, self._memory, self._kinetics, self._idle, self._sensor_noise())
        info = _info(outcome.measures)
        if isinstance(person, int | np.integer):
            info["person"] = int(person)
        if self.render_mode == "human":
            self.render()
        return self._seen(outcome.observation), info

    def step(
        self, action: Float[np.ndarray, "action"]
    ) -> tuple[Float[np.ndarray, "observation"], float, bool, bool, dict[str, Any]]:
        """One control period."""
        if self._plan is None:
            raise ResetNeeded("step was called before reset; call reset first")
        if self._over and not self._warned:
            self._warned = True
            gymnasium.logger.warn(
                "step was called after the end of the episode (terminated or truncated); call reset first: what "
                "further steps return is not defined"
            )
        action = self._checked(action)
        task, engine, plan = self.task, self._engine, self._plan
        drive, memory = task.drive(np, plan, self._memory, self._kinetics, engine.dynamics, action)
        engine.advance(drive, task.substeps)
        self._steps += 1
        if not engine.finite:
            self._over = True
            info = {"failure": NOT_FINITE, "summary": self.summary()}  # of what was before
            return np.zeros(self._floor.shape, np.float32), task.failure_reward(self._steps), True, False, info
        self._kinetics = kinetics = engine.kinetics()
        outcome, self._memory = task.observe(np, plan, memory, kinetics, action, self._sensor_noise())
        info = _info(outcome.measures)
        if task.summarised:
            self._summary = self._summary.add(np, np.array([info[name] for name in task.summarised]))
        ended = task.length is not None and self._steps >= task.length
        terminated = bool(outcome.terminated)
        if terminated or ended:
            self._over = True
            info["summary"] = self.summary()
        if self.render_mode == "human":
            self.render()
        return self._seen(outcome.observation), float(outcome.reward), terminated, ended, info

    def summary(self) -> dict[str, float]:
        """Peak, root mean square and integral of the measures since the last reset.

        `info` holds it at an episode's end; where a time limit of your own ends it, ask here.
        """
        return self._summary.report(self.task.summarised, self.task.period)

    def render(self) -> Any:
        """The current frame (height, width, 3) in mode ``"rgb_array"``; a window's next frame in ``"human"``."""
        if self.render_mode is None:
            gymnasium.logger.warn('render() without a render_mode; make the environment with render_mode="rgb_array"')
            return None
        if self._plan is None:
            raise ResetNeeded("render was called before reset; call reset first")
        if self.render_mode == "human":
            return self._show()
        if self._renderer is None:
            from mjx_msm.views.frames import FrameRenderer

            self._renderer = FrameRenderer(self.model, **self._picture)
        spots = self.task.spots(self._plan, self._steps)
        return self._renderer.frame(self.data.qpos, self._kinetics.activation, spots=spots)

    def close(self) -> None:
        """Free the picture's OpenGL context or the window."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
        if self._window is not None:
            self._window.close()
            self._window = None

    # Copies ------------------------------------------------------------------------------------------------

    def get_state(self) -> EpisodeState:
        """The episode as it is now, to go back to with `set_state`, here or in another environment made alike.

        It holds everything that what is still to come depends on: mechanics and the person's body, delays, reflexes,
        fatigue, controllers, sensors and commands on their way, the disturbance, the summary, and the random generator.
        What comes after `set_state` is the same to the bit. Who wraps the environment (a time limit, say) is not in it.

        **Raises:** Gymnasium's `ResetNeeded` before the first reset.
        """
        if self._plan is None:
            raise ResetNeeded("get_state was called before reset; call reset first")
        plan, memory = copy.deepcopy((self._plan, self._memory))
        random = copy.deepcopy(self.np_random.bit_generator.state)
        engine = self._engine.get_state()
        return EpisodeState(
            type(self.task).__name__, engine, plan, memory, self._summary, self._steps, self._over, random
        )

    def set_state(self, state: EpisodeState) -> None:
        """Go back to where `get_state` was called; with the generator's state, noise comes again, too.

        **Raises:** `InputError` for what is no state of such an environment.
        """
        if not isinstance(state, EpisodeState):
            raise InputError(f"set_state takes what get_state returned, not {type(state).__name__}")
        if state.task != type(self.task).__name__ or not self._engine.takes(state.engine):
            raise InputError(
                f"the state is of another environment ({state.task}, {len(state.engine.integration)} numbers); "
                "make this one with the same arguments"
            )
        self._engine.set_state(state.engine)
        self._plan, self._memory = copy.deepcopy((state.plan, state.memory))
        self._summary, self._steps, self._over, self._warned = state.summary, state.steps, state.over, False
        self.np_random.bit_generator.state = copy.deepcopy(state.random)
        self._kinetics = self._engine.kinetics()

    def __deepcopy__(self, memo: Any) -> Self:
        """The same task in an engine of its own, at the same instant; pictures are not taken over."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._engine, twin._renderer, twin._window = CEngine(self.task.world), None, None
        for name in ("action_space", "observation_space", "_np_random"):  # each draws numbers of its own
            setattr(twin, name, copy.deepcopy(getattr(self, name), memo))
        if self._plan is not None:
            twin.set_state(self.get_state())
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """What it was made with, and the episode."""
        own = {name: getattr(self, name) for name in ("spec", "action_space", "observation_space")}
        own |= {name: self.__dict__[name] for name in ("_np_random", "_np_random_seed") if name in self.__dict__}
        return {"made_with": self._made_with, "own": own, "episode": None if self._plan is None else self.get_state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        TaskEnv.__init__(self, **state["made_with"])
        self.__dict__.update(state["own"])
        if state["episode"] is not None:
            self.set_state(state["episode"])

    # Parts -------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        """MuJoCo's own viewer, which needs a screen; without one GLFW would end the program."""
        if self._window is None:
            import glfw
            import mujoco.viewer

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                screen = bool(glfw.init())
            if not screen:
                raise InputError('render_mode "human" needs a screen; on a machine without one use "rgb_array"')
            self._window = mujoco.viewer.launch_passive(self.model, self.data, show_left_ui=False)
        self._window.sync()

    def _checked(self, action: Any) -> Float[np.ndarray, "action"]:
        try:
            value = np.asarray(action, float)
        except (TypeError, ValueError):
            raise InputError(f"action {action!r} is not numbers; give an array of shape {self._shape}") from None
        if value.shape != self._shape:
            raise InputError(
                f"action has shape {value.shape}; give shape {self._shape}: {', '.join(self.action_names)}"
            )
        if not np.isfinite(value.sum()):
            bad = self.action_names[int(np.argmin(np.isfinite(value)))]
            raise InputError(f"action '{bad}' is {value[~np.isfinite(value)][0]}; give finite numbers")
        return np.minimum(np.maximum(value, self._low), self._high)

    def _sensor_noise(self) -> Float[np.ndarray, "observation"] | float:
        return self._noise * self.np_random.standard_normal(self._noise.shape) if self._noisy else 0.0

    def _seen(self, observation: Float[np.ndarray, "observation"]) -> Float[np.ndarray, "observation"]:
        """Within the space."""
        return np.minimum(np.maximum(observation.astype(np.float32), self._floor), self._ceiling)


def _info(measures: Mapping[str, Any]) -> dict[str, Any]:
    """Measures as numbers and arrays of the caller's own."""
    return {n: x.copy() if isinstance(x, np.ndarray) and x.ndim else float(x) for n, x in measures.items()}
