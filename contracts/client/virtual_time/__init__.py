"""Virtual time: client and server in one event loop, whose clock jumps to the next timer when nothing is left to do.

memory_transport    connections within the loop, without sockets
threads             threads that take part
patches             `time` and `socket` as clients see them
loop                the event loop, and its clock
"""
