"""Ways to step any task: one person for Gymnasium (C), many at once (JAX), pure functions, stable-baselines3.

Another library's interface is a file here. Imports from all rooms up to `tasks`.
"""
