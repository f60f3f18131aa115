"""A run from settings to rows: `loop` is read aloud, its steps have a file each.

`prepare` makes the requests, `resume` finds what an earlier run left to do, `ask` has the model
answer, `score` scores; `dry_run`, `seeds` and `merge` are runs of another kind.
"""
