"""RSA signatures with SHA-256 (RFC 8017, PKCS#1 v1.5) by plain arithmetic, and the texts that keys travel in.

A library makes and reads the keys; signing and verifying are worked out here, so that a misuse of the library's
signatures in a client is not repeated on the other side.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def _encoded(message: bytes, size: int) -> bytes:
    tail = DIGEST_INFO + hashlib.sha256(message).digest()
    return b"\x00\x01" + b"\xff" * (size - len(tail) - 3) + b"\x00" + tail


def verifies(public_pem: str, signature: bytes, message: bytes) -> bool:
    """Whether the private key of this public one signed the message."""
    numbers = _public(public_pem).public_numbers()
    size = (numbers.n.bit_length() + 7) // 8
    value = int.from_bytes(signature, "big")
    if len(signature) != size or value >= numbers.n:
        return False
    return pow(value, numbers.e, numbers.n).to_bytes(size, "big") == _encoded(message, size)


@dataclass(frozen=True)
class KeyPair:
    """An RSA key of 2048 bits, and a certificate of it where one was asked for."""

    private_pem: str
    certificate_pem: str = ""

    @classmethod
    def make(cls, common_name: str = "", days: int = 1825) -> KeyPair:
        """Make a key; with a name, also a certificate that it signs itself."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        return cls(pem, _certificate(key, common_name, days) if common_name else "")

    @property
    def public_pem(self) -> str:
        return (
            _private(self.private_pem)
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate_pem.encode())

    @property
    def serial(self) -> str:
        """The certificate's serial number, 40 upper-case hexadecimal digits."""
        return f"{self.certificate.serial_number:040X}"

    def sign(self, message: bytes) -> bytes:
        """The signature of a message."""
        numbers = _private(self.private_pem).private_numbers()
        size = (numbers.public_numbers.n.bit_length() + 7) // 8
        value = int.from_bytes(_encoded(message, size), "big")
        # the Chinese remainder theorem: four times as quick as one power modulo n
        first, second = pow(value, numbers.dmp1, numbers.p), pow(value, numbers.dmq1, numbers.q)
        return (second + (first - second) * numbers.iqmp % numbers.p * numbers.q).to_bytes(size, "big")


@cache
def _private(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


@cache
def _public(pem: str) -> rsa.RSAPublicKey:
    key = serialization.load_pem_public_key(pem.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def _certificate(key: rsa.RSAPrivateKey, common_name: str, days: int) -> str:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Sandbox"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Payments"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    start = datetime.now(UTC) - timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        # the highest digit is never 0, as in the providers' own
        .serial_number(int("5" + secrets.token_hex(20)[1:], 16))
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=1 + days))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
