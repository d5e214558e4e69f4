"""Pages as a browser gets them: served on the loopback address, moments by the sliders as C MuJoCo has them."""

import threading
import urllib.request

import mujoco
import numpy as np
import pytest
from results import estimate

from mjx_msm.common.errors import InputError
from mjx_msm.person.model import load_model
from mjx_msm.person.personalisation import export
from mjx_msm.recordings.synthetic import synthetic_subject
from mjx_msm.views.replay import Replay
from mjx_msm.views.viewer.model_page import ModelPage
from mjx_msm.views.viewer.moments import RecordedMotion
from mjx_msm.views.viewer.poses import poses_of
from mjx_msm.views.viewer.serving import LOOPBACK, address, serving
from mjx_msm.views.viewer.trial_page import MOVED, TrialPage

COUNT = 60


@pytest.fixture(scope="module")
def arm():
    return load_model("arm")


@pytest.fixture(scope="module")
def someone(arm):
    return synthetic_subject(arm, seed=2)


@pytest.fixture(scope="module")
def replay(arm):
    time = np.linspace(2.0, 3.0, COUNT)
    phase = 2 * np.pi * time[:, None]
    position = np.array([0.3, 0.9]) + np.array([0.2, 0.4]) * np.sin(phase)
    position[10] = np.nan
    activation = 0.5 + 0.4 * np.sin(phase + np.arange(6))
    moment = np.zeros((COUNT, 2))
    return Replay("reach", time, arm.coordinates, arm.free, arm.muscles, position, activation, {}, moment, {})


@pytest.fixture
def server():
    with serving("test") as one:
        yield one


def test_only_this_machine_is_served(server):
    assert server.get_host() == LOOPBACK
    with urllib.request.urlopen(f"http://{LOOPBACK}:{server.get_port()}") as page:
        assert page.status == 200
        assert b"<html" in page.read()


def test_where_it_is_served_is_an_address_that_a_browser_finds():
    assert address(LOOPBACK, 8080) == f"http://{LOOPBACK}:8080"
    assert address("0.0.0.0", 8081) == f"http://{LOOPBACK}:8081, and at all addresses of this machine"


def test_two_at_once_have_a_port_each(server):
    with serving("another") as other:
        assert other.get_port() != server.get_port()


def test_another_machines_address_is_refused_in_one_line():
    with pytest.raises(InputError, match="--host"), serving("test", host="192.0.2.1"):
        pass


def test_the_moment_is_cs(arm, someone, replay, tmp_path):
    """Of muscles, joint damping and springs of the exported person, in C."""
    motion = RecordedMotion(arm, someone, replay)
    changed = {"muscle/BRA/max_isometric_force": 500.0, "joint/elbow_flex/damping": 0.4}
    moment = motion.moment(changed)
    m = mujoco.MjModel.from_xml_path(str(export(arm, someone.updated(changed), tmp_path / "model.xml")))
    data, speed = mujoco.MjData(m), np.gradient(replay.position, replay.time, axis=0)
    for k in (0, 20, 40, COUNT - 1):
        data.qpos, data.qvel, data.act = replay.position[k], speed[k], replay.activation[k]
        mujoco.mj_forward(m, data)
        assert moment[k] == pytest.approx(data.qfrc_actuator + data.qfrc_passive, rel=1e-9, abs=1e-9)
    assert np.isnan(moment[10]).all()


def test_a_slider_moves_the_moment(arm, someone, replay, server):
    strength = someone.to_dict()["muscle/BRA/max_isometric_force"]
    page = TrialPage(
        server, arm.host.mj_model, replay, poses_of(arm.host.mj_model),
        [estimate("muscle/BRA/max_isometric_force", strength)], RecordedMotion(arm, someone, replay),
    )  # fmt: skip
    before = page._curves(1)[MOVED]
    slider = page._sliders["muscle/BRA/max_isometric_force"]
    slider.value = slider.max
    after = page._curves(1)[MOVED]
    assert page.adjusted == {"muscle/BRA/max_isometric_force": pytest.approx(strength + 0.1)}
    assert np.nanmax(np.abs(after - before)) > 0
    page.show(0.5)
    assert replay.time[page._index] - replay.time[0] == pytest.approx(0.5, abs=0.01)


def frames(page, count, monkeypatch):
    """How often it is drawn in so many turns of the loop."""
    ends, drawn, show = iter([False] * count + [True]), [], page.show
    monkeypatch.setattr(page, "show", lambda *now: (drawn.append(threading.get_ident()), show(*now)))
    page.play(lambda: next(ends))
    assert set(drawn) <= {threading.get_ident()}
    return len(drawn)


def from_another_thread(slider, value):
    """As viser calls, from its pool."""
    one = threading.Thread(target=lambda: setattr(slider, "value", value))
    one.start()
    one.join()


def test_a_trial_is_drawn_by_its_loop_alone_once_a_frame(arm, someone, replay, server, monkeypatch):
    strength = someone.to_dict()["muscle/BRA/max_isometric_force"]
    page = TrialPage(
        server, arm.host.mj_model, replay, poses_of(arm.host.mj_model),
        [estimate("muscle/BRA/max_isometric_force", strength)], RecordedMotion(arm, someone, replay),
    )  # fmt: skip
    assert frames(page, 2, monkeypatch) == 0
    monkeypatch.undo()
    from_another_thread(page._at, 0.5)
    from_another_thread(page._sliders["muscle/BRA/max_isometric_force"], strength + 0.05)
    assert page._index == 0  # nothing is drawn by who moves a slider
    assert frames(page, 2, monkeypatch) == 1
    assert replay.time[page._index] - replay.time[0] == pytest.approx(0.5, abs=0.01)
    monkeypatch.undo()
    page._playing.value = True
    assert frames(page, 3, monkeypatch) == 3
    assert float(page._at.value) != 0.5


def test_a_gap_in_the_recording_has_a_pose(arm, someone, replay, server):
    page = TrialPage(server, arm.host.mj_model, replay, poses_of(arm.host.mj_model), [], None)
    page.show(replay.time[10] - replay.time[0])
    assert np.isfinite(page._pose).all()


def test_a_model_follows_its_sliders(arm, server, monkeypatch):
    page = ModelPage(server, arm)
    before = float(page._posed._data.qpos[1])
    from_another_thread(page._sliders[1], 1.2)
    assert page._posed._data.qpos[1] == before != 1.2
    assert frames(page, 3, monkeypatch) == 1
    assert page._posed._data.qpos[1] == pytest.approx(1.2)


def test_balls_are_refused():
    ball = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><body><joint type="ball"/><geom size="1"/></body></worldbody></mujoco>'
    )
    with pytest.raises(InputError, match="ball or free"):
        poses_of(ball)
