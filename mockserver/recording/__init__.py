"""Recorded traffic, read from journals and HAR files.

values    exchanges and deliveries
headers   headers that come with any answer
har       HAR files into records
files     files into records
records   records into exchanges and deliveries
courses   exchanges and deliveries into courses of tasks, for a replay
"""
