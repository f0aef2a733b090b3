"""``python -m imaging COMMAND`` is ``imaging COMMAND``."""

from imaging.cli.umbrella import command

if __name__ == "__main__":
    command()
