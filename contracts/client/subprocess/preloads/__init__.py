"""What is loaded into a command so that its time runs faster; see `time_scale`."""
