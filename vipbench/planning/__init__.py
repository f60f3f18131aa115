"""What a run will take, told before it: requests, published numbers, hours, memory, disk, money.

Loads no weights and asks nobody; what it assumes for lack of a measurement is said.
"""
