"""The engine: from activation to motion, and its derivatives, for a person of `mjx_msm.person`.

Bottom up: vectors, kinematics, muscle paths, geometry (all that no parameter changes), simulation, sensitivities.
`excitation` makes excitation of EMG. Imports from `common` and `person`.
"""
