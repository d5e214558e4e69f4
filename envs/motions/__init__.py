"""Motions that are asked for, over time: of a leg, of a beam. `Goal` is one at an instant.

Another motion to follow is a value in `leg_motions`, or a file here.
Imports from no other room of `mjx_msm.envs`.
"""
