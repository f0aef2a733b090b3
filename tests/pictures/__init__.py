"""Pictures of the commands for the README: recorded in a terminal, drawn as SVG."""
