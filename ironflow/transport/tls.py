"""The certificate of a server: read at its start, and again when its files are renewed."""

import ssl
from pathlib import Path
from typing import Final, final

from ironflow.errors import ConfigurationError
from ironflow.transport.http.server import tls_context


@final
class ServerTls:
    """TLS from two files in PEM: the chain of a certificate, and its private key.

    Raises:
        ConfigurationError: a file cannot be read, or the two do not belong together.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate: Final = certificate
        self._key: Final = key
        self.context: Final = self._read()

    def load(self) -> None:
        """Read the files again, for connections to come.

        Raises:
            ConfigurationError: they are not whole; what was read before stays.
        """
        self._read()  # a context that took a chain and refused its key would be neither
        self.context.load_cert_chain(self._certificate, self._key)

    def _read(self) -> ssl.SSLContext:
        try:
            return tls_context(self._certificate, self._key)
        except OSError as error:  # also what is no PEM, or another key
            raise ConfigurationError(
                f"the certificate {self._certificate} with the key {self._key} cannot be"
                f" used: {error}; both are files in PEM, and the key has no password"
            ) from error
