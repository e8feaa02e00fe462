"""The other direction: a verdict on a server, by what its provider's documents promise.

spec       a provider with its documents: which templates, which links, which errors
places     where facts (a task's id, its status) stand in an answer, by the templates
purse      what may be spent: nothing that could cost more goes out
pace       waiting: in real time, or by moving a mock server's clock
wire       the one door to the server: every request, timed and written down
receiver   where callbacks arrive
visit      what the judge does there: probes, and tasks led from submit to file
evidence   what came of it
shapes     schemathesis over every operation
laws       one rule each, a function over the evidence
verdicts   all laws over the evidence
command    `contracts provider`
"""
