"""The one file a user writes: ``subject.toml`` → `Study`.

It says who was recorded, which model stands for them, where the recordings are, and what to estimate. Paths
are relative to the file; ``${NAME}`` and ``${NAME:-default}`` take environment variables. Unknown keys are
errors.

```toml
data = "recordings"          # folder of the files below; default: the folder of this file
units = "deg"                # of angles: "deg", "rad", or "auto" (default: as each file says, else rad)
time_column = "stamp"        # optional: for all files, or by kind, { motion = "stamp", emg = "t", moments = "Time" };
time_unit = { emg = "ms" }   # likewise: "s" (default), "ms", "us", "min", or "frames" with
sampling_rate = { emg = 2000.0 }  # [Hz], likewise: where there is no time, or it counts frames. One number is that of
                             # the longest sheet or variable of a file; those of half or a third of its rows are slower
gravity = "corrected"        # of a dynamometer: limb weighed out; "included": the model's limb is taken out
spikes = "masked"            # the default: samples of moments, 40 ms at most, that no joint makes; or "kept"
other_foot = "kept"          # the default; or "masked": moments of a leg while both ankles push, by a step on the other
                             # foot's force plate (OpenSim's names of both ankles' moments)

[columns]                    # model coordinate -> column; needed only where the names differ
knee_angle = "knee_angle_r"
hip_flexion = { column = "hip_r", scale = -1.0, units = "rad", offset = 0.0 }

[moment_columns]             # default: "<coordinate>_moment", else "<coordinate>", for every free coordinate
knee_angle = { column = "knee_moment", units = "Nm/kg" }     # also "Nmm/kg", "ft-lb", …; default: as the file says
# knee_angle = { column = "cell", units = "kgf", lever = 0.35 }  # a force so far from the joint [m], at a right angle;
#                                        lever = { mean = 0.35, sd = 0.03 }: estimated, as "strap/knee_angle/lever"

[subject]
name = "walker"
mass = 85.3                  # [kg]
height = 1.80                # [m], optional
sex = "male"                 # or "female", optional
age = 34                     # [years], optional: what a population's prior may depend on
scale = true                 # start from the model at this size (mjx_msm.scale); default: where a static trial is
                             # given, or height and sex, and the model is bundled; false: as the model's file has it
[subject.static]             # optional: a trial of standing still, whose distances give the lengths
file = "static.c3d"          # markers that the model has, too (its sites), need no more than static = "static.c3d"
shank = ["RKJC", ["RLM", "RMM"]]  # the joint centres at both ends: a marker, or the middle of several

[model]
source = "knee"              # "arm", "knee", an MJCF or OpenSim file, or "myo_sim:NAME" of the package myo-sim
# joints = ["knee_angle_r"]  # a part of it: joints to keep, `muscles` (default: those that the joints move), and where
# posture = { hip_flexion_r = 0.3 }  # the other joints are held, in `units`
# side = "left"              # mirrored: files of one side are of the right, unless their names end in _l
muscle = "mujoco"            # or "degroote", "thelen", "millard"; "mujoco-compliant", …: tendons yield
free = ["knee_angle"]        # simulated
prescribed = ["hip_flexion"] # follow the recording
locked = { ankle_angle = 0.0 }  # held, in `units` (rad if "auto")
[model.segments]             # optional, for segment_priors below: body of your own MJCF file -> what it stands for,
tibia = "shank"              # upper_arm, forearm, hand, thigh, shank or foot; or ["forearm", "hand"], stiff as one

[emg]
kind = "raw"                 # or "envelope" (default), used as it is
# unmeasured = "synergies"   # how "unmeasured" muscles do without EMG; or "effort", "projected": see mjx_msm.Settings
# synergies = 4              # of the measured EMG, for them: mjx_msm.recordings.synergies
[emg.processing]             # also high_pass, order, notch, rectify, clip; of an envelope: normalise, clip
low_pass = 6.0
normalise = "max"            # over all trials to identify; or a number; or { channel = number }
# [emg.noise]                # for residuals = ["motion"]: how far envelopes may be from what drives the muscles, see
# relative = 0.05            # mjx_msm.EmgNoise; default: they count as exact
# absolute = 0.02
# band = 6.0                 # [Hz]; use the envelope's low-pass
[emg.channels]               # optional short names: channel -> column
biceps = "Biceps.EMG4"
[emg.muscles]                # every muscle of the model -> channel, weighted channels, "unmeasured", or 0.0 if silent
BIClong = "biceps"
BRA = { biceps = 0.5, triceps = 0.5 }

[sampling]                   # all optional
lead_in = 0.3                # EMG to keep before the motion [s]
max_gap = 0.05               # longest run of missing samples to interpolate [s]
motion_cutoff = 6.0          # zero-phase low-pass of the angles [Hz]; default: none

[[trials]]
name = "walk"
motion = "coordinates.sto"   # or any other file that `mjx_msm.recordings.readers` knows; the same one may be all three
emg = "emg.c3d"
moments = "id.sto"           # needed by the "moment" residual
role = "identify"            # or "held-out", to judge by; "predict", which needs no moments; or "normalise": EMG of
                             # greatest effort, whose envelope counts as 1 (a channel's maximum over all such trials)
# posture = { knee_angle = 90.0 }  # in the place of a motion: where all coordinates were held (isometric), in `units`
task = "walk"                # optional, for cross-validation by task: trials of one task; default: none
start = 0.5                  # [s], optional, like stop
time_offset = { emg = 0.02 } # added to a file's time [s], optional
# mask = { moments = [[28.4, 28.7]] }  # stretches of the trial's time that are left out [s]; also of motion
# channels = { biceps = "EMG 5" }  # likewise: columns of channels that are others in this trial; 0.0: silent in it
# columns, moment_columns, units, time_column, time_unit, sampling_rate, gravity, spikes, other_foot: as above

[identify]
free = ["muscle/*/max_isometric_force", "emg/*/gain", "emg/*/delay"]
residuals = ["moment"]       # "acceleration", "moment", "motion"
tied = ["emg/*/delay"]       # optional: patterns whose members share one unknown
starts = 4                   # optional: starting points, all but the first drawn from the prior
rate = 200.0                 # of the common clock [Hz]
loss = "normal"              # or "student": moments that nothing explains hardly count
held = "uncertain"           # the default: intervals allow for what is not free; "exact" where that is known
bounds = { "muscle/*/tendon_slack_length" = { factor = [0.9, 1.1] } }  # or { range = [lo, hi] }
priors = { "emg/*/gain" = { mean = 0.5, sd = 0.2 } }                   # or { relative_sd = 0.1 }, or "none"
# prior = "population.json"  # optional: what a population expects of a person of this height, mass, age and sex, in
#                              the place of the usual priors and of `priors` (mjx_msm.knowledge.population)
segment_priors = true        # the default where height and sex are given; false: bodies are like the model's
```

With `segment_priors`, the mass, centre of mass and inertia of every free body that stands for a segment are expected to
be those of a person of this mass, height and sex (`mjx_msm.person.anthropometry`); the bodies of "arm" and "knee" are
known.
`priors` come after them: a pattern there overrides what it says. Bounds that are not given follow the prior's mean.
The prior mean of an inertia, for "body/<name>/inertia", is a list of six numbers: xx, yy, zz, xy, xz, yz.
"""
