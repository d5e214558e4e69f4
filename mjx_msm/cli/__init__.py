"""The command line `mjx-msm`. The only place that prints.

Imports from every room.
"""
