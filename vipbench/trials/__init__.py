"""Steps 1 and 2: which samples a run asks, under which styles, and the requests made of them.

`selection` resolves names, `make` turns the data into trials, `check` and `marks` try the same
without a model.
"""
