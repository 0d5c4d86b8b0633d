"""Whose certificates a client takes: a file of its own, or what the machine trusts."""

import ssl

from ironflow.errors import ConfigurationError


def trusted(ca_file: str) -> ssl.SSLContext:
    """Return TLS that takes servers whose certificates these authorities signed (PEM).

    No other is taken then.

    Raises:
        ConfigurationError: there is no such file, or no certificate in it.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # also what is no PEM
        raise ConfigurationError(
            f"the certificates of ca_file {ca_file!r} cannot be read: {error}; name a file"
            " in PEM, or none to trust what the machine does"
        ) from error
