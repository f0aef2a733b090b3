"""The public keys of an ssh console: read, or refused before a ramdisk shuts everybody out."""

from pathlib import Path

import asyncssh
import pytest

from imaging.errors import ConfigurationError
from imaging.ramdisk.public_keys import read_public_keys


def public_key(kind: str = "ssh-ed25519") -> str:
    return asyncssh.generate_private_key(kind).export_public_key().decode().strip()


def test_keys_are_read_without_what_is_around_them(tmp_path: Path) -> None:
    first, second = public_key(), f"{public_key('ecdsa-sha2-nistp256')} me@here"
    (tmp_path / "keys").write_text(f"# ours\n\n{first}\n{second}\n")
    assert read_public_keys(tmp_path / "keys") == f"{first}\n{second}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "keys: holds no public key"),
        ("\xe9", "keys: holds no public key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "keys: holds no public key"),
        ("hello\n", "keys: its line 1 is no public key"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n", "keys: its line 1 is no public key"),
        ("{key}\nssh-ed25519 AAAA\n", "keys: its line 2 is no public key"),
        ("restrict {key}\n", "keys: its line 1 is no public key"),
    ],
)
def test_what_lets_nobody_in_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "keys").write_text(text.replace("{key}", public_key()), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=words):
        read_public_keys(tmp_path / "keys")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="keys: No such file"):
        read_public_keys(tmp_path / "keys")
