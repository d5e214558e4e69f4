"""A new recording through an identified person: against the rollout that made it, C MuJoCo and mechanics by hand."""

from dataclasses import replace
from itertools import pairwise

import mujoco
import numpy as np
import pytest

import mjx_msm as msm
from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputWarning
from mjx_msm.dynamics.simulation import spatial_inertia
from mjx_msm.knowledge.records import Fit
from mjx_msm.person.personalisation import personalised_spec
from mjx_msm.person.space import parameter_space
from mjx_msm.prediction import offline
from mjx_msm.prediction.conclusion import conclusion
from mjx_msm.prediction.contact_force import axes_in_words, crossing
from mjx_msm.prediction.offline import _simulated
from mjx_msm.recordings.readers.delimited import read_csv
from mjx_msm.recordings.readers.storage import read_storage

pytestmark = pytest.mark.slow  # what all share compiles for half a minute
FREE = ["muscle/*/max_isometric_force", "body/*/mass"]


@pytest.fixture(scope="module")
def person(arm, result_of):
    """A synthetic subject, a result that knows their strength and masses to 5 %, and a trial of theirs."""
    truth = msm.synthetic_subject(arm, seed=2)
    space = parameter_space(truth.with_channels(arm.muscles), FREE)
    with float64():
        z = np.asarray(space.pack(truth))
    emg_map = {m: {m: 1.0} for m in arm.muscles}
    known = {"channels": arm.muscles, "emg_map": emg_map, "rate": 100.0, "horizon": 100}
    result = result_of(space, np.eye(space.size) / 0.05**2, z, **known)
    (trial,) = msm.synthetic_trials(arm, truth, count=1, duration=1.0, rate=500, seed=4)
    return truth, result, trial


@pytest.fixture(scope="module")
def made(arm, person):
    _, result, trial = person
    return msm.predict(result, trial, model=arm, draws=6)


def test_the_motion_comes_back(made):
    """Simulated anew every 0.2 s from the smoothed recording."""
    np.testing.assert_allclose(made["motion"].value, made.position, atol=2e-3)


def test_strength_moves_force_alone(made):
    for quantity, curves in made.curves.items():
        assert np.isfinite(curves.value).all(), quantity
    assert np.abs(made["fiber_length"].high - made["fiber_length"].low).max() < 1e-12
    width = (made["tendon_force"].high - made["tendon_force"].low) / np.maximum(made["tendon_force"].value, 1.0)
    assert 0.05 < np.median(width) < 0.3


def test_bands_hold_the_truth(made, arm, person):
    """Of people that the posterior could be of: what is theirs lies in the bands, which are no wider than they must be.

    Between the outermost of six draws lie five sevenths of a seventh one's values.
    """
    truth, result, trial = person
    space, rng = result.space(arm), np.random.default_rng(3)
    with float64():
        z = np.asarray(space.pack(truth.with_channels(arm.muscles)))
        drawn = [space.unpack(z + 0.05 * rng.normal(size=space.size)).to_dict() for _ in range(4)]
    theirs = [msm.predict(replace(result, parameters=p), trial, model=arm, draws=6) for p in drawn]
    for quantity in ("tendon_force", "moment_by_muscle", "moment", "metabolic_power"):
        true, band = np.stack([p[quantity].value for p in theirs]), made[quantity]
        width = band.high - band.low
        matters = np.broadcast_to(width > 0.05 * width.max(), true.shape)
        assert 0.45 < ((band.low <= true) & (true <= band.high))[matters].mean() < 0.95, quantity
        error = ((true - band.value) / np.where(width > 0, width, 1.0))[matters]
        assert 0.15 < np.sqrt((error**2).mean()) < 0.8, quantity


def test_what_contradicts_the_model_is_said(person, arm):
    _, result, trial = person
    with pytest.warns(InputWarning, match="velocit") as said:
        msm.predict(result, replace(trial, velocity=-np.asarray(trial.velocity)), model=arm, draws=6)
    assert {warning.filename for warning in said} == {__file__}


def test_fibers_beyond_where_muscles_work_are_named(arm):
    optimal = np.full(len(arm.muscles), 0.1)
    length = np.tile(0.1, (5, len(arm.muscles)))
    assert offline._beyond_their_range(arm, length, optimal) == ""
    length[2, 0] = 0.003
    said = offline._beyond_their_range(arm, length, optimal)
    assert f"{arm.muscles[0]} 0.03 to 1;" in said
    assert arm.muscles[1] not in said


