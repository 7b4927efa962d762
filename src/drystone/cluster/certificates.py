"""Certificates of a cluster: an authority of its own, and what it issues to servers and to clients (X.509, RFC 5280).

Keys are of the curve P-256. Who has the authority's key can be anybody in the cluster; it is needed to issue and to
revoke only. What was revoked is a list (CRL) that stands behind the authority's certificate, in the same file: who
trusts that file refuses what is on the list in it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from drystone.base.errors import DamagedError, UsageError
from drystone.wire.revocation import LIST_BEGINNING

Purpose = Literal["server", "client"]

_EARLIER = timedelta(hours=1)
"""That a certificate counts before it was made: clocks differ."""
_HOST = re.compile(r"(\*\.)?[a-zA-Z0-9]([a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?")
_PURPOSES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """What a certificate says. :ivar purposes: "authority", "server", "client". :ivar addresses: host names and IPs.

    :ivar until: it counts no more after it. :ivar serial: its number, in hexadecimal digits. :ivar revoked: by an
        authority, the numbers on the list behind it.
    """

    name: str
    issuer: str
    purposes: tuple[str, ...]
    addresses: tuple[str, ...]
    until: datetime
    serial: str
    revoked: tuple[str, ...] = ()


def make_authority(name: str, *, days: int, now: datetime) -> Issued:
    """An authority, which issues to others and vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _spell(name)
    made = (
        _begin(subject, subject, key.public_key(), days, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Issued(made.public_bytes(serialization.Encoding.PEM), _to_pem(key))


def issue(
    authority: Issued, name: str, purpose: Purpose, addresses: Sequence[str], *, days: int, now: datetime
) -> Issued:
    """A certificate of `authority`.

    :param addresses: host names and IP addresses by which a server is called; a client needs none.
    :raises UsageError: the authority's files are none, or do not belong together; an address is none; a server without.
    """
    root, root_key = _load(authority)
    if purpose == "server" and not addresses:
        raise UsageError("a server's certificate names the addresses by which it is called", hint="--address HOST")
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _begin(_spell(name), root.subject, key.public_key(), days, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_PURPOSES[purpose]]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    if addresses:
        builder = builder.add_extension(x509.SubjectAlternativeName([_address(each) for each in addresses]), False)
    made = builder.sign(root_key, hashes.SHA256())
    return Issued(made.public_bytes(serialization.Encoding.PEM), _to_pem(key))


def read(data: bytes) -> Told:
    """What the first certificate of PEM data says. :raises DamagedError: there is none in it."""
    try:
        found = x509.load_pem_x509_certificate(data)
        extensions = found.extensions
        revoked = tuple(f"{each.serial_number:x}" for each in _list_in(data) or ())
    except ValueError as error:
        raise DamagedError(f"there is no certificate in it: {error}") from error
    purposes: list[str] = []
    addresses: list[str] = []
    for extension in extensions:
        match extension.value:
            case x509.BasicConstraints(ca=True):
                purposes.append("authority")
            case x509.ExtendedKeyUsage() as uses:
                purposes += [name for name, oid in _PURPOSES.items() if oid in uses]
            case x509.SubjectAlternativeName() as names:
                addresses += [str(each.value) for each in names]
    return Told(
        _name_of(found.subject),
        _name_of(found.issuer),
        tuple(purposes),
        tuple(addresses),
        found.not_valid_after_utc,
        f"{found.serial_number:x}",
        revoked,
    )


def revoke(authority: Issued, certificates: Sequence[bytes], *, now: datetime) -> bytes:
    """The authority's certificate with a list that names these certificates (PEM), and those that it named before.

    It counts as long as the authority does: a list that ended would have everybody refused.

    :raises UsageError: the authority's files are none, or do not belong together; a certificate is not of this one.
    """
    root, root_key = _load(authority)
    known = _list_in(authority.certificate)
    numbers = {each.serial_number: each for each in known or ()}
    for data in certificates:
        number = _number_of(data, root)
        when = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now.astimezone(UTC))
        numbers.setdefault(number, when.build())
    last = known.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number if known is not None else 0
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.subject)
        .last_update(now.astimezone(UTC) - _EARLIER)
        .next_update(root.not_valid_after_utc)
        .add_extension(x509.CRLNumber(last + 1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
    )
    for each in numbers.values():
        builder = builder.add_revoked_certificate(each)
    made = builder.sign(root_key, hashes.SHA256())
    return root.public_bytes(serialization.Encoding.PEM) + made.public_bytes(serialization.Encoding.PEM)


def _list_in(data: bytes) -> x509.CertificateRevocationList | None:
    """The list behind a certificate. :raises ValueError: it cannot be read."""
    at = data.find(LIST_BEGINNING)
    return None if at < 0 else x509.load_pem_x509_crl(data[at:])


def _number_of(data: bytes, root: x509.Certificate) -> int:
    try:
        found = x509.load_pem_x509_certificate(data)
        found.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise UsageError(
            "that is no certificate of this authority", hint="name the .pem file that it issued"
        ) from error
    if found == root:
        raise UsageError(
            "that is the authority itself", hint="drystone cluster cert authority --overwrite makes another"
        )
    return found.serial_number


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int, now: datetime
) -> x509.CertificateBuilder:
    moment = now.astimezone(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - _EARLIER)
        .not_valid_after(moment + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _spell(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _name_of(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


def _address(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        if _HOST.fullmatch(text) is None:
            raise UsageError(f"{text[:80]!r} is neither a host's name nor an IP address") from None
        return x509.DNSName(text)


def _load(authority: Issued) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        root = x509.load_pem_x509_certificate(authority.certificate)
        key = serialization.load_pem_private_key(authority.key, None)
        constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
        _list_in(authority.certificate)
    except (ValueError, TypeError, x509.ExtensionNotFound) as error:
        raise UsageError(f"that is no authority: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != root.public_key() or not constraints.ca:
        raise UsageError("that is no authority with its key")
    return root, key


def _to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
