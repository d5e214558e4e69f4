"""A person as a model: physical parameters, muscle laws, bodies and joints, export to MJCF, tables of segments.

A muscle law is a class in `muscle`; what is known of bodies from height, mass and sex is `anthropometry`.
Imports from `common`.
"""
