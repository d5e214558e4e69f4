"""What is imported against OpenSim itself: poses, inverse dynamics, path lengths, moment arms, muscle constants."""

import math
import os
import re
from pathlib import Path

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import mjx_msm as msm
from mjx_msm.cli.app import run
from mjx_msm.common.compiled import jit
from mjx_msm.common.errors import InputError
from mjx_msm.person.from_osim.importing import BAR, import_osim, lengths_in_c
from mjx_msm.person.from_osim.joints import axis_wanders, nearest_hinge
from mjx_msm.person.from_osim.moments import moment_errors
from mjx_msm.person.from_osim.opened import OpenedModel, working_range
from mjx_msm.person.from_osim.skeleton import skeleton_of
from mjx_msm.person.from_osim.writing import set_coordinates, tree_spec
from mjx_msm.person.model import law_constants, model_of, muscle_constants, muscle_name

DATA = Path(os.environ.get("MJX_MSM_DATA") or Path(__file__).resolve().parents[3] / ".." / "shared" / "data").resolve()


def reference(name: str) -> Path:
    places = [DATA.parent / "reference" / name, DATA / "knee_walk" / name]
    if not any(p.exists() for p in places):
        pytest.skip(f"the reference data are absent: no {name} in or beside MJX_MSM_DATA (= {DATA})")
    return next(p for p in places if p.exists())


def one_line(said: str) -> str:
    return " ".join(said.split())


def differences(osim: Path, coordinates=None, coupled: bool = False) -> tuple[dict[str, float], dict[str, float]]:
    """Relative errors of inverse dynamics by coordinate, and the largest distance [m] of every body's origin, against
    OpenSim's own solver and kinematics."""
    opened = OpenedModel(osim)
    wanted = coordinates or [c.name for c in opened.coordinates.values() if not (c.locked or c.dependent)]
    skeleton = skeleton_of(opened, wanted, coupled=coupled)
    errors = {e.coordinate: e.relative for e in moment_errors(opened, skeleton)}
    m, apart = tree_spec(opened, skeleton).compile(), dict.fromkeys(skeleton.bodies, 0.0)
    d, rng = mujoco.MjData(m), np.random.default_rng(1)
    for _ in range(20):
        boxes = [opened.coordinates[c] for c in skeleton.coordinates]
        at = {c.name: rng.uniform(*(working_range(c) if c.rotational else (-1, 1))) for c in boxes}
        opened.pose(at)
        set_coordinates(m, d, at)
        mujoco.mj_kinematics(m, d)
        ground = d.xmat[m.body("ground").id].reshape(3, 3)
        for b in skeleton.bodies:
            distance = np.linalg.norm(ground.T @ d.xpos[m.body(b).id] - opened.body_pose(b)[:3, 3])
            apart[b] = max(apart[b], float(distance))
    return errors, apart


def test_joints_that_do_not_roll_are_exact(limb_osim):
    """Planar, oblique and tilted joints, offset frames, products of inertia, fused bodies."""
    errors, apart = differences(limb_osim, ["tilt", "tx", "ty", "flex", "add", "rot", "ankle"])
    assert max(errors.values()) < 1e-9
    assert max(apart.values()) < 1e-12


def test_a_rolling_joint_is_the_nearest_hinge_and_says_how_near(limb_osim, imported_limb):
    errors, apart = differences(limb_osim)
    stated = imported_limb.report.hinges["bend"]
    assert 1e-4 < stated < 1e-3
    assert 0.5 * stated < apart["shank"] < 4 * stated
    assert max(errors.values()) < 0.01
    said = {e.coordinate: e.relative for e in imported_limb.report.moments}
    assert said == pytest.approx(errors, rel=1e-6)


def test_all_that_inverse_dynamics_misses_about_a_hinge_is_the_rolling(limb_osim, tmp_path):
    """The same file with OpenSim's translations held, so that its knee is a hinge, too: exact."""
    opened, text = OpenedModel(limb_osim), limb_osim.read_text()
    rolls = skeleton_of(opened, ["flex", "bend"])
    (note,) = [n for n in rolls.notes if "rolls and glides" in n]
    assert re.search(r"OpenSim's own axis is \d+\.\d mm \(\d+\.\d at most\) and 0° from it", note)
    knee = re.compile(
        r'(<TransformAxis name="translation\d"><coordinates>)bend(</coordinates>.*?)<SimmSpline.*?</SimmSpline>'
    )
    held, count = knee.subn(r'\1\2<Constant name="function"><value>-0.1</value></Constant>', text)
    assert count == 2
    (tmp_path / "held.osim").write_text(held)
    errors, apart = differences(tmp_path / "held.osim", ["flex", "bend"])
    assert max(errors.values()) < 1e-9
    assert max(apart.values()) < 1e-12


