"""The certificates that a scheduler at a `tls://` address asks for, and is asked for."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sen_bench.errors import ConfigError

if TYPE_CHECKING:
    import distributed

TLS = "tls://"
"""How the address of a scheduler begins that talks to those with its certificate only."""


@dataclass(frozen=True)
class TlsFiles:
    """Files in PEM format that a client shows to a scheduler, and checks it by.

    Attributes:
        ca: Certificates of which one has to have signed the scheduler's; it may be the scheduler's own.
        cert: The certificate of the client.
        key: Its private key, not encrypted.
    """

    ca: Path
    cert: Path
    key: Path

    @classmethod
    def given(
        cls, where: str | None, ca: Path | None, cert: Path | None, key: Path | None
    ) -> TlsFiles | None:
        """The files that somebody has named, if any, after a look into them.

        Args:
            where: The cluster that they are for: an address, "slurm", or None for this machine.
            ca: As in the attributes; None: not given. Likewise the others.
            cert: As in the attributes.
            key: As in the attributes.

        Raises:
            ConfigError: One is missing or not what it should be, or there is no such cluster.
        """
        named = {"--tls-ca": ca, "--tls-cert": cert, "--tls-key": key}
        if ca is None and cert is None and key is None:
            return None
        if where is None or not where.startswith(TLS):
            first = next(option for option, file in named.items() if file is not None)
            raise ConfigError(f"{first} is for a scheduler at a {TLS} address: --cluster {TLS}host:8786")
        if ca is None or cert is None or key is None:
            missing = " and ".join(option for option, file in named.items() if file is None)
            raise ConfigError(f"--tls-ca, --tls-cert and --tls-key belong together: give {missing} too")
        files = cls(ca, cert, key)
        files.check()
        return files

    def check(self) -> None:
        """Makes sure that the files are there, and that certificate and key belong together.

        Raises:
            ConfigError: They are not, or they do not.
        """
        for file in (self.ca, self.cert, self.key):
            try:
                if not file.is_file():
                    raise ConfigError(f"there is no file {file}, which is named as one of TLS")
                with file.open("rb"):
                    pass
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise ConfigError(f"cannot read {file}: {reason}") from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cafile=str(self.ca))
        except ssl.SSLError:
            raise ConfigError(f"{self.ca} holds no certificate in PEM format") from None
        try:
            context.load_cert_chain(self.cert, self.key, password=_refuse_to_ask)
        except ssl.SSLError as error:
            raise ConfigError(
                f"{self.key} is not the key of {self.cert}"
                if error.reason == "KEY_VALUES_MISMATCH"
                else f"{self.cert} and {self.key} are not a certificate and its key in PEM format"
            ) from None
        except _EncryptedKeyError:
            raise ConfigError(f"{self.key} is encrypted; Dask takes keys without a passphrase only") from None

    def security(self) -> distributed.Security:
        """What Dask is told."""
        from distributed import Security  # noqa: PLC0415 — an optional package

        return Security(
            require_encryption=True,
            tls_ca_file=str(self.ca),
            tls_client_cert=str(self.cert),
            tls_client_key=str(self.key),
        )


class _EncryptedKeyError(Exception):
    """A key cannot be read without a passphrase."""


def _refuse_to_ask() -> str:
    """In place of OpenSSL's question in the terminal.

    Raises:
        _EncryptedKeyError: Always.
    """
    raise _EncryptedKeyError
