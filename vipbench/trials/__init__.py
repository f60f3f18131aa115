"""From tasks and styles to trials: which samples a run asks, and the requests made of them.

`selection` resolves the names of tasks, suites and styles; `make` turns the data into trials;
`by_image` shares work out by image, over processes; `check` reads all data of a task without a
model and lists what is wrong with them; `visibility` measures what fitting leaves of the marks.
"""
