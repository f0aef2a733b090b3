"""One file per command: options, one call, exit code. `session` is the way they all run."""
