"""The image library: where images are found, and whether they are whole."""
