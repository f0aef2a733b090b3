"""What the monitor serves over HTTP: a page for people, and metrics for Prometheus."""
