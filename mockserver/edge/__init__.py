"""The edge performs what the engine decides: sockets, bodies, deliveries, files, the control plane."""
