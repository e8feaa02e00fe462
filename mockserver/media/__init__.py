"""Short ready-made clips, handed out where PyAV is not installed.

`python -m mockserver.media.make` writes them anew.
"""
