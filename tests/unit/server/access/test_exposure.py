"""What a configuration must not be, and what is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddlesrv.errors import IntegrityError, UsageError
from paddlesrv.server.access.exposure import check_access, is_loopback, warnings
from paddlesrv.server.access.key_file import KeyEntry, add_key
from paddlesrv.server.config import ModelConfig, ServerConfig


def config(**fields: object) -> ServerConfig:
    return ServerConfig(models=(ModelConfig(name="m"),), **fields)  # type: ignore[arg-type]


@pytest.fixture
def keys(tmp_path: Path) -> str:
    add_key(tmp_path / "keys", KeyEntry(name="a", digest=bytes(32)))
    return str(tmp_path / "keys")


def test_which_addresses_are_the_loopbacks() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.5", "no-such.invalid")))


def test_administration_from_afar_needs_a_key(keys: str) -> None:
    check_access(config(admin=True))
    check_access(config(admin=True, host="0.0.0.0", api_key_file=keys))
    with pytest.raises(UsageError, match="load and unload") as caught:
        check_access(config(admin=True, host="0.0.0.0"))
    assert "--api-key-file" in str(caught.value.hints)


def test_certificates_of_clients_need_one_of_the_server() -> None:
    with pytest.raises(UsageError, match="without TLS"):
        check_access(config(tls_client_ca="ca.pem"))


def test_a_file_of_keys_is_read_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        check_access(config(api_key_file=str(tmp_path / "absent")))
    (tmp_path / "keys").write_text("psk_a_key_in_clear\n")
    with pytest.raises(IntegrityError) as caught:
        check_access(config(api_key_file=str(tmp_path / "keys")))
    assert "psk_" not in f"{caught.value} {caught.value.context}"


def test_a_server_that_anybody_reaches_is_warned_of_loudly(keys: str) -> None:
    assert warnings(config()) == []
    assert warnings(config(host="::1")) == []
    (told,) = warnings(config(host="0.0.0.0"))
    assert "WHOEVER REACHES 0.0.0.0" in told
    assert "paddlesrv key new" in told
    (told,) = warnings(config(host="0.0.0.0", api_key_file=keys))
    assert "in clear" in told
    assert warnings(config(host="0.0.0.0", tls_cert="c", api_key_file=keys)) == []
    assert warnings(config(host="0.0.0.0", tls_cert="c", tls_client_ca="ca")) == []
