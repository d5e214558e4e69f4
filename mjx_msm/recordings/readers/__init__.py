"""Readers for the files a laboratory has, one file a format.

`reading.read_table` takes a file for one of the formats in its table, says why, and reads it as a `table.Table`. A new
format is a new file here, with its reader and its `formats.Format`, and an entry in that table. `text` is what formats
written as text share.
"""
