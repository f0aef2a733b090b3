"""Every message that a user can meet: where the code makes it, and the test that provokes it."""
