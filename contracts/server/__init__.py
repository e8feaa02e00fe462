"""Judge a server: does it keep what its provider's documents promise?

spec            a provider with its documents: templates, links, errors
extract         where facts (a task's id, its status) are in an answer, by the templates
budget          what may be spent: a request that could cost more is not sent
pacing          how to wait: in real time, or by advancing a mock server's clock
call            a request and its answer
refusals        which of the provider's errors an answer is
client          sends every request, and records it
receiver        receives callbacks
evidence        everything that was observed
targets         requests about tasks, written from the spec
probe           requests that must be refused
tasks           tasks from submit to file
conformance     schemathesis over every operation
clauses         one rule each, a function over the evidence
judge           all of this
"""
