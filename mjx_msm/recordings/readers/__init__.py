"""Readers for the files a laboratory has, one file a format.

`reading.read_contents` takes a file for one of the formats in its table, says why, and reads it as `contents.Contents`:
blocks of columns with names, units (in `units`), and a clock where the format has one. `timing` finds
their time, or makes it of a rate; `reading.read_tables` does both, and returns a `table.Table` for every clock. A new
format is a new file here, with its reader and its `formats.Format`, and an entry in that table. `text` is what formats
written as text share.
"""
