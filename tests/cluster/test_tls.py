"""Certificates for a scheduler at a tls:// address: refused in one line, or shown to it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from sen_bench.cluster import TlsFiles, client, connected
from sen_bench.errors import ClusterError, ConfigError
from tests.support.commands import invoke

ADDRESS = "tls://127.0.0.1:9"


@pytest.fixture(scope="module")
def security() -> distributed.Security:
    """Credentials as Dask makes them for one cluster."""
    return distributed.Security.temporary()


@pytest.fixture(scope="module")
def pem(security: distributed.Security, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same, in files, and some that are none."""
    folder = tmp_path_factory.mktemp("tls")
    role, other = (
        each.get_tls_config_for_role("client") for each in (security, distributed.Security.temporary())
    )
    texts = {
        "ca": role["ca_file"],
        "cert": role["cert"],
        "key": role["key"],
        "other-ca": other["ca_file"],
        "other-cert": other["cert"],
        "other-key": other["key"],
        "text": "hello",
        "empty": "",
    }
    for name, text in texts.items():
        (folder / f"{name}.pem").write_text(text)
    key = load_pem_private_key(role["key"].encode(), None)
    secret = BestAvailableEncryption(b"secret")
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)
    (folder / "locked.pem").write_bytes(locked)
    return {name: folder / f"{name}.pem" for name in (*texts, "locked", "missing")}


@pytest.fixture(scope="module")
def scheduler(security: distributed.Security) -> Iterator[str]:
    """The address of a scheduler that asks for a certificate."""
    with distributed.LocalCluster(
        n_workers=0, processes=False, protocol="tls", security=security, dashboard_address=None
    ) as cluster:
        yield str(cluster.scheduler_address)


@pytest.mark.parametrize(
    ("where", "ca", "cert", "key", "complaint"),
    [
        (
            None,
            "ca",
            None,
            None,
            "--tls-ca is for a scheduler at a tls:// address: --cluster tls://host:8786",
        ),
        ("tcp://x:1", None, "cert", None, "--tls-cert is for a scheduler at a tls:// address"),
        ("slurm", "ca", "cert", "key", "--tls-ca is for a scheduler at a tls:// address"),
        (ADDRESS, "ca", None, None, "belong together: give --tls-cert and --tls-key too"),
        (ADDRESS, "ca", "cert", None, "belong together: give --tls-key too"),
        (ADDRESS, "missing", "cert", "key", "there is no file .*missing.pem"),
        (ADDRESS, "text", "cert", "key", "text.pem holds no certificate in PEM format"),
        (ADDRESS, "empty", "cert", "key", "empty.pem holds no certificate in PEM format"),
        (ADDRESS, "ca", "text", "key", "text.pem and .*key.pem are not a certificate and its key"),
        (ADDRESS, "ca", "cert", "text", "are not a certificate and its key in PEM format"),
        (ADDRESS, "ca", "cert", "other-key", "other-key.pem is not the key of .*cert.pem"),
        (ADDRESS, "ca", "cert", "locked", "locked.pem is encrypted; Dask takes keys without a passphrase"),
    ],
)
def test_wrong_certificates_are_refused_in_one_line(
    pem: dict[str, Path], where: str | None, ca: str | None, cert: str | None, key: str | None, complaint: str
) -> None:
    files = [None if name is None else pem[name] for name in (ca, cert, key)]
    with pytest.raises(ConfigError, match=complaint) as caught:
        TlsFiles.given(where, *files)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("command", ["generate 2d-shapes", "run 2d-shapes --device cpu --dry-run"])
def test_they_are_refused_before_anything_is_done(pem: dict[str, Path], command: str, here: Path) -> None:
    files = ("--tls-ca", str(pem["text"]), "--tls-cert", str(pem["cert"]), "--tls-key", str(pem["key"]))
    result = invoke(*command.split(), "--cluster", ADDRESS, *files)
    assert result.exit_code == 2
    assert result.stderr == f"error: {pem['text']} holds no certificate in PEM format\n"
    assert not list(here.iterdir())


def test_with_its_certificate_a_scheduler_answers(scheduler: str, pem: dict[str, Path]) -> None:
    said: list[str] = []
    tls = TlsFiles.given(scheduler, pem["ca"], pem["cert"], pem["key"])
    with connected(scheduler, None, said.append, work="a test", tls=tls) as ours:
        assert ours.scheduler_info()["address"] == scheduler
    assert said == ["the cluster has no worker yet; waiting for one"]


def test_without_it_none_does(scheduler: str, pem: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_CONNECT", 0.5)
    with (
        pytest.raises(
            ClusterError, match=r"needs certificates: give --tls-ca, --tls-cert and --tls-key"
        ) as caught,
        connected(scheduler, work="a test"),
    ):
        pass
    assert "\n" not in str(caught.value)
    other = TlsFiles.given(scheduler, pem["other-ca"], pem["other-cert"], pem["other-key"])
    with (
        pytest.raises(ClusterError, match="no Dask scheduler answers at tls://") as caught,
        connected(scheduler, work="a test", tls=other),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_a_client_that_is_refused_is_closed_at_once(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when it is thrown away, which may be while the next one starts: then both would wait for ever."""
    gc.collect()  # those of other tests
    monkeypatch.setattr(client, "_CONNECT", 0.5)
    closed: list[str] = []
    close = distributed.Client.close

    def watched(self: distributed.Client, *given: Any, **named: Any) -> None:
        close(self, *given, **named)
        closed.append(self.status)

    monkeypatch.setattr(distributed.Client, "close", watched)
    # What is raised keeps the client from being thrown away.
    with pytest.raises(ClusterError) as caught, connected(scheduler, work="a test"):
        pass
    assert caught.value.__cause__ is not None
    assert set(closed) == {"closed"}
