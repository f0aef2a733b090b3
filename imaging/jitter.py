"""How long is waited between two attempts: never exactly as long as somebody else waits."""

import random


def jittered(seconds: float) -> float:
    """About so many seconds: whoever began together does not come again together."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
