"""The control plane, under /__admin/: shows and controls a running server. `edge/access.py` says who may use it.

api         matches a request with control-plane.yaml, validates it and calls its handler
handlers/   one function for each operation of control-plane.yaml
"""
