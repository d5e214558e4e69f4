"""What every room needs and no science is in: errors, files, interrupts, TOML, how this package compiles JAX.

Imports nothing of the package.
"""
