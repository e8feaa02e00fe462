"""Kinds of task, and tasks that go on from another one: the gate that finds the parent of a submit.

A child's input has the fields of its parent's, where its own body has none.
"""

from __future__ import annotations

from dataclasses import replace

from mockserver.engine.context import RequestContext
from mockserver.engine.render import Refused
from mockserver.engine.task import Parent
from mockserver.provider import Model, Operation, Problem


def parent(context: RequestContext) -> Refused | None:
    """Is there the task that the submit goes on from, of this account, and is it far enough?"""
    operation = context.operation
    assert operation is not None
    rule = operation.parent
    assert rule is not None
    task_id, state = rule.task(context), context.state
    if not isinstance(task_id, str) or not task_id:
        return None  # the schema says whether there may be none
    matches = state.provider.task_id_matches
    if matches is not None and not matches(task_id):
        return "malformed_task_id", Problem("the task id is not well-formed", rule.field)
    task = state.tasks.get(task_id)
    if task is None or task.account is not context.account or rule.kind not in (None, task.model.kind):
        return "unknown_parent", Problem("there is no such task", rule.field)
    context.set_task(task)
    status = context.status
    if status.status not in rule.states if rule.states is not None else not (status.ended and _succeeded(context)):
        context.task = None
        return "parent_not_ready", Problem(f"the task is {status.status}", rule.field)
    context.inputs = None
    context.parent = Parent(task.id, task.model.name, task.model.kind, task.body, context.input)
    context.task = context.inputs = None
    return None


def _succeeded(context: RequestContext) -> bool:
    return context.task is not None and context.task.end.kind == "success"


def model_of(model: Model, operation: Operation) -> Model:
    """Return a model as an operation makes tasks with it."""
    kind = operation.kind
    if kind is not None:
        model = replace(
            model,
            kind=kind.name,
            lifecycle=kind.lifecycle,
            states=kind.lifecycle.states,
            result=kind.result or model.result,
            reserve_ucr=kind.reserve_ucr or model.reserve_ucr,
            settle_ucr=kind.settle_ucr if kind.reserve_ucr else model.settle_ucr,
        )
    return model if operation.request is None else replace(model, request=operation.request)


def is_of_kind(operation: Operation, model: Model) -> bool:
    """Tell whether an operation is for the tasks of a model."""
    return operation.kind is None or operation.kind.name == model.kind
