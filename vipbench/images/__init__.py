"""From a request to pixels: opens an image, draws marks on it, fits it to the model's square.

`load` takes a request all the way; `draw` has one function a shape, `fit` pads, squashes or crops,
`visibility` measures what is left of a mark. Nothing here knows a prompt, a task or a run.
"""
