"""From a subject file to its result folder: what the command line and the examples do with `subject.toml`.

Imports from all rooms up to `views`.
"""