def test_the_axis_of_a_body_is_where_it_turns(limb_osim):
    """A pin does not wander; a rolling joint's axis is where its velocity is along it, here by small differences."""
    opened = OpenedModel(limb_osim)
    joints = {j.getName(): j for j in (opened.model.getJointSet().get(i) for i in range(4))}
    for name, coordinate, bar in (("ankle", "ankle", 1e-9), ("knee", "bend", 1e-2)):
        _, direction, centre, _ = nearest_hinge(opened, joints[name], opened.coordinates[coordinate])
        far, tilted = axis_wanders(opened, joints[name], opened.coordinates[coordinate], direction, centre)
        assert far.max() < bar
        assert tilted.max() < 1e-6
    angles = np.linspace(*working_range(opened.coordinates["bend"]), len(far) + 1)
    for k in (3, 20, 35):
        poses = []
        for shift in (-1e-4, 1e-4):
            opened.pose({"bend": (angles[k] + angles[k + 1]) / 2 + shift})
            poses.append(np.linalg.inv(opened.body_pose("thigh")) @ opened.body_pose("shank"))
        speed = (poses[1][:3, 3] - poses[0][:3, 3]) / 2e-4
        middle = (poses[1][:3, 3] + poses[0][:3, 3]) / 2
        axis = middle + np.cross([0, 0, 1], speed)  # about z with a speed of 1
        assert far[k] == pytest.approx(np.linalg.norm((axis - centre)[:2]), abs=2e-4)


def test_coupled_joints_follow_opensims_splines(limb_osim):
    """The knee's slides follow its angle: inverse dynamics along the coordinate, paths, scaling, and our own steps."""
    made = import_osim(limb_osim, coordinates=["flex", "bend"], muscles=["hamstring", "vastus"], rolling="coupled")
    worst = {p.muscle: p.worst for p in made.report.paths}
    assert worst["hamstring"] < 0.4e-3
    assert worst["vastus"] < BAR
    assert not made.report.hinges
    model = model_of(made.spec.copy(), str(limb_osim))
    assert model.coordinates == ("flex", "bend")
    m, opened = made.spec.compile(), OpenedModel(limb_osim)
    d, rng = mujoco.MjData(m), np.random.default_rng(3)
    for _ in range(5):
        at = {"flex": rng.uniform(-0.5, 1.5), "bend": rng.uniform(-2.0, 0.2)}
        opened.pose(at)
        set_coordinates(m, d, at)
        mujoco.mj_kinematics(m, d)
        ground = d.xmat[m.body("ground").id].reshape(3, 3)
        there = ground.T @ d.xpos[m.body("shank").id]
        np.testing.assert_allclose(there, opened.body_pose("shank")[:3, 3], atol=2e-4)


@pytest.mark.slow
def test_inverse_dynamics_of_a_coupled_knee_is_opensims_within_a_percent(limb_osim):
    errors, apart = differences(limb_osim, coupled=True)
    assert max(errors.values()) < 0.01
    assert max(apart.values()) < 3e-4


def test_c3d_files_are_written_in_the_same_process(limb_osim, tmp_path):
    """After couplings were asked for their derivatives; opensim's and ezc3d's wrapped vectors share a table."""
    ezc3d = pytest.importorskip("ezc3d")
    differences(limb_osim, ["flex", "bend"], coupled=True)
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [50.0]
    file["parameters"]["POINT"]["LABELS"]["value"] = ("knee",)
    file["data"]["points"] = np.ones((4, 1, 3))
    file.write(str(tmp_path / "x.c3d"))
    assert ezc3d.c3d(str(tmp_path / "x.c3d"))["data"]["points"].shape == (4, 1, 3)


