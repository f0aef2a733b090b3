"""The public keys that a ramdisk's ssh console accepts."""

from pathlib import Path

from imaging.errors import ConfigurationError

SIZE_LIMIT = 65536  # bytes
WANTED = "a file as ~/.ssh/id_ed25519.pub is wanted"


def read_public_keys(file: Path) -> str:
    """The keys of a file, a line each, which all are such. Raises ConfigurationError."""
    try:
        with file.open("rb") as stream:
            text = stream.read(SIZE_LIMIT).decode("ascii")
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}", hint=WANTED) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: holds no public key", hint=WANTED) from error
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines or "PRIVATE" in text:
        raise ConfigurationError(f"{file}: holds no public key", hint=WANTED)
    import asyncssh  # it takes a while to be imported

    for number, line in enumerate(lines, start=1):
        try:
            asyncssh.import_public_key(line)
        except asyncssh.KeyImportError as error:
            # a node's ssh server would pass over it, and let nobody in
            raise ConfigurationError(
                f"{file}: its line {number} is no public key: {error}", hint=WANTED
            ) from error
    return "\n".join(lines)
