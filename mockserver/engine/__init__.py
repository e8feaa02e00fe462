"""The engine decides; the edge performs.

State, a request and now go in; an outcome comes out. Nothing in this package knows sockets, a wall
clock, tasks of an event loop or unseeded chance (tests/test_architecture.py holds it to that).
"""