def test_what_the_report_says_is_what_c_and_opensim_say(limb_osim, imported_limb):
    """Lengths and moment arms at poses of our own, by plain MuJoCo and OpenSim."""
    m, opened, rng = imported_limb.spec.compile(), OpenedModel(limb_osim), np.random.default_rng(5)
    default = {c: opened.coordinates[c].default for c in imported_limb.report.coordinates}
    for path in imported_limb.report.paths:
        names = list(path.arms)
        poses = rng.uniform(*np.transpose([working_range(opened.coordinates[c]) for c in names]), size=(40, len(names)))
        lengths, arms = opened.lengths_and_arms([path.muscle], names, poses)
        ours, our_arms = lengths_in_c(m, [path.muscle], names, poses, default)
        error = ours[:, 0] - lengths[:, 0] - path.offset
        assert np.sqrt(np.mean(error**2)) < 1.7 * path.length + 2e-5, path.muscle
        for i, c in enumerate(names):
            rms = np.sqrt(np.mean((our_arms[:, 0, i] - arms[:, 0, i]) ** 2))
            assert rms < 1.7 * path.arms[c] + 2e-5, (path.muscle, c)
    worst = {p.muscle: p.worst for p in imported_limb.report.paths}
    assert max(worst["straight"], worst["calf"]) < 2e-5  # fixed points, and a cylinder that MuJoCo has too
    assert worst["hamstring"] < 0.5e-3
    assert max(worst["vastus"], worst["iliacus"]) < 4e-3
    assert {p.muscle for p in imported_limb.report.beyond} == {n for n, w in worst.items() if w > BAR}


def test_muscles_keep_their_constants_along_the_tendon(limb_osim, imported_limb):
    model = model_of(imported_limb.spec.copy(), str(limb_osim))
    p, along = model.nominal.muscle, math.cos(0.3)
    offsets = np.array([path.offset for path in imported_limb.report.paths])
    np.testing.assert_allclose(p.max_isometric_force, 800 * along)
    np.testing.assert_allclose(p.optimal_fiber_length, 0.12 * along, rtol=1e-9)
    np.testing.assert_allclose(p.tendon_slack_length, 0.2 + offsets, rtol=1e-6)
    np.testing.assert_allclose(p.activation_time_constant, 0.015)
    np.testing.assert_allclose(p.deactivation_time_constant, 0.05)  # the class's own
    assert model.muscles == ("straight", "hamstring", "calf", "vastus", "iliacus")


def test_muscles_keep_the_law_they_had(limb_osim, imported_limb, tmp_path):
    """Pennation, strains and the constants of their curves: along fibers, where the law is of pennate ones."""
    note = next(n for n in imported_limb.report.notes if "Thelen2003Muscle" in n)
    assert 'muscle = "thelen-compliant" keeps their law' in note
    model = model_of(imported_limb.spec.copy(), str(limb_osim), muscle="thelen-compliant")
    p = model.nominal.muscle
    for field, expected in (
        ("max_isometric_force", 800.0), ("optimal_fiber_length", 0.12), ("pennation_angle", 0.3),
        ("passive_fiber_strain", 0.6),
    ):  # fmt: skip
        np.testing.assert_allclose(getattr(p, field), expected, rtol=1e-9, err_msg=field)
    np.testing.assert_allclose(p.tendon_strain * p.tendon_slack_length, 0.04 * 0.2)  # the same stretch
    np.testing.assert_allclose(law_constants(model.muscle)["fibers.lengthening"], 1.4)
    assert muscle_name(model) == "thelen-compliant"
    assert not muscle_constants(model), "they are the file's own"
    other = model_of(imported_limb.spec.copy(), str(limb_osim), muscle="degroote")
    np.testing.assert_allclose(other.nominal.muscle.pennation_angle, 0.3)
    assert law_constants(other.muscle)["fiber_damping"] == 0.0, "constants of another law"
    exported = msm.load_model(
        msm.export(model, model.nominal, tmp_path / "limb.xml", allow_approximation=True), muscle="thelen"
    )
    np.testing.assert_array_equal(exported.nominal.muscle.pennation_angle, 0.0)  # of fitted native muscles
    scaled = msm.scale(model, factors={b: 1.1 for b in model.nominal.names.body})
    np.testing.assert_allclose(scaled.nominal.muscle.max_isometric_force, 800.0)
    np.testing.assert_allclose(scaled.nominal.muscle.optimal_fiber_length, 0.132, rtol=0.05)
    applied = msm.apply_osim(model, limb_osim).model
    np.testing.assert_allclose(applied.nominal.muscle.max_isometric_force, 800.0)


