"""The state of one provider in one world: its accounts, tasks and files, and the links to them."""

from __future__ import annotations

import hashlib
import hmac
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, urlsplit

from mockserver.chance import DRAW_BYTES, Chance
from mockserver.engine.accounts import Account
from mockserver.engine.callbacks import Watch
from mockserver.engine.keeping import Shelf
from mockserver.engine.messages import REAL_HOST, StoredFile
from mockserver.engine.models import Models
from mockserver.engine.routes import Router
from mockserver.engine.targets import LOOPBACK_HOSTS
from mockserver.engine.task import Task, link_ends_s
from mockserver.provider import Provider, ProviderRules, ResultKind, TargetMode

#: Consecutive request ids differ in all their digits: each is the one before plus this, modulo the mask.
_STRIDE = int.from_bytes(hashlib.blake2b(b"stride", digest_size=DRAW_BYTES).digest(), "big") | 1
_MASK = (1 << (8 * DRAW_BYTES)) - 1


class NoKeyFormatError(ValueError):
    """A key was to be created, but the spec does not say what keys look like."""


class ProviderState:
    """The state of one provider. Its accounts are kept by API key."""

    __slots__ = (
        "_anonymous_base",
        "_evicting",
        "_file_ids",
        "_keys_created",
        "accounts",
        "accounts_by_header",
        "anonymous_requests",
        "chance",
        "files",
        "kept_answers",
        "kept_tasks",
        "kept_uploads",
        "links",
        "models",
        "provider",
        "recorded",
        "retired_keys",
        "router",
        "rules",
        "samples",
        "server_url",
        "targets",
        "task_faults",
        "tasks",
        "watches",
    )

    def __init__(
        self,
        provider: Provider,
        chance: Chance,
        rules: ProviderRules,
        targets: TargetMode,
        server_url: str,
        kept_tasks: Shelf,
        kept_uploads: Shelf,
    ) -> None:
        self.provider = provider
        self.kept_tasks = kept_tasks
        self.kept_uploads = kept_uploads
        self.targets = targets
        #: The names of the faults that changed a task, by task id.
        self.task_faults: dict[str, tuple[str, ...]] = {}
        self.server_url = server_url
        #: Content and headers of the answers that are examples, by operation; each is made when it is first wanted.
        self.samples: dict[str, tuple[bytes, tuple[tuple[str, str], ...]]] = {}
        self.chance = chance
        self.rules = rules
        self.router = Router(provider.routes)
        self.links: Links = Links(provider, chance, self.router)
        self.models = Models(provider, rules)
        #: Tells whether a submit is equal to, or like, one that was recorded and accepted; None without a replay.
        self.recorded: Callable[[Any, bool], bool] | None = None
        self.accounts: dict[str, Account] = {}
        self.tasks: dict[str, Task] = {}
        #: The requests that follow a task, by its id.
        self.watches: dict[str, list[Watch]] = {}
        self._evicting = _Tasks(self.tasks, self.task_faults)
        self.files: dict[str, StoredFile] = {}
        self._file_ids: dict[str, deque[str]] = {}
        self.anonymous_requests = 0
        self._anonymous_base = int.from_bytes(chance.draw(f"{provider.name}/requests"), "big")
        self.accounts_by_header: dict[str | None, Account] = {}
        #: Keys that a rotation has replaced, and the accounts that had them.
        self.retired_keys: dict[str, Account] = {}
        self._keys_created = 0
        #: The answers to submits with idempotency keys; see engine/idempotency.py.
        self.kept_answers: dict[bytes, Any] = {}

    def account(self, key: str, now_ms: int) -> Account:
        """Return the account of a well-formed key; it is opened on first use."""
        account = self.accounts.get(key) or self.retired_keys.get(key)
        if account is None:
            account = self._open_account(key, now_ms)
            self.accounts[key] = account
        return account

    def _open_account(self, key: str, now_ms: int) -> Account:
        provider = self.provider
        drawn = self.chance.draw(f"{provider.name}/account/{key}")
        plan = provider.plans[self.rules.plan or provider.default_plan]
        account = Account(provider.account_id(drawn, 0), key, plan, self.rules.webhook_secret)
        account.webhook_url = self.rules.webhook_url
        account.request_base = int.from_bytes(drawn, "big")
        granted_ucr = provider.ample_ucr
        if self.rules.credits == "documented" and provider.documented_ucr is not None:
            granted_ucr = provider.documented_ucr
        self._apply_test_key(account)
        account.grant(0 if provider.key.test_keys.get(key) == "no_credits" else granted_ucr, now_ms)
        return account

    def create_key(self, now_ms: int) -> Account:
        """Open an account with a new key.

        Raises:
            NoKeyFormatError: the spec does not say what keys look like.
        """
        return self.account(self._new_key(), now_ms)

    def rotate_key(self, account: Account) -> str:
        """Replace the key of an account, which keeps everything else; the old key is refused from now on.

        Raises:
            NoKeyFormatError: the spec does not say what keys look like.
        """
        old, new = account.key, self._new_key()
        self.retired_keys[old] = account
        self.accounts = {new if key == old else key: each for key, each in self.accounts.items()}
        self.accounts_by_header = {
            header: each for header, each in self.accounts_by_header.items() if each is not account
        }
        account.key, account.revoked = new, False
        return new

    def _new_key(self) -> str:
        form = self.provider.key.new_key
        if form is None:
            raise NoKeyFormatError(f"{self.provider.title}: the spec has a key_pattern, but no key_format for new keys")
        while True:
            drawn = self.chance.draw(f"{self.provider.name}/key/{self._keys_created}")
            self._keys_created += 1
            key = form(drawn, 0)
            if key not in self.accounts and key not in self.retired_keys:
                return key

    def _apply_test_key(self, account: Account) -> None:
        kind = self.provider.key.test_keys.get(account.key)
        account.revoked = kind == "revoked"
        if kind == "no_scope":
            account.plan = replace(account.plan, api=False)
        if kind == "rate_limited":
            account.plan = replace(account.plan, requests_per_minute=1)
            account.own_plan = True

    def account_by_id(self, account_id: str) -> Account | None:
        """Find an account by its public id."""
        return next((account for account in self.accounts.values() if account.id == account_id), None)

    def next_request_id(self, account: Account | None, unix_s: int) -> str:
        """Return the id of this request; it depends on the account and on how many requests it has made."""
        if account is None:
            self.anonymous_requests += 1
            base, ordinal = self._anonymous_base, self.anonymous_requests
        else:
            account.requests += 1
            base, ordinal = account.request_base, account.requests
        drawn = (base + ordinal * _STRIDE) & _MASK
        return self.provider.request_id(drawn.to_bytes(DRAW_BYTES, "big"), unix_s)

    def nothing_at(self, url: Any, base: str) -> bool:
        """Tell whether a URL leads to this provider on this server, where that file does not exist.

        Args:
            url: a URL that a client gives.
            base: what links begin with for this client.
        """
        try:
            parts = urlsplit(url) if isinstance(url, str) else SplitResult("", "", "", "", "")
            path = self._own_path(parts, base)
        except ValueError:
            return False
        if path is None:
            return False
        found = self.router.find("GET", path)
        if found.operation is None:
            return True
        role = found.operation.role
        if role == "file":
            stored = self.files.get(found.path_values.get("file_id", ""))
            return stored is None or found.path_values.get("file_name", stored.name) != stored.name
        if role == "result":
            names = [name for name, place, what in found.operation.address if (place, what) == ("path", "task")]
            return found.path_values.get(names[0] if names else "task_id") not in self.tasks
        return True

    def _own_path(self, parts: SplitResult, base: str) -> str | None:
        """Return the path of a URL within this provider; None where it leads elsewhere."""
        host = parts.hostname or ""
        for here in map(urlsplit, {self.server_url, base}):
            same_host = host == here.hostname or {host, here.hostname} <= LOOPBACK_HOSTS
            if same_host and parts.port == here.port and parts.path.startswith(f"{here.path}/"):
                return parts.path[len(here.path) :]
        uploads = self.provider.uploads
        if uploads is not None and host in self.provider.hosts:
            return parts.path if parts.path.startswith(uploads.path.partition("{")[0]) else None
        return None

    def keep(self, stored: StoredFile, account: Account) -> str:
        """Keep an upload; where the account has too many, its oldest is deleted. Return what the server evicted."""
        assert self.provider.uploads is not None
        self.files[stored.id] = stored
        ids = self._file_ids.setdefault(account.id, deque())
        ids.append(stored.id)
        while len(ids) > self.provider.uploads.keeps:
            self.files.pop(ids.popleft(), None)
        return self.kept_uploads.add(_Uploads(self.files), stored.id, len(stored.content))

    def keep_task(self, task: Task, size_bytes: int) -> str:
        """Keep a task; return what the server evicted."""
        self.tasks[task.id] = task
        return self.kept_tasks.add(self._evicting, task.id, size_bytes)

    def delete_task(self, task: Task) -> None:
        """Forget a task that its client has deleted."""
        self.kept_tasks.remove(self._evicting, task.id)
        self._evicting.forget(task.id)
        task.account.tasks.remove(task.id)


