"""Names of columns as laboratories write them."""

import pytest

from mjx_msm.recordings.survey.spellings import COORDINATES, MODEL_MUSCLES, MUSCLES, called


@pytest.mark.parametrize(
    ("name", "muscle", "side"),
    [
        ("R RECTUS FEMORIS: EMG 1 (IM) [V]", "rectus_femoris", "right"),  # Delsys
        ("Avanti sensor 3: VL R", "vastus_lateralis", "right"),
        ("L_TibAnt", "tibialis_anterior", "left"),
        ("RTA", "", ""),  # one word that may be anything
        ("Trigno EMG/R_Soleus", "soleus", "right"),  # Vicon
        ("LT BICEPS FEM.,uV", "biceps_femoris", "left"),  # Noraxon
        ("Ultium EMG.LT VLO", "vastus_lateralis", "left"),
        ("L RECTUS FEMORIS: EMG 1 [V]", "rectus_femoris", "left"),  # EMGworks
        ("VL (81234)/EMG 1 (mV)", "vastus_lateralis", ""),  # Trigno Discover
        ("Devices/Trigno EMG - Voltage/VL", "vastus_lateralis", ""),
        ("vas_lat_r", "vastus_lateralis", "right"),  # OpenSim
        ("bifemlh_r", "biceps_femoris", "right"),
        ("med_gas_r", "gastrocnemius_medialis", "right"),
        ("gastrocnemius_lateralis", "gastrocnemius_lateralis", ""),
        ("medial_hamstrings", "medial_hamstrings", ""),
        ("Delt_ant.EMG1", "deltoid_anterior", ""),
        ("Biceps.EMG4", "biceps_brachii", ""),
        ("EMG_VL/column 1", "vastus_lateralis", ""),  # a workbook
        ("rectus_femoris [mV]", "rectus_femoris", ""),
    ],
)
def test_muscles(name, muscle, side):
    found = called(name)
    assert (found.muscles[:1] or ("",))[0] == muscle
    assert found.side == side
    assert found.coordinate == ""


@pytest.mark.parametrize(
    ("name", "coordinate", "side", "quantity"),
    [
        ("/jointset/walker_knee_r/knee_angle_r/value", "knee_angle", "right", ""),
        ("/jointset/hip_r/hip_adduction_r/value", "", "right", ""),
        ("knee_angle_r_moment", "knee_angle", "right", "moment"),
        ("Anna:LKneeAngles/x", "knee_angle", "left", ""),  # Plug-in Gait
        ("Anna:LKneeAngles/y", "", "", ""),
        ("Model Outputs/A:LKneeAngles/X", "knee_angle", "left", ""),
        ("Model Outputs/A:LKneeMoment/X", "knee_angle", "left", "moment"),
        ("LKneeMoment/x", "knee_angle", "left", "moment"),
        ("RAnkleAngles/x", "ankle_angle", "right", ""),
        ("hip_flexion_l", "hip_flexion", "left", ""),
        ("Right Knee Flexion", "knee_angle", "right", ""),
        ("elbow_flexion", "elbow_flex", "", ""),
        ("KneeFlexion (deg)", "knee_angle", "", ""),
        ("pelvis_tilt", "", "", ""),
        ("Kniewinkel rechts [°]", "knee_angle", "right", ""),  # not English
        ("Knie Drehmoment (Nm)", "knee_angle", "", "moment"),
        ("Hüftbeugung_li", "hip_flexion", "left", ""),
        ("Sprunggelenk Winkel", "ankle_angle", "", ""),
        ("genou droit", "knee_angle", "right", ""),
        ("momento rodilla izquierda", "knee_angle", "left", "moment"),
    ],
)
def test_joints(name, coordinate, side, quantity):
    found = called(name)
    assert (found.coordinate, found.side, found.quantity) == (coordinate, side, quantity)
    assert found.muscles == ()


def test_a_spelling_of_two_muscles_is_doubtful():
    assert called("GM").muscles == ("gastrocnemius_medialis", "gluteus_medius")


def test_the_tables_agree_with_each_other_and_the_models(arm, knee):
    spelt = [s for names in MUSCLES.values() for s in names]
    assert len(spelt) == len(set(spelt)), "a spelling stands for two muscles"
    for muscle in (*arm.muscles, *knee.muscles):
        options = [o for option in MODEL_MUSCLES[muscle] for o in option.split("+")]
        assert set(options) <= set(MUSCLES), muscle
    assert set(COORDINATES) == {*arm.coordinates, *knee.coordinates}
    for name, names in {**MUSCLES, **COORDINATES}.items():
        for s in names:
            found = called(s)
            assert name in (*found.muscles, found.coordinate), s
