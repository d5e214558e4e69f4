"""Which OpenGL is taken, what happens without, and that every context is freed."""

import imageio.v3 as iio
import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.views import frames
from mjx_msm.views import opengl as opengl_module
from mjx_msm.views.video import render_rollout

SIZE = (160, 120)


def test_without_opengl_a_schematic_and_the_package_to_install(model, no_opengl, tmp_path, reddish):
    time = np.linspace(0, 1, 20)
    with pytest.warns(RuntimeWarning, match="libegl1 or libosmesa6") as caught:
        path = render_rollout(model, time, time[:, None], time[:, None], path=tmp_path / "s.mp4", size=SIZE, fps=10)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    frames = list(iio.imiter(path))
    assert len(frames) == 10
    assert reddish(frames[-1]).sum() > reddish(frames[0]).sum() + 40


def test_where_opengl_truly_fails_the_probe_says_so(run_python):
    # PyOpenGL bound to a platform that is neither: both contexts refuse to be made.
    done = run_python(
        """
        import os, warnings
        os.environ.pop("MUJOCO_GL", None)
        os.environ["PYOPENGL_PLATFORM"] = "glx"
        import mujoco
        from mjx_msm.views import frames
        warnings.simplefilter("ignore")
        with frames.FrameRenderer(mujoco.MjModel.from_xml_string(MJCF), size=(64, 48)) as renderer:
            renderer.frame([0.0])
            print(renderer.backend.name, renderer.backend.note)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("schematic no OpenGL here")


def test_osmesa_is_the_second_choice(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(opengl_module.platform, "system", lambda: "Linux")
    monkeypatch.setattr(opengl_module, "_failure", lambda name: "" if name == "osmesa" else "no")
    assert opengl_module.rendering_backend() == ("osmesa", "")


def test_the_environment_variable_wins(monkeypatch):
    monkeypatch.setattr(opengl_module, "_failure", lambda name: pytest.fail("probed, though the user chose"))
    for value, name in {"egl": "egl", "OSMesa ": "osmesa", "glfw": "glfw", "off": "schematic"}.items():
        monkeypatch.setenv("MUJOCO_GL", value)
        assert opengl_module.rendering_backend().name == name


def test_a_backend_that_fails_only_here_falls_back_unless_the_user_chose_it(model, monkeypatch):
    def broken(*args):
        raise RuntimeError("no context for you")

    monkeypatch.setattr(frames, "OpenGLCanvas", broken)
    monkeypatch.setattr(opengl_module, "_failure", lambda name: "")
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    with pytest.warns(RuntimeWarning, match="no context for you"):
        renderer = frames.FrameRenderer(model, size=SIZE)
    with renderer:
        assert renderer.backend.name == "schematic"
        assert renderer.frame([0.0]).std() > 5
    monkeypatch.setenv("MUJOCO_GL", "egl")
    with pytest.raises(InputError, match="MUJOCO_GL"):
        frames.FrameRenderer(model, size=SIZE)


def test_the_interpreter_exits_silently_whatever_was_left_open(opengl, run_python):
    name = opengl()
    done = run_python(
        f"""
        import mujoco
        from mjx_msm.views import frames
        model = mujoco.MjModel.from_xml_string(MJCF)
        with frames.FrameRenderer(model, size=(64, 48)) as closed:
            closed.frame([0.0])
        left_open = frames.FrameRenderer(model, size=(64, 48), backend={name!r})
        left_open.frame([0.0])
        never_used = frames.FrameRenderer(model, size=(64, 48), backend={name!r})
        cycle = [frames.FrameRenderer(model, size=(64, 48), backend={name!r})]
        cycle.append(cycle)
        half = frames.render_frames(model, [0.0, 1.0], [[0.0], [1.0]], size=(64, 48))
        next(half)
        unstarted = frames.render_frames(model, [0.0, 1.0], [[0.0], [1.0]], size=(64, 48))
        del cycle
        print(left_open.backend.name)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [name]


def test_contexts_are_freed_without_being_closed_by_hand(opengl, run_python):
    name = opengl()
    done = run_python(
        f"""
        import gc, weakref
        import mujoco
        from mjx_msm.views import frames
        model = mujoco.MjModel.from_xml_string(MJCF)
        left = []
        for _ in range(6):
            renderer = frames.FrameRenderer(model, size=(64, 48), backend={name!r})
            drawing = frames._draw_all(renderer, model, *[None] * 3)
            left.append(weakref.ref(renderer))
        del renderer, drawing
        gc.collect()
        print(sum(reference() is not None for reference in left))
        """
    )
    assert (done.returncode, done.stderr, done.stdout.split()) == (0, "", ["0"])


def test_importing_loads_no_graphics(run_python):
    done = run_python(
        """
        import sys
        before = set(sys.modules)
        import mujoco
        with_mujoco = set(sys.modules)
        from mjx_msm.views import captions, frames, traces, video
        new = {name.split(".")[0] for name in set(sys.modules) - with_mujoco}
        print(new & {"matplotlib", "imageio", "imageio_ffmpeg", "PIL", "scipy", "jax"})
        """
    )
    assert (done.returncode, done.stderr, done.stdout.strip()) == (0, "", "set()")
