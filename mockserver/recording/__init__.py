"""Recorded traffic, read from journals and HAR files.

values    exchanges and deliveries
har       HAR files into records
files     files into records
records   records into exchanges and deliveries
"""
