"""The door's certificate names this machine, lasts as long as browsers allow, and its key is nobody else's."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from agents.xr.door.addresses import lan_address, own_addresses
from agents.xr.door.certificate import LIFETIME, MOST_NAMES, NAME, RENEWAL, Certificate, Names, keep_certificate, names_of
from agents.xr.door.key import draw_key, keep_key
from agents.xr.door.private import NotPrivate, make_private_folder

NOW = datetime.now(UTC)
LAN = ip_address("192.168.1.5")
OFFICE = ip_address("10.0.0.7")
NAMES = names_of(["workstation"], [LAN])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "door"
    make_private_folder(made)
    return made


def certificate_in(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / NAME).read_bytes())


def handshake(certificate: Certificate, name: str) -> None:
    """A client that trusts just this certificate, and a server that has it, in memory. Raises ssl.SSLError."""
    trusting = ssl.create_default_context(cafile=str(certificate.path))
    trusting.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server, server_hostname=name)
    server = certificate.context().wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    for _ in range(10):
        waiting = [end for end in waiting if not agrees(end)]
    assert not waiting


def agrees(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "192.168.1.5", "workstation"])
def test_a_client_that_trusts_it_takes_this_machine_for_itself(folder: Path, name: str) -> None:
    handshake(keep_certificate(folder, NAMES, NOW), name)


def test_it_speaks_for_no_other_machine(folder: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(keep_certificate(folder, NAMES, NOW), "192.168.1.6")


def test_it_is_what_browsers_want(folder: Path) -> None:
    keep_certificate(folder, NAMES, NOW)
    certificate = certificate_in(folder)

    assert isinstance(key := certificate.public_key(), ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc <= timedelta(days=825)
    assert certificate.not_valid_before_utc < NOW - timedelta(hours=1), "a headset's clock may be behind"
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_its_fingerprint_is_the_one_that_browsers_show(folder: Path) -> None:
    fingerprint = keep_certificate(folder, NAMES, NOW).fingerprint

    assert fingerprint.replace(":", "").lower() == certificate_in(folder).fingerprint(SHA256()).hex()
    assert len(fingerprint.split(":")) == 32


def test_nobody_else_may_read_its_key(folder: Path) -> None:
    path = keep_certificate(folder, NAMES, NOW).path

    assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert b"PRIVATE KEY" in path.read_bytes()


@pytest.mark.parametrize(
    ("names", "later", "stays"),
    [
        (NAMES, timedelta(days=700), True),
        (NAMES, LIFETIME - RENEWAL, False),
        (names_of([], []), timedelta(0), True),
        (names_of(["workstation"], [LAN, OFFICE]), timedelta(0), False),
        (names_of(["renamed"], [LAN]), timedelta(0), False),
        (NAMES, timedelta(days=-9), False),
    ],
)
def test_it_stays_while_it_is_good_for_what_this_machine_is_called(folder: Path, names: Names, later: timedelta, stays: bool) -> None:
    first = keep_certificate(folder, NAMES, NOW)

    assert (keep_certificate(folder, names, NOW + later).fingerprint == first.fingerprint) == stays


def test_who_goes_between_two_networks_is_shown_a_new_one_once(folder: Path) -> None:
    home, office = NAMES, names_of(["laptop.office"], [OFFICE])

    first, second, *others = [keep_certificate(folder, names, NOW).fingerprint for names in (home, office, home, office)]

    assert first != second and others == [second, second]


def test_it_keeps_its_key(folder: Path) -> None:
    keep_certificate(folder, NAMES, NOW)
    key = certificate_in(folder).public_key()

    keep_certificate(folder, names_of([], [OFFICE]), NOW)

    assert certificate_in(folder).public_key() == key


def test_it_does_not_grow_with_each_network_for_ever(folder: Path) -> None:
    for number in range(2 * MOST_NAMES):
        keep_certificate(folder, names_of([], [ip_address(f"10.0.0.{number}")]), NOW)
        told = certificate_in(folder).extensions.get_extension_for_class(x509.SubjectAlternativeName).value

        assert len(told) <= MOST_NAMES and ip_address(f"10.0.0.{number}") in told.get_values_for_type(x509.IPAddress)


@pytest.mark.parametrize("data", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_one_that_cannot_be_read_is_made_anew(folder: Path, data: bytes) -> None:
    (folder / NAME).touch(0o600)
    (folder / NAME).write_bytes(data)

    handshake(keep_certificate(folder, NAMES, NOW), "localhost")


@pytest.mark.parametrize("spoilt", ["without its key", "with another key", "without names", "with a key behind a password"])
def test_one_that_no_server_could_use_is_made_anew(folder: Path, spoilt: str) -> None:
    path = keep_certificate(folder, NAMES, NOW).path
    path.write_bytes(spoil(path.read_bytes())[spoilt])

    handshake(keep_certificate(folder, NAMES, NOW), "localhost")


def spoil(file: bytes) -> dict[str, bytes]:
    """The files of certificates that someone has had in hand."""
    end = b"-----END PRIVATE KEY-----\n"
    secret, certificate = file.partition(end)[0] + end, file.partition(end)[2]
    key, another = load_pem_private_key(secret, None), ec.generate_private_key(ec.SECP256R1())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.Name([])
    nameless = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - timedelta(1), NOW + timedelta(99)).sign(key, SHA256())
    return {
        "without its key": certificate,
        "with another key": another.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate,
        "without names": secret + nameless.public_bytes(Encoding.PEM),
        "with a key behind a password": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
        + certificate,
    }


def test_a_key_that_others_could_read_is_refused(folder: Path) -> None:
    path = keep_certificate(folder, NAMES, NOW).path
    path.chmod(0o640)

    with pytest.raises(NotPrivate, match=r"open to others \(mode 0640\)"):
        keep_certificate(folder, NAMES, NOW)


def test_a_folder_that_others_can_open_is_refused(tmp_path: Path) -> None:
    (tmp_path / "door").mkdir(mode=0o755)

    with pytest.raises(NotPrivate, match="open to others"):
        make_private_folder(tmp_path / "door")


def test_a_link_to_a_key_is_not_followed(folder: Path, tmp_path: Path) -> None:
    draw_key(folder)
    (folder / "pairing.key").rename(tmp_path / "elsewhere")
    (folder / "pairing.key").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(NotPrivate, match=r"symbolic links\): remove it"):
        keep_key(folder)


def test_a_folder_in_the_place_of_a_key_is_refused(folder: Path) -> None:
    (folder / "pairing.key").mkdir(mode=0o700)

    with pytest.raises(NotPrivate, match="no plain file"):
        keep_key(folder)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "door").touch(0o600)

    with pytest.raises(NotPrivate, match="is no folder: remove it"):
        make_private_folder(tmp_path / "door")


def test_the_key_of_cookies_is_kept_until_another_is_drawn(folder: Path) -> None:
    key = keep_key(folder)

    assert (len(key), keep_key(folder)) == (32, key)
    another = draw_key(folder)
    assert another != key and keep_key(folder) == another


def test_a_key_that_is_too_short_is_refused(folder: Path) -> None:
    (folder / "pairing.key").touch(0o600)
    (folder / "pairing.key").write_bytes(b"short")

    with pytest.raises(NotPrivate, match="5 bytes, want 32"):
        keep_key(folder)


def test_a_name_that_is_none_in_dns_is_left_out() -> None:
    assert names_of(["my_machine", "", "ein Rechner", "a" * 64, "UPPER.example"], []).hosts == {"localhost", "upper.example"}


def test_headsets_are_led_to_an_address_of_this_machine() -> None:
    address = lan_address()

    assert address is None or (address in own_addresses() and not address.is_loopback)
