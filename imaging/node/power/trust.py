"""Whom to believe to be a BMC: certificates of the site's own, as most BMCs have no others."""

import ssl
from functools import lru_cache
from pathlib import Path

import httpx

from imaging.errors import ConfigurationError


@lru_cache(maxsize=4)  # one for all cards of a run: public certificates take 30 ms to read
def trusted(ca_file: Path | None, *, check_name: bool) -> ssl.SSLContext:
    """Whom to believe to be a BMC. Raises ConfigurationError."""
    if ca_file is None:
        context = httpx.create_ssl_context()
    else:
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:  # ssl's own errors are such, too
            is_garbage = isinstance(error, ssl.SSLError)
            words = "it holds no certificates" if is_garbage else error.strerror
            raise ConfigurationError(f"[power_redfish] ca_file {ca_file}: {words}") from error
        # a BMC's own certificate may be in the file, and most have not all that RFC 5280 wants
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = check_name
    return context
