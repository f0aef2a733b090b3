"""pxelinux's config files: ours is written, and a site's is read as pxelinux reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import ConfigurationError
from imaging.ramdisk.pxelinux import DEFAULT_CONFIG, BootConfig, parse_config, ramdisk_config


def test_what_is_written_boots_the_ramdisk() -> None:
    config = parse_config(ramdisk_config("imaging", "console=ttyS0"))
    assert config == BootConfig("imaging/vmlinuz", ("imaging/initrd.img",), from_disk=False)
    assert "console=ttyS0" in ramdisk_config("imaging", "console=ttyS0")
    assert "IPAPPEND 2" in ramdisk_config("imaging")


@pytest.mark.parametrize(("place", "append"), [("a b", ""), ("", ""), ("a\n", ""), ("a", "x\ny")])
def test_what_would_be_read_as_something_else_is_refused(place: str, append: str) -> None:
    with pytest.raises(ConfigurationError):
        ramdisk_config(place, append)


def test_the_default_boots_the_disk() -> None:
    assert parse_config(DEFAULT_CONFIG).from_disk


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", BootConfig(None, (), from_disk=False)),
        ("label a\n localboot 0\nlabel b\n kernel k\n", BootConfig(None, (), from_disk=True)),
        (
            "default b\nlabel a\n localboot 0\nlabel b\n linux k\n initrd i,j\n",
            BootConfig("k", ("i", "j"), from_disk=False),
        ),
        (
            "label a\n kernel k\n append root=/x initrd=i,j quiet",
            BootConfig("k", ("i", "j"), False),
        ),
        (
            "DEFAULT\tb\nLABEL\ta\n\tKERNEL\tk\nLABEL\tb\n\tLOCALBOOT\t0\n",
            BootConfig(None, (), from_disk=True),
        ),
        # what is no label is a file to be booted, whatever labels there are
        ("default menu.c32\nlabel a\n localboot 0\n", BootConfig("menu.c32", (), False)),
        ("default k initrd=i quiet\nlabel a\n localboot 0\n", BootConfig("k", ("i",), False)),
        (
            "default a initrd=i\nlabel a\n kernel k\n append initrd=j\n",
            BootConfig("k", ("j", "i"), False),
        ),
        ("localboot 0\n", BootConfig(None, (), from_disk=False)),
    ],
)
def test_configs_of_sites(text: str, expected: BootConfig) -> None:
    assert parse_config(text) == expected


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    config = parse_config(text)
    assert config.kernel is None or "\n" not in config.kernel
