"""What is asked of person and robot: a file a task, with its actions, observations, rewards and measures.

Another task is a `Task` in a file here, a line in `mjx_msm.envs` and a class in `environments`; its baselines go into
`controllers`. Imports from all rooms up to `worlds`.
"""
