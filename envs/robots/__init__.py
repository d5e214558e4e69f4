"""Robots without a person: the device, its kinematics, its own controllers, its sensors and commands.

Another robot is a file here (its mechanism a folder in `assets`), and a scene in `worlds` that joins it to a person.
Imports from `motions`, `engines`, `human`.
"""
