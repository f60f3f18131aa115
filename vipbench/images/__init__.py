"""Step 3: pixels. Opens images, draws marks on them, fits them to the square that a model sees.

`load` takes a request all the way; `draw` has one function a shape, `fit` pads, squashes or crops,
`visibility` measures what is left of a mark. Nothing here knows a prompt, a task or a run.
"""