def test_people_who_cannot_be_simulated_are_counted(person, arm, monkeypatch):
    _, result, trial = person

    def without_one(*given):
        moved = np.array(_simulated(*given))
        moved[2] = np.nan
        return moved

    monkeypatch.setattr(offline, "_simulated", without_one)
    with pytest.warns(InputWarning, match="the motion of 1 of 6 people drawn"):
        assert np.isfinite(msm.predict(result, trial, model=arm, draws=6)["motion"].high).all()


def test_moments_of_muscles_and_joint_are_what_the_recorded_motion_needs(made, arm, person):
    """By inverse dynamics of the person in C; the passive joint is on both sides."""
    truth, _, _ = person
    c = personalised_spec(arm, truth).compile()
    d, needed = mujoco.MjData(c), []
    velocity = np.gradient(made.position, made.time, axis=0)
    acceleration = np.gradient(velocity, made.time, axis=0)
    for q, v, a in zip(made.position, velocity, acceleration, strict=True):
        d.qpos[:], d.qvel[:], d.qacc[:] = q, v, a
        mujoco.mj_inverse(c, d)
        needed.append(d.qfrc_inverse + d.qfrc_passive)
    inner = slice(5, -5)  # differences at the ends are one-sided
    error = (made["moment"].value - needed)[inner]
    assert np.sqrt((error**2).mean()) < 0.03 * np.std(needed)


def test_muscles_add_up_and_files_hold_what_was_made(made, tmp_path):
    by_muscle = made["moment_by_muscle"]
    for k, coordinate in enumerate(made.free):
        own = [i for i, n in enumerate(by_muscle.names) if n.startswith(f"{coordinate}/")]
        rest = made["moment"].value[:, k] - by_muscle.value[:, own].sum(axis=1)
        assert np.abs(rest).max() < 10.0  # of the passive joint
    assert made["metabolic_power"]["total"].min() > 0
    made.save(tmp_path)
    table, columns = read_storage(tmp_path / "tendon_force.sto"), read_csv(tmp_path / "prediction.csv")
    assert table.columns == made.muscles
    np.testing.assert_array_equal(table.values, made["tendon_force"].value)
    high = columns.values[:, columns.columns.index("moment/elbow_flex/high")]
    np.testing.assert_array_equal(high, made["moment"].high[:, made.free.index("elbow_flex")])


def test_the_file_of_contact_forces_says_whose_axes_they_are_in(made, arm, tmp_path):
    made.save(tmp_path)
    head = (tmp_path / "contact_force.sto").read_text().split("endheader")[0]
    (elbow,) = (line for line in head.splitlines() if "elbow_flex/x, y, z" in line)
    assert "force on forearm by humerus, along the axes of forearm" in elbow
    assert "without the ground" in head
    said = "make z negative" in elbow
    assert said != ("make z positive" in elbow)
    at = made["contact_force"].value[:, list(made["contact_force"].names).index("elbow_flex/z")]
    assert said == (np.median(at) < 0)
    assert read_storage(tmp_path / "contact_force.sto").columns == made["contact_force"].names


HINGE = """<mujoco model="hinge"><worldbody><site name="a" pos="0.03 0 -0.05"/>
<body name="shank" pos="0 0 -0.4" {turned}><joint name="knee" axis="0 1 0" damping="0.1"/>
<inertial pos="0 0 0" mass="1" diaginertia="0.01 0.01 0.01"/><site name="b" pos="{insertion}"/></body></worldbody>
<tendon><spatial name="path"><site site="a"/><site site="b"/></spatial></tendon>
<actuator><muscle name="extensor" tendon="path" force="300" lengthrange="0.36 0.44"/></actuator></mujoco>"""
TURNED = {
    "z negative": ("", "0.03 0 -0.05"),
    "z positive": ('euler="180 0 0"', "0.03 0 0.05"),
    "x positive": ('euler="0 90 0"', "0.05 0 0.03"),
    "x negative": ('euler="0 -90 0"', "-0.05 0 -0.03"),
}
"""How the axes of a hanging segment are turned, and in these axes its muscle's insertion, at one place in the world, by
the direction in which the segment is pressed."""


