"""The rules that the specs list, the clauses that cover them, and the waivers: rules that no journal can show."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from contracts.clause import all_clauses
from mockserver.spec.files import documents_of
from mockserver.spec.vocabulary import builtin_specs

#: What the section of a rule says that is not in the document itself, but on the provider's other pages.
PUBLIC_PAGE = "public page"
_WAIVERS = Path(__file__).with_name("waivers.yaml")


@dataclass(frozen=True, slots=True)
class Rule:
    """A documented rule, as a spec lists it."""

    id: str
    provider: str
    document: str
    section: str
    asks: str
    rule: str

    @property
    def source(self) -> str:
        """The document and section."""
        return f"{self.document} \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} {self.section}"


def rules_of(paths: Iterable[Path]) -> list[Rule]:
    """Read the rules in specs.

    Raises:
        SpecError: a spec cannot be read.
    """
    out: list[Rule] = []
    for document in documents_of(paths):
        data = document.data
        mock = data.get("x-mock", {})
        file = Path(document.name).stem
        title = data.get("x-document", {}).get("title") or data.get("info", {}).get("title", file)
        name = mock.get("provider") or mock.get("part_of", "")
        out += [
            Rule(each["id"], name, title, str(each["section"]), each["asks"], each["rule"])
            for each in data.get("x-rules", ())
        ]
    return out


@cache
def documented_rules() -> tuple[Rule, ...]:
    """Return the rules in the specs of the package."""
    return tuple(rules_of(builtin_specs()))


@cache
def waivers() -> dict[str, str]:
    """Return, by pattern of rule ids, why no journal can show whether a client keeps them."""
    found: dict[str, str] = yaml.safe_load(_WAIVERS.read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True, slots=True)
class Covered:
    """A rule, and the clauses that cover it, or the reason why it has no clause."""

    rule: Rule
    clauses: tuple[str, ...]
    reason: str | None


def coverage(rules: Iterable[Rule]) -> list[Covered]:
    """Return how each rule is covered; a rule with neither clause nor reason is a gap."""
    out = []
    for rule in rules:
        names = tuple(each.id for each in all_clauses() if rule.asks == "client" and each.covered([rule.id]))
        reason = None
        if rule.asks == "provider":
            reason = "a rule for the provider; the mock server implements it, and its tests check it"
        elif not names:
            reason = next((why for pattern, why in waivers().items() if fnmatch.fnmatchcase(rule.id, pattern)), None)
        out.append(Covered(rule, names, reason))
    return out


def idle_patterns(rules: Iterable[Rule]) -> list[str]:
    """Return the patterns of clauses and waivers that match no rule: misspelt, or left from a removed rule."""
    ids = [rule.id for rule in rules if rule.asks == "client"]
    patterns = [*waivers(), *(pattern for each in all_clauses() for pattern in each.covers)]
    return [pattern for pattern in dict.fromkeys(patterns) if not fnmatch.filter(ids, pattern)]
