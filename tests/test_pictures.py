"""Recordings of a terminal, and their drawings."""

import re
from pathlib import Path
from xml.etree import ElementTree

from tests.pictures.drawing import draw
from tests.pictures.recording import Frame, Recorder, Run, screen_of
from tests.terminals import terminal

BLANK = (Run(" " * 12),)


def lines(svg: str) -> list[str]:
    """All texts of a drawing, in order."""
    tree = ElementTree.fromstring(svg)
    return ["".join(text.itertext()) for text in tree.iter("{http://www.w3.org/2000/svg}text")]


def test_a_row_that_stays_is_drawn_once() -> None:
    title = (Run("one <&> two "),)
    frames = [
        Frame(0.0, (title, BLANK)),
        Frame(1.0, (title, (Run("red", "red", bold=True), Run(" " * 9)))),
        Frame(2.0, (title, (Run("back", "default", "reverse"), Run(" " * 8)))),
    ]
    svg = draw(frames, 'a "title"', end_s=2.0, still=1)
    assert lines(svg) == ["one <&> two", "red", "back"]
    assert svg.count('href="#r0"') == 3
    assert re.findall(r"[\d.]+%", svg) == ["0.000%", "25.000%", "50.000%"]
    assert 'class="red b"' in svg
    assert 'class="inverse"' in svg


def test_the_words_of_a_row_stand_where_they_stood() -> None:
    svg = draw([Frame(0.0, ((Run("  ab  "), Run("cd", "green")),))], "t", end_s=1, still=0)
    places = [float(place) for place in re.findall(r'<text [^>]*x="([\d.]+)"', svg)]
    assert places == [16.8, 50.4]


def test_a_session_is_recorded_with_its_colours(tmp_path: Path) -> None:
    with terminal(40, 6) as shown:
        environment = {"PS1": "$ ", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        shell = ["/bin/bash", "--norc", "--noprofile", "-i"]
        shown.start(*shell, cwd=tmp_path, environment=environment)
        shown.see("$")
        recorder = Recorder(shown)
        recorder.type(r"printf '\033[31mred\033[m\n'; sleep 0.4; echo plain")
        rows = screen_of(shown.screen)
    assert any(Run("red", "red") in row for row in rows)
    assert recorder.frames[0].at == 0
    assert len(recorder.frames) > 3
    assert recorder.frames[-1].at > 0.7
