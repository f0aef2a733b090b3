"""Where the monitor listens, and under which names it may be asked."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import ConfigurationError
from imaging.monitor.web.address import is_known_host, listen, parse_place, url_of


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("9464", "127.0.0.1", 9464),
        (":9464", "127.0.0.1", 9464),
        ("localhost:80", "127.0.0.1", 80),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("[::1]:8080", "::1", 8080),
    ],
)
def test_places(text: str, address: str, port: int) -> None:
    place = parse_place("--web", text)
    assert (str(place.address), place.port) == (address, port)


@pytest.mark.parametrize(
    "text", ["", "x", "1.2.3.4", "host:80", "127.0.0.1:65536", "::1:80", "[::1]", "127.0.0.1:-1"]
)
def test_what_is_no_place_is_told(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--web"):
        parse_place("--web", text)


@given(st.text(max_size=40))
def test_any_text_is_a_place_or_an_error(text: str) -> None:
    try:
        place = parse_place("--web", text)
    except ConfigurationError:
        return
    assert 0 <= place.port <= 65535


def test_a_port_that_is_taken_is_told() -> None:
    with listen("--web", parse_place("--web", "0")) as first:
        port = first.getsockname()[1]
        assert url_of(first) == f"http://127.0.0.1:{port}/"
        with pytest.raises(ConfigurationError, match=r"cannot listen .* Address already in use"):
            listen("--web", parse_place("--web", str(port)))


def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(ConfigurationError, match="cannot listen at"):
        listen("--web", parse_place("--web", "192.0.2.1:80"))


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
def test_the_url_of_ipv6_has_brackets() -> None:
    try:
        listening = listen("--web", parse_place("--web", "[::1]:0"))
    except ConfigurationError:
        pytest.skip("this host has no IPv6")
    with listening:
        assert url_of(listening).startswith("http://[::1]:")


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost", True),
        ("LOCALHOST:8080", True),
        ("localhost.:8080", True),
        ("127.0.0.1:8080", True),
        ("192.168.1.5", True),
        ("[::1]:8080", True),
        ("faraday.inria.fr", True),
        ("Faraday.inria.fr:8080", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:8080", False),
        ("localhost:8080:evil", False),
        ("evil@localhost", False),
        ("[localhost]", False),
        ("", False),
    ],
)
def test_names_of_this_host(host: str, known: bool) -> None:
    assert is_known_host(host, ("faraday.inria.fr",)) is known


@given(st.text(max_size=60))
def test_any_header_is_known_or_not(host: str) -> None:
    if is_known_host(host, ()):
        assert "localhost" in host.lower() or any(char.isdigit() or char == ":" for char in host)