def at_rest(path: Path, muscles, activations) -> np.ndarray:
    """Path length [m] and OpenSim's tension [N] at rest (muscle, activation, 2), at the file's default posture."""
    opened = OpenedModel(path)
    state, out = opened.state, np.empty((len(muscles), len(activations), 2))
    opened.pose({})
    for k, name in enumerate(muscles):
        muscle = opened.muscles[name]
        for i, activation in enumerate(activations):
            muscle.setActivation(state, activation)
            opened.model.realizeVelocity(state)
            muscle.computeEquilibrium(state)
            opened.model.realizeDynamics(state)
            out[k, i] = muscle.getLength(state), muscle.getTendonForce(state)
    return out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "coordinates"),
    [
        ("gait10dof18musc.osim", "millard", ["knee_angle_r", "ankle_angle_r"]),
        ("gait2392.osim", "thelen", ["knee_angle_r"]),
        ("arm26.osim", "thelen", ["r_elbow_flex"]),
    ],
)
def test_published_muscles_pull_as_they_did(name, kind, coordinates, x64):
    """Every muscle behind its own tendon, along OpenSim's path length, to the tolerance of its solver."""
    path = reference(name)
    made = import_osim(path, coordinates=coordinates)
    model = model_of(made.spec, str(path), muscle=f"{kind}-compliant")
    assert not any("shaped by constants" in n for n in made.report.notes)
    activations = np.array([0.05, 0.3, 1.0])
    found = at_rest(path, model.muscles, activations)
    offset = np.array([p.offset for p in made.report.paths])
    length = jnp.asarray(found[..., 0].T + offset)
    active = jnp.broadcast_to(activations[:, None], length.shape)
    ours = jit(model.muscle.tension)(model.nominal.muscle, active, length, 0 * length)
    off = np.abs(np.asarray(ours) - found[..., 1].T) / model.nominal.muscle.max_isometric_force
    assert found[..., 1].max() > 100.0
    assert off.max() < 1e-5, dict(zip(model.muscles, off.max(0), strict=True))


def test_words_groups_markers_and_posture_are_carried(imported_limb):
    m = imported_limb.spec.compile()
    assert "A. Author" in next(t.data for t in imported_limb.spec.texts if t.name == "credit")
    row = next(t for t in imported_limb.spec.tuples if t.name == "flexors")
    assert list(row.objname) == ["hamstring", "iliacus"]
    assert m.body(m.site("knee_lateral").bodyid[0]).name == "shank"
    d = mujoco.MjData(m)
    mujoco.mj_resetDataKeyframe(m, d, m.key("default").id)
    assert d.qpos[m.joint("ty").qposadr[0]] == pytest.approx(0.9)
    mujoco.mj_kinematics(m, d)
    assert d.xpos[m.body("base").id][2] == pytest.approx(0.9)  # up is z


def test_turns_and_slides_have_stops_at_the_ends_of_the_files_range(imported_limb):
    m = imported_limb.spec.compile()
    d = mujoco.MjData(m)
    m.opt.gravity[:] = 0
    for coordinate, end, stiffness in (("ty", 5.0, 20e3), ("tx", -5.0, 20e3), ("bend", 0.2, 200.0)):
        for beyond in (0.0, 0.01):
            d.qpos[:] = 0
            d.qpos[m.joint(coordinate).qposadr[0]] = end + np.sign(end) * beyond
            mujoco.mj_forward(m, d)
            pushed = d.qfrc_passive[m.joint(coordinate).dofadr[0]]
            assert pushed == pytest.approx(-np.sign(end) * stiffness * beyond, abs=1e-9), coordinate


def test_stops_end_where_paths_are_fitted(limb_osim, tmp_path):
    """A file that lets an ankle turn by 120° either way: its paths are fitted to where people go."""
    text = limb_osim.read_text().replace("ankle", "ankle_angle")
    assert text.count("<range>-0.6 0.5</range>") == 1
    path = tmp_path / "wide.osim"
    path.write_text(text.replace("<range>-0.6 0.5</range>", "<range>-2.0943951 2.0943951</range>"))
    made = import_osim(path, coordinates=["ankle_angle"], muscles=["calf"])
    m = made.spec.compile()
    np.testing.assert_allclose(m.tendon_lengthspring[m.tendon("ankle_angle_stop").id], np.deg2rad([-45, 35]))
    assert made.report.ranges["ankle_angle"] == pytest.approx(tuple(np.deg2rad([-45, 35])))
    assert any("ankle_angle -45 … 35° (the file says -120 … 120°)" in note for note in made.report.notes)


@pytest.mark.slow
def test_an_osim_file_loads_as_a_model(limb_osim, x64):
    held = dict.fromkeys(["tilt", "tx", "ty", "flex", "add", "rot", "ankle"], 0.0)
    model = msm.load_model(limb_osim, free=["bend"], locked=held)
    part = msm.load_model(limb_osim, joints=["be*", "ankle"], muscles=["vastus", "calf"])
    assert (part.coordinates, part.muscles) == (("bend", "ankle"), ("vastus", "calf"))
    state = msm.initial_state(model)
    states = msm.rollout(model, model.nominal, state, np.zeros((20, len(model.muscles))))
    assert np.isfinite(states.position).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"coordinates": ["bnd"]}, "no coordinate 'bnd'; did you mean 'bend'"),
        ({"coordinates": []}, "coordinates is empty"),
        ({"muscles": ["vasti"]}, "no muscle 'vasti'; did you mean 'vastus'"),
        ({"coordinates": ["ankle"], "muscles": ["vastus"]}, "muscle 'vastus' crosses none of ankle"),
        ({"coordinates": ["tx"]}, "no muscle crosses tx"),
        ({"coordinates": "bend"}, "list of texts"),
    ],
)
def test_what_cannot_be_imported_is_one_line(limb_osim, arguments, words):
    with pytest.raises(InputError, match=words):
        import_osim(limb_osim, **arguments)


