"""What steps a world: C MuJoCo for one person, JAX for many at once or for derivatives.

`World` is what they step, `Kinetics` what they show of it, `Drive` what they are told. Another engine is a file here.
Imports from no other room of `mjx_msm.envs`.
"""
