"""What the providers have in common below their protocols: HTTP without surprises, and RSA signatures (SHA-256)."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from apps.common import wire
from apps.common.wire import Answer
from apps.wallet.channels.base import NotConfigured, Unknown

MINIMUM_KEY_BITS = 2048


class Wire(wire.Wire):
    """HTTP to one payment provider; what nobody answered is an unknown outcome."""

    event = "payment_call"

    def send(self, method: str, url: str, **options: Any) -> Answer:
        """As the base does. Raises Unknown: timeout, connection, too_long."""
        try:
            return super().send(method, url, **options)
        except wire.NoAnswer as error:
            raise Unknown(error.cause) from error


def notify_url(url: str) -> str:
    """Return a URL that providers take for notices: absolute, without a query string. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("notify_url: absolute, without a query string")
    return url


# --- RSA ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A provider's public key; one that came as a certificate is only good within its dates."""

    key: rsa.RSAPublicKey
    certificate: x509.Certificate | None

    def verifies(self, signature: bytes, message: bytes, at: datetime) -> bool:
        """Whether this key made the signature (RSA PKCS#1 v1.5 with SHA-256) and was valid at that time."""
        if self.certificate is not None and not (
            self.certificate.not_valid_before_utc <= at <= self.certificate.not_valid_after_utc
        ):
            return False
        try:
            self.key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True


def load_private_key(text: str, field: str = "private_key") -> rsa.RSAPrivateKey:
    """Read a private key: PEM, or the bare base64 of a DER that Alipay's key tool writes. Raises NotConfigured."""
    try:
        if "-----BEGIN" in text:
            key = serialization.load_pem_private_key(text.encode(), password=None)
        else:
            key = serialization.load_der_private_key(_unwrapped(text), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise NotConfigured(field) from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < MINIMUM_KEY_BITS:
        raise NotConfigured(field)
    return key


def load_trusted_key(text: str, field: str) -> TrustedKey:
    """Read a public key or a certificate: PEM, or the bare base64 of a public key. Raises NotConfigured."""
    certificate = None
    try:
        if "-----BEGIN CERTIFICATE" in text:
            certificate = load_certificate(text, field)
            key: object = certificate.public_key()
        elif "-----BEGIN" in text:
            key = serialization.load_pem_public_key(text.encode())
        else:
            key = serialization.load_der_public_key(_unwrapped(text))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NotConfigured(field) from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < MINIMUM_KEY_BITS:
        raise NotConfigured(field)
    return TrustedKey(key, certificate)


def load_certificate(text: str, field: str) -> x509.Certificate:
    """Read one PEM certificate. Raises NotConfigured."""
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError as error:
        raise NotConfigured(field) from error


def signature_of(key: rsa.RSAPrivateKey, message: bytes) -> str:
    """Sign with RSA PKCS#1 v1.5 and SHA-256; base64."""
    return base64.b64encode(key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()


def decode_signature(text: str) -> bytes:
    """The bytes of a base64 signature; empty (nothing verifies it) for any other spelling of them."""
    try:
        signature = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return signature if base64.b64encode(signature).decode() == text else b""


def _unwrapped(text: str) -> bytes:
    return base64.b64decode("".join(text.split()), validate=True)
