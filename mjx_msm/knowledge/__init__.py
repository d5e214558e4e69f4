"""What is known of a person afterwards, and beforehand: the result, its uncertainty, and both in words.

The result and its file, draws from the posterior, profile likelihood, design of experiments.
Imports from all rooms up to `estimation`.
"""
