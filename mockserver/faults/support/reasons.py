"""The reason of a failed task, by the provider's code or its beginning."""

from mockserver.provider import End, Reason


def reason_of(failure: End, word: str) -> Reason | None:
    """Return the reason with this code, or the first whose code begins with the word.

    If the provider has no such reason, the word becomes the code: clients also meet undocumented reasons.
    """
    if not word:
        return next(iter(failure.reasons.values()), None)
    if word in failure.reasons:
        return failure.reasons[word]
    for code, reason in failure.reasons.items():
        if code.startswith(word):
            return reason
    return Reason(word, f"the task failed: {word}", 1.0)
