"""Ways to step any task: one person in Gymnasium's words (C), many at once (JAX), and as pure functions.

Another library's interface is a file here. Imports from all rooms up to `tasks`.
"""
