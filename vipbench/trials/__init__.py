"""From tasks and styles to trials: which samples a run asks, and the requests made of them.

`selection` resolves names, `make` turns the data into trials, `check` and `marks` try the same
without a model.
"""
