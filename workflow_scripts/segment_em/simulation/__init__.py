"""A simulated YouTube-8M, written as genuine record files in the official format.

docs/simulation.md states every parameter and the public figure that it matches. Three layers:
settings.py; world.py, what is drawn from them once (classes, their looks, their company); and
video.py, a video from a stream of random numbers of its own: its course (course.py), its labels
and ratings (answers.py) and its frames (features.py). So any file of any split can be written again
alone, byte for byte (writing.py).

Classes are numbered 0..K-1 by popularity here; `World.class_ids` gives their vocabulary ids.
"""
