"""From YAML to a provider: reading, checking, compiling. Nothing here runs while requests are served."""