@pytest.mark.parametrize("way", TURNED)
def test_where_muscles_press_is_said_in_the_axes_of_the_segment(way, tmp_path):
    """The segment hangs, whichever way its axes point: the one above pushes it down against what muscles pull up."""
    turned, insertion = TURNED[way]
    path = tmp_path / "hinge.xml"
    path.write_text(HINGE.format(turned=turned, insertion=insertion))
    said, _ = axes_in_words(msm.load_model(path))
    assert f"force on shank by world, along the axes of shank; muscles that press the joint together make {way}" in said


def test_a_prediction_ends_in_what_it_is_worth(made, person):
    """By its error beside others' where moments were recorded; else by its band and what was missed elsewhere."""
    _, result, _ = person
    (elbow,) = (s for s in conclusion(made, result) if "elbow_flex" in s)
    assert "trial1: no moment of elbow_flex was recorded to judge by. Its 95 % band is ± " in elbow
    unseen = Fit("t", "held-out", "moment", "elbow_flex", "N·m", 9.0, 3.0, 0.9, 8.0)
    assert "were missed by 3 N·m." in conclusion(made, replace(result, fits=(unseen,)))[made.free.index("elbow_flex")]
    fit = Fit(
        "trial1", "predicted", "moment", "elbow_flex", "N·m", 9.0, 3.0, 0.9, 8.0, {"mean cycle": 2.0, "ridge": 5.0}
    )
    judged = replace(made, fits=(fit,), recorded_moment=made["moment"].value + 0.01)

    def of(fits, own=fit):
        given = replace(judged, fits=(own,))
        return conclusion(given, replace(result, fits=fits))[made.free.index("elbow_flex")]

    assert "misses the recorded moment of elbow_flex by 3 N·m (root mean square; it has a standard" in of(())
    assert "standard deviation of 8 N·m); the generic model" in of(())
    assert "the generic model misses it by 9 N·m, mean cycle, the best without a person, by 2 N·m" in of(())
    assert "for the moment alone mean cycle is the better. The 95 % band holds 100 % of it." in of(())
    named = of((replace(fit, role="identify"),))
    assert "identified from a trial of this name: if this is it, that is a fit, and no prediction" in named
    assert "A constant would do better" in of((), replace(fit, identified=9.0))
    assert "no regression beside" in of((), replace(fit, beside={}))


def test_whether_a_prediction_is_a_fit_is_not_told_by_names(made, person):
    fit = Fit("trial1", "predicted", "moment", "elbow_flex", "N·m", 9.0, 3.0, 0.9, 8.0)
    judged = replace(made, fits=(fit,), recorded_moment=made["moment"].value)
    of = replace(person[1], fits=(replace(fit, role="identify"),))
    for seen in (True, False):
        said = conclusion(replace(judged, seen=seen), of)[made.free.index("elbow_flex")]
        assert ("identified from this recording: that is a fit, and no prediction" in said) == seen
        assert "of this name" not in said


def test_a_held_contraction_is_judged_by_how_large_it_is(made, person):
    """5 N·m of 60 is near, though a constant varies by 3 only; a fifth is where that ends."""
    fit = Fit("trial1", "predicted", "moment", "elbow_flex", "N·m", 9.0, 5.0, 0.9, 3.0, held=True, level=60.0)

    def of(own):
        judged = replace(made, fits=(own,), recorded_moment=made["moment"].value)
        return conclusion(judged, person[1])[made.free.index("elbow_flex")]

    near, far, moved = of(fit), of(replace(fit, identified=13.0)), of(replace(fit, held=False))
    assert "it was held at 60 N·m and has a standard deviation of 3 N·m" in near
    assert "do not believe" not in near
    assert "more than 20 % of what was held: do not believe this prediction" in far
    assert "constant" not in far
    assert "A constant would do better: do not believe this prediction" in moved


def test_others_learn_only_from_what_the_person_was_identified_from(person, arm):
    _, result, trial = person
    moment = {"moment_coordinates": arm.free, "moment": np.stack([np.sin(9 * trial.time), np.cos(9 * trial.time)], 1)}

    def of(name, digest):
        return replace(trial, name=name, metadata={"digests": (digest,)}, **moment)

    result = replace(result, hashes={"a.sto": "a", "subject.toml": "s"}, recordings={"walk": ("a.sto",)})
    theirs, stranger, again = of("walk", "a"), of("walk", "b"), of("again", "a")
    judged = msm.predict(result, of("new", "c"), model=arm, draws=2, learnt_from=(theirs, stranger))
    assert "ridge" in " ".join(judged.fits[0].beside)
    assert judged.seen is False
    alone = msm.predict(result, of("new", "c"), model=arm, draws=2, learnt_from=(stranger,))
    assert not alone.fits[0].beside
    fitted = msm.predict(result, again, model=arm, draws=2, learnt_from=(theirs,))
    assert fitted.seen is True
    assert not fitted.fits[0].beside
    assert not fitted.fits[0].held
    still = replace(of("new", "c"), position=np.tile(trial.position[200], (len(trial.time), 1)), velocity=None)
    assert msm.predict(result, still, model=arm, draws=2).fits[0].held