@pytest.mark.parametrize("text", ["<OpenSimDocument/>", '<OpenSimDocument Version="40000"><Model><a></Model>'])
def test_a_file_that_opensim_refuses_is_one_line(tmp_path, text):
    pytest.importorskip("opensim")
    path = tmp_path / "broken.osim"
    path.write_text(text)
    with pytest.raises(InputError, match=r"broken.osim: OpenSim cannot load it: \w+"):
        msm.load_model(path)


def test_the_command_writes_a_person_and_prints_the_errors(limb_osim, tmp_path, capsys):
    out = tmp_path / "person.xml"
    assert (
        run(["import", str(limb_osim), "--out", str(out), "--coordinates", "bend,ankle", "--muscles", "vastus,calf"])
        == 0
    )
    said = capsys.readouterr().out
    assert "vastus" in said
    assert "hinge follows it" in said
    assert re.search(
        r"inverse dynamics .* bend 0\.\d+ %, ankle 0\.\d+ % \(bend rolls: --rolling coupled", " ".join(said.split())
    )
    model = msm.load_model(out)
    assert model.coordinates == ("bend", "ankle")
    assert model.muscles == ("vastus", "calf")
    total = 3.0 + 1.0  # what hangs above is held, and the ground's
    assert np.sum(model.nominal.body.mass) == pytest.approx(total)
    text = out.read_text()
    assert "A. Author" in text
    assert "tilt" in next(t.data for t in model.host.spec.texts if t.name == "changed")
    assert run(["info", str(out)]) == 0
    assert "hinge follows it" in one_line(capsys.readouterr().out), "what the import changed is said again"


@pytest.mark.parametrize("out", ["limb.osim", "person"])
def test_the_command_writes_mjcf_by_its_name_and_replaces_no_osim(limb_osim, out, capsys):
    before = limb_osim.read_text()
    assert run(["import", str(limb_osim), "--out", str(limb_osim.with_name(out))]) == 2
    assert "an MJCF file is written; end its name in .xml" in one_line(capsys.readouterr().err)
    assert limb_osim.read_text() == before


def test_a_file_without_muscles_is_one_line(limb_osim, tmp_path):
    path = tmp_path / "bones.osim"
    path.write_text(re.sub("<ForceSet>.*</ForceSet>", "", limb_osim.read_text()))
    for read in (import_osim, msm.load_model):
        with pytest.raises(InputError, match=r"bones\.osim: has no muscles"):
            read(path)


REFERENCES = {  # coordinates to keep, paths beyond the bar, inverse dynamics: a knee that rolls is not a hinge
    "arm26.osim": (None, {"TRIlong"}, 1e-6),
    "gait10dof18musc.osim": (["hip_flexion_r", "knee_angle_r", "ankle_angle_r"], set(), 0.04),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCES)
def test_published_models_are_within_the_bars(name):
    coordinates, beyond, bar = REFERENCES[name]
    path = reference(name)
    report = import_osim(path, coordinates=coordinates).report
    assert {p.muscle for p in report.beyond} <= beyond
    assert max(e.relative for e in report.moments) < bar


LEG = ["hip_flexion_r", "hip_adduction_r", "hip_rotation_r", "knee_angle_r", "ankle_angle_r"]


@pytest.mark.parametrize(
    ("name", "coordinates"),
    [
        ("gait10dof18musc.osim", [LEG[0], *LEG[3:]]),
        ("leg6dof9musc.osim", [LEG[0], *LEG[3:]]),
        ("gait2392.osim", [*LEG, "subtalar_angle_r"]),
        ("subject_walk_scaled.osim", LEG),
    ],
)
def test_inverse_dynamics_of_published_coupled_knees_is_opensims_within_a_percent(name, coordinates):
    opened = OpenedModel(reference(name))
    errors = moment_errors(opened, skeleton_of(opened, coordinates, coupled=True))
    assert [e.coordinate for e in errors] == coordinates
    assert max(e.relative for e in errors) < 0.01
