"""What is told: events, outcomes, the board folded from them, displays; and what is kept of it."""
