"""A run from settings to rows: `loop` is to be read aloud, and its steps have a file each.

`prepare` makes the requests, `resume` finds what is left of an earlier run, `ask` loads the model
and has it answer, `score` scores; `dry_run`, `seeds` and `merge` are runs of other kinds.
"""
