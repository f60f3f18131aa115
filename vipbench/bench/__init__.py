"""How fast a machine answers: vipbench beside the two ways that are common.

`driver.bench` measures and writes the report; each measurement is a process of its own, `ways`,
with its own threads and its own peak of memory.
"""
