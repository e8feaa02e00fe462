"""Result files that players accept, of the requested length and size.

shape     media type, length and size of a file, worked out from an API's terms; the duration of an MP4 file
encode    writes a file: PyAV where it is installed, else a ready-made clip; WAV needs neither
cache     keeps files and encodes each once, beside the event loop
"""
