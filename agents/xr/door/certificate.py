"""A certificate that this machine signs itself, for as long as browsers take one."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agents.parts.http.gate import Address
from agents.xr.door.private import read_private, write_private

NAME = "certificate.pem"
FILE_BYTES = 64 << 10
LIFETIME = timedelta(days=825)
"""As long as browsers take one: https://support.apple.com/en-us/103769"""
RENEWAL = timedelta(days=30)
"""Before its end a certificate is made anew."""
SKEW = timedelta(days=1)
"""By which a headset's clock may be behind."""
MOST_NAMES = 32
"""In a certificate: those that this machine had before are left out where there would be more."""
COMMON_NAME = "zeropoint-bus xr"

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,62})(\.[a-z0-9]([a-z0-9-]{0,62}))*", re.ASCII | re.IGNORECASE)
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound, x509.DuplicateExtension)
"""What `cryptography` raises for a file of somebody else's making; TypeError for a key that is behind a password."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Names:
    """What a certificate is for: names of hosts, and addresses."""

    hosts: frozenset[str]
    addresses: frozenset[Address]

    def cover(self, others: Names) -> bool:
        return others.hosts <= self.hosts and others.addresses <= self.addresses

    def with_former(self, former: Names) -> Names:
        """These, and the former ones unless they are too many: a network that is away today comes again."""
        both = Names(self.hosts | former.hosts, self.addresses | former.addresses)
        return both if len(both.hosts) + len(both.addresses) <= MOST_NAMES else self


@dataclass(frozen=True, slots=True)
class _Held:
    """What is in the file."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    names: Names


@dataclass(frozen=True, slots=True)
class Certificate:
    """One that lies in a file, with its key. `fingerprint` is the SHA-256 as browsers show it."""

    path: Path
    fingerprint: str

    def context(self) -> ssl.SSLContext:
        """What a server answers TLS with. Raises OSError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self.path)
        return context


def names_of(hosts: Sequence[str], addresses: Sequence[Address]) -> Names:
    """This machine's, by which it also reaches itself. A host's name that is none in DNS is left out."""
    known = frozenset(host.lower() for host in ("localhost", *hosts) if _HOST.fullmatch(host))
    return Names(known, frozenset({ip_address("127.0.0.1"), *addresses}))


def keep_certificate(folder: Path, names: Names, now: datetime) -> Certificate:
    """The one in a folder; made anew where there is none, it ends soon, or it lacks a name. Raises NotPrivate, OSError.

    Key and certificate are in one file, so that they always fit. Another certificate has the former one's key, and its names too: who goes
    between two networks is asked to trust it anew but once.
    """
    path = folder / NAME
    data = read_private(path, FILE_BYTES)
    held = None if data is None else _read(path, data)
    if held is None:
        certificate = _written(path, ec.generate_private_key(ec.SECP256R1()), names, now)
    elif _serves(held, names, now):
        certificate = held.certificate
    else:
        certificate = _written(path, held.key, names.with_former(held.names), now)
    return Certificate(path, certificate.fingerprint(SHA256()).hex(":").upper())


def _read(path: Path, data: bytes) -> _Held | None:
    """None: no server could use it."""
    try:
        return _parsed(data)
    except _UNREADABLE as error:
        _log.warning("the certificate cannot be read: another one is made", path=str(path), error=str(error))
        return None


def _parsed(data: bytes) -> _Held:
    """Raises _UNREADABLE."""
    certificate, key = x509.load_pem_x509_certificate(data), load_pem_private_key(data, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError("the key is not the certificate's")
    told = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = [ip_address(str(address)) for address in told.get_values_for_type(x509.IPAddress)]
    return _Held(certificate, key, Names(frozenset(told.get_values_for_type(x509.DNSName)), frozenset(addresses)))


def _serves(held: _Held, names: Names, now: datetime) -> bool:
    """Whether it is good for these names, for some time yet."""
    in_time = held.certificate.not_valid_before_utc <= now < held.certificate.not_valid_after_utc - RENEWAL
    return in_time and held.names.cover(names)


def _written(path: Path, key: ec.EllipticCurvePrivateKey, names: Names, now: datetime) -> x509.Certificate:
    """A certificate for a key, once both are in the file. Raises OSError."""
    certificate = _described(names, key.public_key(), now).sign(key, SHA256())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(path, secret + certificate.public_bytes(Encoding.PEM))
    return certificate


def _described(names: Names, key: ec.EllipticCurvePublicKey, now: datetime) -> x509.CertificateBuilder:
    """RFC 5280: the certificate of a server, which may sign no other ones."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAME)])
    builder = x509.CertificateBuilder(name, name, key, x509.random_serial_number(), now - SKEW, now - SKEW + LIFETIME)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    for extension, critical in (
        (_alternatives(names), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (identifier, False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False),
    ):
        builder = builder.add_extension(extension, critical)
    return builder


def _alternatives(names: Names) -> x509.SubjectAlternativeName:
    hosts = [x509.DNSName(host) for host in sorted(names.hosts)]
    return x509.SubjectAlternativeName([*hosts, *(x509.IPAddress(address) for address in sorted(names.addresses, key=str))])


def _key_usage() -> x509.KeyUsage:
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
        **dict.fromkeys(others, False),
    )
