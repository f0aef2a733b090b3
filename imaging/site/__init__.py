"""What is known before anything happens: settings, inventory, selection; immutable afterwards."""
