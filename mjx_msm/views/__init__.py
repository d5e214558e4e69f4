"""What people look at: films of models and figures of results.

Imports from all rooms up to `knowledge`.
"""
