"""Runs a client as it is: `mockserver exec` gives a command the environment in which it reaches the mock.

java           a trust store for Java
environment    the variables that lead a client to a server, and let it trust its certificates
formats        the same as text: for a shell, a Dockerfile, a GitHub workflow
supervisor     a separate program: starts a command, and stops all of its processes at the end
process        run a command under the supervisor, with its terminal and its signals
namespaces     network and mount namespaces of Linux: nothing outside can be reached
hashed         directories of CAs, as OpenSSL reads them
lookout        names in there: what is asked for, and is refused
isolation      `--isolate`: both together
summary        what the client did
"""
