"""Places that make no message for users, or one that no test can provoke; each with its reason."""

EXEMPT: dict[tuple[str, str], str] = {}
