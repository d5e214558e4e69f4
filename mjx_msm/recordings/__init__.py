"""What was recorded: files and their readers, EMG, trials, the subject file, trials on the model's clock.

A file format is a reader; a key of `subject.toml` is in the grammar of the subject file. Readers, EMG, trials and
the subject file do without JAX and MuJoCo. Imports from `common`, `person`, `dynamics`.
"""
