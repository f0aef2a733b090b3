"""The laboratory follows all of docs/site-setup.md, and knows what it leaves out."""

import re

from tests.lab.setup import OTHER_WAYS, RESTART, commands, page_settings, ssh_console
from tests.site_setup_page import PAGE, blocks

FOLLOWED = (
    "The server",
    "Inventory and settings",
    "The ramdisk",
    "DHCP and TFTP",
    "Who may load and save",
    "The first load",
)


def test_every_section_with_commands_is_followed() -> None:
    sections = re.findall(r"^## \d+\. (.*)$", PAGE.read_text(), re.MULTILINE)
    assert [section for section in sections if blocks(section)] == list(FOLLOWED)


def test_what_is_left_out_is_another_way() -> None:
    typed = [command for section in FOLLOWED for command in commands(section)]
    shown = "".join(block for section in FOLLOWED for block in blocks(section))
    left_out = [line for line in shown.splitlines() if line and line not in typed]
    for way in OTHER_WAYS:
        assert [line for line in left_out if line.startswith(way)]
    scripts = [line for line in left_out if not line.startswith(("[", "{", " ", "]"))]
    settings = page_settings() + ssh_console()[1]
    assert [line for line in scripts if line not in settings] == [
        "make deb",
        "apt-get install ./dist/imaging_*.deb",
        *ssh_console()[0],
    ]


def test_dnsmasq_is_restarted_by_a_command_that_the_laboratory_knows() -> None:
    assert list(commands("DHCP and TFTP"))[-1] == RESTART