@pytest.mark.parametrize("which", ["arm", "knee"])
def test_contact_force_is_that_of_free_body_diagrams_in_c(which, request):
    """Resultant of mj_rnePostConstraint less the pull of every path across the joint, point by point of its way."""
    model = request.getfixturevalue(which)
    rng, m = np.random.default_rng(0), model.host.mj_model
    d = mujoco.MjData(m)
    low, high = (0.2, 0.9) if which == "arm" else (-0.1, 0.6)
    q, v, a = rng.uniform(low, high, (4, m.nv)), rng.normal(size=(4, m.nv)), 5 * rng.normal(size=(4, m.nv))
    tension = rng.uniform(50, 500, (4, m.nu))
    with float64():
        found = crossing(model, q, v, a)
        inertia = np.asarray(spatial_inertia(model.nominal.body))
    ours = np.einsum("nckb,kb->nc", found.regressor, inertia) - np.einsum("ncm,nm->nc", found.muscle_arm, tension)
    for k in range(4):
        d.qpos[:], d.qvel[:] = q[k], v[k]
        mujoco.mj_fwdPosition(m, d)
        mujoco.mj_fwdVelocity(m, d)
        d.qacc[:] = a[k]
        mujoco.mj_rnePostConstraint(m, d)
        for j, joint in enumerate(model.free):
            body = int(m.jnt_bodyid[m.joint(joint).id])
            force = d.cfrc_int[body][3:].copy()
            for i in range(m.nu):
                force -= tension[k, i] * pull(m, d, int(m.actuator_trnid[i, 0]), body)
            expected = d.xmat[body].reshape(3, 3).T @ force
            np.testing.assert_allclose(ours[k, 3 * j : 3 * j + 3], expected, atol=1e-6 * np.abs(expected).max())


def pull(m, d, tendon, body):
    """Force of a unit tension on everything beyond the joint of `body`: unit vectors where its way leaves that."""

    def beyond(b):
        while b and b != body:
            b = m.body_parentid[b]
        return b == body

    sites = iter([
        int(m.site_bodyid[m.wrap_objid[w]])
        for w in range(m.tendon_adr[tendon], m.tendon_adr[tendon] + m.tendon_num[tendon])
        if m.wrap_type[w] == mujoco.mjtWrap.mjWRAP_SITE
    ])  # fmt: skip
    way, points, over = [], d.wrap_xpos.reshape(-1, 3), d.wrap_obj.ravel()
    for p in range(d.ten_wrapadr[tendon], d.ten_wrapadr[tendon] + d.ten_wrapnum[tendon]):
        way.append((points[p], beyond(int(m.geom_bodyid[over[p]]) if over[p] >= 0 else next(sites))))
    force = np.zeros(3)
    for (here, inside), (there, too) in pairwise(way):
        if inside != too:
            inner, outer = (here, there) if inside else (there, here)
            force += (outer - inner) / np.linalg.norm(outer - inner)
    return force


def test_what_is_missing_is_named(person, arm):
    _, result, trial = person
    with pytest.raises(msm.InputError, match="no EMG channel"):
        msm.predict(result, replace(trial, channels=trial.channels[1:], emg=trial.emg[:, 1:]), model=arm)
    with pytest.raises(msm.InputError, match="draws"):
        msm.predict(result, trial, model=arm, draws=1)


def test_how_much_of_a_recorded_moment_the_band_holds(made):
    k, curves = 0, made["moment"]
    recorded = curves.value.copy()
    recorded[::2, k] = curves.high[::2, k] + 1.0
    recorded[1::4] = np.nan
    seen = np.isfinite(recorded[:, k])
    share = (~(np.arange(len(recorded)) % 2 == 0))[seen].mean()
    assert replace(made, recorded_moment=recorded).held(made.free[k]) == pytest.approx(share)
    assert np.isnan(replace(made, recorded_moment=None).held(made.free[k]))
