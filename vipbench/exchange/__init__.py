"""The files of other programs: answers that are read from them, and written from a run."""
