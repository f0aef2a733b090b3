"""What settings are made of: the types that sections share, and secrets."""

import shlex
from typing import Annotated, get_args, get_type_hints

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(gt=0, le=86400)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Attempts = Annotated[int, Meta(ge=1, le=100)]
Word = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", description="letters, digits and . _ + - only"),
]
RootedPath = Annotated[str, Meta(pattern="^/[^/]", description="a path that begins with /")]
Secret = Annotated[str, Meta(extra={"secret": True})]  # used, but never shown
MASK = "********"  # what is shown of a secret


def is_secret(kind: object) -> bool:
    """Whether an annotated type, or one of its alternatives, is marked as secret."""
    if isinstance(kind, Meta):
        return bool((kind.extra or {}).get("secret"))
    return any(is_secret(part) for part in get_args(kind))


class SecretKeeper(msgspec.Struct, frozen=True):
    """A section that holds secrets: tracebacks and logs show its text, which has none of them."""

    def __repr__(self) -> str:
        """Masked, as everywhere."""
        kinds = get_type_hints(type(self), include_extras=True)
        secrets = [key for key, kind in kinds.items() if is_secret(kind) and getattr(self, key)]
        masked = msgspec.structs.replace(self, **dict.fromkeys(secrets, MASK))
        return super(SecretKeeper, masked).__repr__()


def check_command(key: str, text: str) -> None:
    """Raise ValueError when this is no command, after the shell's rules of quoting."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{key}: {text!r} is not a command: {error}") from error
    if not words:
        raise ValueError(f"{key}: the command is empty")
