"""What root does not do for who called sudo and is not privileged."""

from collections.abc import Sequence

from imaging.errors import ConfigurationError
from imaging.site.schema import LeasesSettings
from imaging.site.user import is_restricted, login_name


def refuse_files(options: Sequence[str], settings: LeasesSettings) -> None:
    """Raise ConfigurationError if these options would have root write where its caller says.

    Any file could be overwritten so, that of the leases as well.
    """
    if options and is_restricted(settings.privileged_logins):
        raise ConfigurationError(
            f"{', '.join(options)}: root writes no files for {login_name()}, who is not privileged",
            hint="the shell can: --json > FILE, or --events - > FILE",
        )
