"""What parses binary files, each in a process with limits: `process` and a parser a format.

The parsers import nothing of this package; `mjx_msm.recordings.readers.confined` runs them.
"""
