"""The edge performs what the engine decides: sockets, bodies, callbacks, files, the control plane.

build              loads the providers of the settings and starts a server
server             starts and closes what serves on one socket
connection         aiohttp's connection, with a faster way for plain requests
arrival            how a connection came: with TLS, through a tunnel
tls                TLS on the same port, with a certificate for each name
hosts              the hosts that are mocked, allowed and refused
proxy              the server as its clients' proxy: CONNECT and absolute form
relay              a tunnel between two connections
resolver           resolves host names, and keeps the allowed addresses
access             who may use the control plane, and who may make a session
addressing         finds the provider and the session that a request is for
following          requests that stay open while their task goes on
exchange           answers a request: engine in, bytes and journal entry out
multipart          reads multipart bodies
request_body       reads bodies, with limits on size and time
http_bytes         writes responses as HTTP/1.1
faulty_response    sends a response as faults want it: cut, slow, reset
files              serves result files, with ranges and conditions
runtime            the state of one session, and every command on it
sessions           the named sessions of a server
dispatcher         delivers callbacks
active_scenario    puts a scenario in force and reports its progress
watch              reloads a scenario file when it changes
rule_codec         reads fault requests, and describes rules as JSON
account_changes    checks and applies changes to an account
records            providers, tasks, accounts and deliveries as JSON
admin/             the control plane, under /__admin/
live/              the live page, under /__admin/ui
"""
