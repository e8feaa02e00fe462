"""Why a task fails, by the provider's own word or by a part of it."""

from mockserver.provider import End, Reason


def reason_of(failure: End, word: str) -> Reason | None:
    """Return the reason of this code, or the first whose code begins with the word.

    Where the provider knows none, the word itself is the code: a client meets reasons that no list has.
    """
    if not word:
        return next(iter(failure.reasons.values()), None)
    if word in failure.reasons:
        return failure.reasons[word]
    for code, reason in failure.reasons.items():
        if code.startswith(word):
            return reason
    return Reason(word, f"the task failed: {word}", 1.0)
