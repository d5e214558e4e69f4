"""The road from recordings to a result: problem, stages, several starts, cross-validation, cohorts.

`identify` is the road; `problem` says what is asked, `search` tries several starts, `assembly` makes the result.
Imports from all rooms up to `knowledge`.
"""
