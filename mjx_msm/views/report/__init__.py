"""The report of a result: one file that needs no network, interactive on a screen and complete on paper.

`page.report` makes the text of it, `page.save_report` writes it; `charts` holds what is drawn.
"""
