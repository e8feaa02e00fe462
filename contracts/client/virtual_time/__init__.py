"""Virtual time: a client and a server in one event loop, whose clock jumps as soon as nobody has anything to do.

loop        the event loop, and its clock
wires       connections within the loop, without sockets
hands       threads that take part
patches     `time` and `socket` as clients see it meanwhile
"""
