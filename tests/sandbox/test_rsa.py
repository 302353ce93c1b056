"""The sandbox's own arithmetic against two strangers: the library that makes its keys, and OpenSSL's command."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sandbox.rsa import KeyPair, verifies

MESSAGE = b"GET\n/v3/certificates\n1554208460\n593BEC0C930BF1AFEB40B4A08C8FB242\n\n"


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return KeyPair.make("someone")


def test_a_library_verifies_what_is_signed_here(pair: KeyPair) -> None:
    key = serialization.load_pem_public_key(pair.public_pem.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(pair.sign(MESSAGE), MESSAGE, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_signs_the_same_bytes(pair: KeyPair, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(pair.private_pem)
    command = ["openssl", "dgst", "-sha256", "-sign", str(tmp_path / "key.pem")]
    signature = subprocess.run(command, input=MESSAGE, capture_output=True, check=True).stdout
    assert pair.sign(MESSAGE) == signature
    assert verifies(pair.public_pem, signature, MESSAGE)


def test_nothing_else_is_a_signature(pair: KeyPair) -> None:
    signature = pair.sign(MESSAGE)
    assert verifies(pair.public_pem, signature, MESSAGE)
    assert not verifies(pair.public_pem, signature, MESSAGE + b" ")
    assert not verifies(pair.public_pem, signature[:-1], MESSAGE)
    assert not verifies(pair.public_pem, signature + b"\0", MESSAGE)
    assert not verifies(pair.public_pem, b"\xff" * 256, MESSAGE)
    assert not verifies(KeyPair.make().public_pem, signature, MESSAGE)
