"""Scenarios: YAML files that script a sequence of faults and say what a good client does.

read            reads and checks scenario files; finds built-in ones
expectations    checks a scenario's expectations against the journal
gallery/        the built-in scenarios
"""
