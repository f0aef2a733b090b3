"""The page: a table that is whole without scripts; pure. All that is foreign is escaped."""

from html import escape

from imaging.monitor.testbed import Condition, NodeState, Testbed
from imaging.monitor.wording import image_text, lease_text, leases_text, since_text

REFRESH_S = 5  # without scripts

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<noscript><meta http-equiv="refresh" content="{refresh}"></noscript>
<link rel="icon" href="icon.svg">
<link rel="stylesheet" href="monitor.css">
<script src="monitor.js" defer></script>
</head>
<body>
<header>
<h1>Nodes</h1>
<ul id="counts">
{counts}
</ul>
<p id="leases" role="status"{known}>{leases}</p>
<p id="status" role="status">refreshed every {refresh} s</p>
</header>
<main class="about">
<table>
<thead><tr><th>node</th><th>state</th><th>since</th><th>image</th><th>lease</th><th>system</th>\
<th>problem</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</main>
</body>
</html>
"""


def page_text(testbed: Testbed, now: float) -> str:
    """The whole page; ``now`` is in seconds since the epoch."""
    counts = testbed.conditions()
    items = [
        f'<li data-condition="{condition}"{"" if counts[condition] else " hidden"}>'
        f"<b>{counts[condition]}</b> {condition}</li>"
        for condition in Condition
    ]
    title = f"{counts[Condition.UP]} of {len(testbed.nodes)} nodes up"
    rows = [_row(node, now) for node in testbed.nodes.values()]
    leases = leases_text(testbed.leases_problem)
    return PAGE.format(
        title=title,
        refresh=REFRESH_S,
        counts="\n".join(items),
        rows="\n".join(rows),
        known="" if leases else " hidden",
        leases=_escaped(leases),
    )


def _row(node: NodeState, now: float) -> str:
    system = node.system
    about = ", ".join(filter(None, (system.release, system.kernel))) if system else ""
    cells = {
        "condition": node.condition.value,
        "since": since_text(node, now),
        "image": image_text(node),
        "lease": lease_text(node.lease, now),
        "system": about,
        "problem": node.problem,
    }
    name = escape(node.name)
    shown = "".join(f'<td class="{kind}">{_escaped(text)}</td>' for kind, text in cells.items())
    return (
        f'<tr data-node="{name}" data-condition="{node.condition}">'
        f'<th scope="row">{name}</th>{shown}</tr>'
    )


def _escaped(text: str) -> str:
    """Foreign text as text of a page, be it no proper Unicode."""
    return escape(text.encode(errors="replace").decode())
