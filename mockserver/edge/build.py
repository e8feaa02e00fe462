"""Starts a server from settings: loads the providers and checks the settings against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mockserver.edge.runtime import receivers_tls, targets_of
from mockserver.edge.server import Server
from mockserver.engine.models import documented_model
from mockserver.engine.signing import secret_problem
from mockserver.engine.targets import url_problem
from mockserver.provider import Provider
from mockserver.settings import ConfigError, ProviderSettings, Settings
from mockserver.spec.catalog import load_providers
from mockserver.spec.words import suggestion


async def start_server(settings: Settings) -> Server:
    """Start the server that settings describe.

    Raises:
        ConfigError: a setting does not match the providers.
        SpecError: a spec is invalid.
        OSError: the address cannot be listened on.
    """
    return await Server.start(settings, providers_of(settings))


def providers_of(settings: Settings) -> list[Provider]:
    """Load the providers that settings describe, and check the settings against them.

    Raises:
        ConfigError: a setting does not match the providers.
        SpecError: a spec is invalid.
    """
    dialects = {name: each.dialects for name, each in settings.providers.items() if each.dialects}
    providers = load_providers(settings.spec, builtin=settings.builtin, dialects=dialects, only=settings.only)
    known = {provider.name: provider for provider in providers}
    for name, each in settings.providers.items():
        if settings.only is not None and name != settings.only:
            continue
        _check_provider(name, each, known)
        _check_aliases(f"providers.{name}.model_alias", each.model_alias, [known[name]])
    for provider in providers:
        _check_webhook(provider, settings)
    _check_aliases("model_alias", settings.model_alias, providers)
    _check_files(settings)
    return providers


def _check_provider(name: str, settings: ProviderSettings, known: Mapping[str, Provider]) -> None:
    if name not in known:
        raise ConfigError(f"providers.{name}: unknown provider; known: {', '.join(known)}")
    if settings.plan is not None and settings.plan not in known[name].plans:
        plans = ", ".join(known[name].plans)
        raise ConfigError(f"providers.{name}.plan: must be one of {plans}; got {settings.plan!r}")


def _check_webhook(provider: Provider, settings: Settings) -> None:
    own, callbacks = settings.provider(provider.name), provider.callbacks
    url, secret = own.webhook_url or settings.webhook_url, own.webhook_secret or settings.webhook_secret
    for name, value, given in (("webhook_url", url, own.webhook_url), ("webhook_secret", secret, own.webhook_secret)):
        if value is None:
            continue
        setting = name if given is None else f"providers.{provider.name}.{name}"
        if callbacks is None:
            if given is not None:
                raise ConfigError(f"{setting}: {provider.title} sends no callbacks")
            continue
        problem = (
            url_problem(value, callbacks.target, targets_of(settings))
            if name == "webhook_url"
            else None
            if callbacks.signature is None
            else secret_problem(callbacks.signature, value)
        )
        if problem is not None:
            raise ConfigError(f"{setting}: {problem}, at {provider.title}; set it in [providers.NAME]")


def _check_aliases(setting: str, aliases: Mapping[str, str], providers: Sequence[Provider]) -> None:
    for name, model in aliases.items():
        meant = [each for each in providers if documented_model(each, None, model) is not None]
        if not meant:
            fix = suggestion(model, (known for each in providers for known in each.models))
            raise ConfigError(f"{setting}: {name}={model}: there is no model {model!r}; {fix}")
        if any(name in each.models for each in meant):
            raise ConfigError(f"{setting}: {name}={model}: {name!r} is itself the name of a model")


def _check_files(settings: Settings) -> None:
    """Check the files that settings name, before the server listens."""
    if settings.watch and settings.scenario is None:
        raise ConfigError("watch: requires a scenario file; set `scenario`")
    try:
        receivers_tls(settings.callback_ca)
    except OSError as error:
        problem = error.strerror or "no certificates in it"
        raise ConfigError(f"callback_ca {settings.callback_ca}: not a readable CA file: {problem}") from None
    if settings.journal is not None:
        try:
            Path(settings.journal).open("ab").close()
        except OSError as error:
            raise ConfigError(f"journal {settings.journal}: not writable: {error.strerror}") from None
