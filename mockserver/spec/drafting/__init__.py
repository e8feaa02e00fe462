"""Drafts an overlay for a document that nobody has annotated: what its operations are for, by method, path and schema.

Nothing here knows a provider. `fields` reads schemas, `states` words of a status, `candidates` ranks operations,
`replies` writes answers, `root` the provider, `draft` the operations, `writing` the text.
"""
