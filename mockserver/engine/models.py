"""Which model a name stands for: the one of that name, or the one whose shape and price it is served with.

By the spec a model has aliases and patterns; a user may map further names, or let every name be served by the
nearest model. Nearest is the model with most words in common (`gemini-omni-pro` has `gemini` and `omni` in common with
`gemini_omni`), then the fewest words that the name lacks, then the longest common beginning, then one whose schema
accepts the body, then the first of the spec.
`Models` is the main type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from itertools import takewhile
from shlex import quote
from typing import Any

from mockserver.provider import ANYTHING, BodyForm, Model, Operation, Provider, ProviderRules, Schema

_WORD = re.compile(r"[a-z]+|[0-9]+")
#: How many names that stand for a model are remembered.
_KEPT = 1000
#: A longer name is not repeated.
_LONGEST_TOLD = 80


def documented_model(provider: Provider, operation: Operation | None, name: str) -> Model | None:
    """Return the model that a name stands for by the spec: by its own name, an alias or a pattern."""
    models = provider.models
    if name in models:
        return models[name]
    found = next((each for each in models.values() if name in each.aliases), None)
    found = found or next((each for each in models.values() if each.answers_to(name)), None)
    return None if found is None else served_as(found, name, () if operation is None else operation.model_keys)


def aliases_for(provider: Provider, aliases: Mapping[str, str]) -> dict[str, str]:
    """Return those of some aliases that stand for a model of this provider."""
    return {name: model for name, model in aliases.items() if documented_model(provider, None, model) is not None}


def nearest(provider: Provider, name: str, body: Any, keys: tuple[str, ...]) -> Model:
    """Return the model whose name is nearest to an unknown one."""
    wanted = name.lower()
    words = set(_WORD.findall(wanted))

    def nearness(model: Model) -> tuple[int, int, int, bool]:
        known = model.name.lower()
        own = set(_WORD.findall(known))
        begins = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(wanted, known, strict=False)))
        return len(words & own), -len(own - words), begins, model.request.accepts(_renamed(body, keys, model.name))

    return max(provider.models.values(), key=nearness)


def served_as(model: Model, name: str, keys: tuple[str, ...]) -> Model:
    """Return a model of another name with the shape and price of this one.

    Args:
        model: the model of the documents.
        name: what the client calls it.
        keys: where the body names it.
    """
    known, request = model.name, model.request

    def with_defaults(body: Any) -> Any:
        return _renamed(request.with_defaults(_renamed(body, keys, known)), keys, name)

    def priced(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def value(context: Any) -> Any:
            own = copy(context)
            own.body, own.inputs = _renamed(context.body, keys, known), _renamed(context.input, keys, known)
            return function(own)

        return value

    return replace(
        model,
        name=name,
        request=Schema(
            lambda body: request.accepts(_renamed(body, keys, known)),
            lambda body: request.problems(_renamed(body, keys, known)),
            with_defaults,
            request.unknown_fields,
            request.missing_field,
        ),
        reserve_ucr=priced(model.reserve_ucr),
        settle_ucr=None if model.settle_ucr is None else priced(model.settle_ucr),
        result=priced(model.result),
        served_as=known,
    )


def _renamed(body: Any, keys: tuple[str, ...], name: str) -> Any:
    """Return a body that names another model at these keys; the same body where it names none there."""
    if not keys or not isinstance(body, dict) or keys[0] not in body:
        return body
    first, *rest = keys
    return {**body, first: _renamed(body[first], tuple(rest), name) if rest else name}


class Models:
    """The models that a provider serves, by the names that clients use."""

    __slots__ = ("_aliases", "_any", "_known", "_provider")

    def __init__(self, provider: Provider, rules: ProviderRules) -> None:
        self._provider = provider
        self._any = rules.any_model
        self._aliases: Mapping[str, str] = rules.model_alias
        self._known: dict[tuple[str, str], Model] = {}

    def find(self, operation: Operation, name: str, body: Any) -> Model | None:
        """Return the model that a body is to be served with; None if the name stands for none."""
        model = self._provider.models.get(name)
        if model is not None:
            return model
        known = self._known.get((operation.id, name))
        if known is not None:
            return known
        target = self._aliases.get(name)
        if target is not None:
            found = documented_model(self._provider, None, target)
            found = None if found is None else self._provider.models[found.shape]
        else:
            found = documented_model(self._provider, operation, name)
            if found is None and self._any and name:
                return served_as(nearest(self._provider, name, body, operation.model_keys), name, operation.model_keys)
        if found is None:
            return None
        if not found.served_as:
            found = served_as(found, name, operation.model_keys)
        if len(self._known) < _KEPT:
            self._known[operation.id, name] = found
        return found

    def of_operation(self, model: Model, operation: Operation, form: BodyForm | None) -> Model:
        """Return a model with the request that an operation declares for the media type of a body."""
        place = f"{operation.id} {'' if form is None else form.media_type}"
        known = self._known.get((place, model.name))
        if known is not None:
            return known
        request = ANYTHING if form is None or form.schema is None else form.schema
        found = replace(self._provider.models[model.shape], request=request)
        if model.served_as:
            found = served_as(found, model.name, operation.model_keys)
        if len(self._known) < _KEPT:
            self._known[place, model.name] = found
        return found

    def add_alias(self, operation: Operation, name: str, body: Any) -> None:
        """Serve a name that stands for no model like the nearest one."""
        if name and self.find(operation, name, body) is None:
            self._aliases = {**self._aliases, name: nearest(self._provider, name, body, operation.model_keys).name}

    def hint(self, name: str, body: Any, operation: Operation) -> str:
        """Say which switch would serve a name that stands for no model."""
        every = "--any-model serves every name as the nearest model"
        if not name.strip() or not name.isprintable() or len(name) > _LONGEST_TOLD:
            return every
        near = nearest(self._provider, name, body, operation.model_keys).name
        return f"{every}; --model-alias {quote(f'{name}={near}')} serves this one"
