"""What is told: events, outcomes, the board folded from them, displays and the log."""
