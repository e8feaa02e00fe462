"""The journal: the single record of what went over the wire.

journal     keeps exchanges and delivery attempts; finds and counts them, writes NDJSON
file        the file that the journal is appended to
record      an entry as the JSON record of specs/journal.schema.json
redaction   replaces keys and secrets in what is written out
har         exchange records as an HTTP archive
"""
