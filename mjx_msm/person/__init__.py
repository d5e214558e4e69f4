"""A person as a model: physical parameters, muscle laws, bodies and joints, export to MJCF, tables of segments.

A muscle law is a class in `muscle`; which parameters are estimated is `space`, and how each kind is, `kinds`. `model`
loads MJCF, `inspection` asks a model about itself; `anthropometry` is what height, mass and sex say of bodies.
Imports from `common`.
"""
