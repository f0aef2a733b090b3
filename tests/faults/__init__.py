"""The fault table."""
