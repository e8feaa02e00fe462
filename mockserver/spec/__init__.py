"""Read, check and compile specs from YAML to providers. This code does not run while requests are served."""
