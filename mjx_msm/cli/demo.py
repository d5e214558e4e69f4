"""`mjx-msm demo`: the whole road on the bundled arm, from a simulated recording to a film."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mjx_msm.cli.console import INTERRUPTED, make_console, notes_on
from mjx_msm.cli.identify import identify_shown, truth_table
from mjx_msm.cli.libraries import prepare_jax

if TYPE_CHECKING:
    from mjx_msm.knowledge.result import Identification

# As many held-out trials as others: then what was compiled for the one serves the other.
DEMO: dict[str, Any] = {
    "trials": 2,
    "held_out": 2,
    "duration": 1.5,
    "rate": 250.0,
    "noise_angle": 0.3,
    "noise_emg": False,
    "spread": 0.1,
}


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything it makes.")] = Path("mjx_msm_demo"),
    seed: Annotated[int, typer.Option(help="Of truth, excitations and noise.")] = 0,
) -> int:
    """The main job end to end on the bundled arm: simulate, identify, compare to the truth, export, act, film.

    Example: mjx-msm demo --out demo
    """
    console = make_console()
    prepare_jax()
    from mjx_msm.recordings.subject_file.loading import load_subject
    from mjx_msm.study.result_folder import load_result, result_folder, write_result
    from mjx_msm.study.settings import study_model
    from mjx_msm.study.synthetic_study import load_truth, simulate_study
    from mjx_msm.views.trial_film import trial_frames
    from mjx_msm.views.video import video

    steps: list[tuple[str, float]] = []

    def step(name: str, job: Callable[[], Any]) -> Any:
        console.print(f"[bold]{len(steps) + 1}. {name}[/bold]")
        began = time.perf_counter()
        done = job()
        steps.append((name, time.perf_counter() - began))
        return done

    with notes_on(console), result_folder(out) as folder:
        data, person = folder / "recording", folder / "subject"

        def recording() -> None:
            made = simulate_study(data, "arm", free=None, seed=seed, **DEMO)
            console.print(
                f"   a person whose strength, fiber and tendon lengths and segment masses differ by up to "
                f"{100 * DEMO['spread']:.0f} % from the model;\n   {len(made)} trials of {DEMO['duration']:g} s with "
                f"{DEMO['noise_angle']:g}° of angle noise, {DEMO['held_out']} held out"
            )

        def identification() -> tuple[Identification, bool]:
            study = load_subject(data / "subject.toml")
            model, truth = study_model(study), load_truth(study.path)
            found, stopped = identify_shown(console, study, model, cv=None, starts=None, seed=seed, quiet=False)
            person.mkdir()
            write_result(person, study, model, found, truth=truth)
            console.print(truth_table(found, truth or {}))
            for row in found.fits:
                if row.kind == "motion":
                    console.print(
                        f"   {row.trial} ({row.role}), {row.coordinate}: generic {math.degrees(row.generic):.2f}° → "
                        f"identified {math.degrees(row.identified):.2f}° RMSE, r = {row.correlation:.3f}"
                    )
            return found, stopped

        step("simulate a recording of a person we know", recording)
        _, interrupted = step("identify the person from it", identification)
        step("load the exported MJCF in plain MuJoCo", lambda: _step_exported(console, person))
        step("an episode with the knee exoskeleton", lambda: _episode(console, folder / "exoskeleton.mp4", seed))
        _, trials = load_result(person)

        def film() -> None:
            frames = trial_frames(person, trials[-1], size=(640, 480), fps=30, speed=0.5)
            video(folder / "arm.mp4", frames, 30)

        step("film measured and simulated arm", film)
    console.print()
    table = Table("step", "time", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for name, seconds in (*steps, ("all", sum(s for _, s in steps))):
        table.add_row(name, f"{seconds:.1f} s")
    console.print(table)
    console.print(
        f"\nLook at {out / 'arm.mp4'}, {out / 'exoskeleton.mp4'} and {out / 'subject' / 'motion.png'}.\n"
        "Your own recording: write a subject.toml (python -m pydoc mjx_msm.recordings.subject_file), then mjx-msm "
        "identify it.\n"
        f"Personalised model for any MuJoCo tool: {out / 'subject' / 'model.xml'}"
    )
    return INTERRUPTED if interrupted else 0


def _step_exported(console: Console, person: Path) -> None:
    """Drive the exported file along the recorded excitations, in MuJoCo alone."""
    import mujoco
    import numpy as np

    from mjx_msm.recordings.readers.delimited import read_csv
    from mjx_msm.recordings.replay import replay

    model = mujoco.MjModel.from_xml_path(str(person / "model.xml"))
    table = read_csv(person / "excitation.csv")
    names = [model.actuator(i).name for i in range(model.nu)]
    drive = np.stack([table[f"excitation/{n}"] for n in names], -1)
    joints = [model.joint(j).name for j in range(model.njnt)]
    clock, start = table.time, np.array([table[f"position/{j}"][0] for j in joints])
    began = time.perf_counter()
    position, _, _ = replay(model, clock, drive, start, np.zeros(model.nv), drive[0])
    seconds = time.perf_counter() - began
    end = ", ".join(f"{j} {math.degrees(q):.1f}°" for j, q in zip(joints, position[-1], strict=True))
    measured = ", ".join(f"{math.degrees(table[f'position/{j}'][-1]):.1f}°" for j in joints)
    console.print(
        f"   {clock[-1] - clock[0]:.2f} s in {1e3 * seconds:.0f} ms; at their end {end} (measured {measured})"
    )


def _episode(console: Console, path: Path, seed: int) -> None:
    """A short episode of the exoskeleton on the generic leg, recorded: it follows the wanted knee angle."""
    import gymnasium

    from mjx_msm import envs
    from mjx_msm.views.video import video

    seconds, every = 4.0, 4  # a frame every `every` actions
    env: Any = gymnasium.make(envs.KNEE_EXO, render_mode="rgb_array", width=480, height=360)
    try:
        _, state = env.reset(seed=seed)
        rate = float(env.metadata["render_fps"])
        frames, errors, torques = [env.render()], [], []
        for k in range(1, round(seconds * rate) + 1):
            action = env.action_space.low * 0 + max(-1.0, min(1.0, 3.0 * (state["reference"] - state["knee_angle"])))
            _, _, terminated, truncated, state = env.step(action)
            errors.append(state["tracking_error"])
            torques.append(state["robot_torque"])
            if k % every == 0:
                frames.append(env.render())
            if terminated or truncated:
                break
        video(path, frames, rate / every)
    finally:
        env.close()

    def rms(values: Sequence[float]) -> float:
        return math.sqrt(sum(v * v for v in values) / len(values))

    console.print(
        f"   {len(errors) / rate:g} s of knee extensions on a bench, assisted: tracking error "
        f"{math.degrees(rms(errors)):.1f}° RMS, motor torque {rms(torques):.1f} N·m RMS"
    )