class _Tasks(NamedTuple):
    """The tasks of one provider. It does not refer to the state: that would be a cycle."""

    tasks: dict[str, Task]
    faults: dict[str, tuple[str, ...]]

    def evict(self, name: str) -> bool:
        """Forget a task, the oldest of its account."""
        del self.forget(name).account.tasks[0]
        return True

    def forget(self, name: str) -> Task:
        """Forget a task; its account still lists it."""
        self.faults.pop(name, None)
        return self.tasks.pop(name)


class _Uploads(NamedTuple):
    """The uploads of one provider."""

    files: dict[str, StoredFile]

    def evict(self, name: str) -> bool:
        """Forget an upload."""
        return self.files.pop(name, None) is not None


class Links:
    """Links to results and uploads: made here, and verified here when a client follows them."""

    __slots__ = ("_provider", "_router", "_secret")

    def __init__(self, provider: Provider, chance: Chance, router: Router) -> None:
        self._provider = provider
        self._router = router
        self._secret = chance.draw(f"{provider.name}/links")

    def result_urls(self, task: Task, kind: ResultKind, count: int, base: str) -> list[str]:
        """Return the links to the files of a task that has succeeded."""
        if not kind.link:
            return []
        return [self.url(base, self._result_path(task, kind, index)) for index in range(count)]

    def url(self, base: str, path: str) -> str:
        """Return the URL of a path; behind the provider's own name, with the real host of that path."""
        if REAL_HOST not in base:
            return base + path
        operation = self._router.find("GET", path.partition("?")[0]).operation
        host = None if operation is None else operation.host
        return self.url_at(base, host or self._provider.main_host) + path

    @staticmethod
    def url_at(base: str, host: str) -> str:
        """Return what the links to a host begin with."""
        return base.replace(REAL_HOST, host, 1)

    def _result_path(self, task: Task, kind: ResultKind, index: int) -> str:
        path = _filled(kind.link, {"account_id": task.account.id, "task_id": task.id, "index": str(index)})
        if kind.signature_parameter is None:
            return path
        expires_s = str(link_ends_s(task, kind))
        signature = self._signature(path, expires_s)
        joint = "&" if "?" in path else "?"
        return f"{path}{joint}{kind.expires_parameter}={expires_s}&{kind.signature_parameter}={signature}"

    def _signature(self, path: str, expires_s: str) -> str:
        return hmac.new(self._secret, f"{path}?{expires_s}".encode(), hashlib.sha256).hexdigest()

    def signed(self, task: Task, kind: ResultKind, index: int, query: Mapping[str, str]) -> bool:
        """Tell whether a request has the query parameters that the link was made with."""
        if kind.signature_parameter is None or kind.expires_parameter is None:
            return True
        expected = self._result_path(task, kind, index).partition("?")[2]
        names = [pair.partition("=")[0] for pair in expected.split("&")]
        given = "&".join(f"{name}={query.get(name, '')}" for name in names)
        return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))

    def file_url(self, stored: StoredFile, base: str) -> str:
        """Return the URL of an upload."""
        uploads = self._provider.uploads
        assert uploads is not None
        values = {"file_id": stored.id, "file_name": stored.name}
        return self.url(base, _filled(uploads.path, values))


def _filled(template: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", quote(value, safe=""))
    return template
