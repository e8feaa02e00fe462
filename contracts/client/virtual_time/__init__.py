"""Virtual time: client and server in one event loop, whose clock jumps to the next timer when nothing is left to do.

memory_transport    connections within the loop, without sockets
threads             threads that take part
parts               which thread takes part
clocks              clocks in C
locks               `threading` and `queue`
waits               sockets and selectors
tls                 TLS, to hosts of the internet that are mocked here
patches             all of it, while a loop runs
loop                the event loop, and its clock
"""
