"""Judge a client: run it in many situations, in process or as a command."""
