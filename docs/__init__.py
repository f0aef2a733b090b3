"""The documentation: its pages, and the code that builds them and writes some of them."""
