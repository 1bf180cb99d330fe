"""``provenance.json``: which files it names as what, hashes and signatures, and what was changed since."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from shared.core.errors import UsageError
from shared.core.store import Blob
from shared.schemas.digital_source import COMPOSITE, ENHANCED, SYNTHETIC
from shared.schemas.provenance import ClaimFacts, canonical, provenance, signer, source_of_file, verify

FACTS = ClaimFacts(
    title="film",
    source_name="film.mp4",
    source_sha256="ab" * 32,
    source_language="en",
    tracks=("orig", "control", "en", "es"),
    engines={"translation": "llama", "dubbing": "kokoro"},
)
CONTENT = {
    "film/tracks/orig.flac": b"as it was",
    "film/tracks/es.flac": b"a dub",
    "film/stems/speech.es.flac": b"its speech",
    "film/subtitles/es.srt": b"its text",
    "film/film.mp4": b"everything",
}


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    private = Ed25519PrivateKey.generate()
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for name, content in CONTENT.items():
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "out"


def blobs() -> dict[str, Blob]:
    return {
        name: Blob(name.rpartition("/")[2], hashlib.sha256(content).hexdigest(), len(content))
        for name, content in CONTENT.items()
    }


@pytest.mark.parametrize(
    ("path", "source", "language"),
    [
        ("film/tracks/orig.flac", None, None),
        ("film/tracks/control.flac", ENHANCED, None),
        ("film/tracks/en.flac", COMPOSITE, "en"),
        ("film/stems/vocals.flac", ENHANCED, None),
        ("film/stems/speech.control.flac", ENHANCED, None),
        ("film/stems/speech.es.flac", SYNTHETIC, "es"),
        ("film/shots/film_3_en.mp4", None, None),
        ("film/shots/film_3_en-revoiced.mp4", COMPOSITE, "en"),
        ("film/shots/film_3_control.mp4", ENHANCED, None),
        ("film/shots/film_3_es.mp4", COMPOSITE, "es"),
        ("film/auditions/es.flac", COMPOSITE, "es"),
        ("film/film.mkv", COMPOSITE, None),
        ("film/subtitles/es.srt", None, None),
        ("film/utterances/es.jsonl", None, None),
    ],
)
def test_every_file_is_what_it_is(path: str, source: str | None, language: str | None) -> None:
    assert source_of_file(path, FACTS) == (source, language)


def test_the_sidecar_says_what_was_done_to_what() -> None:
    record = provenance(blobs(), FACTS)
    entries = {entry["title"]: entry for entry in record["manifests"]}
    assert list(entries) == ["film/film.mp4", "film/stems/speech.es.flac", "film/tracks/es.flac"]
    actions, binding = (part["data"] for part in entries["film/tracks/es.flac"]["assertions"])
    assert [action["action"] for action in actions["actions"]] == ["c2pa.dubbed", "c2pa.translated"]
    assert actions["actions"][0]["digitalSourceType"] == COMPOSITE
    assert actions["actions"][0]["parameters"]["engines"] == {"translation": "llama", "dubbing": "kokoro"}
    assert base64.b64decode(binding["hash"]) == hashlib.sha256(b"a dub").digest()
    assert record["ingredients"][0]["title"] == "film.mp4"
    assert "signature" not in record
    json.dumps(record)


def test_what_was_signed_is_found_unchanged(key: Path, out: Path) -> None:
    record = json.loads(json.dumps(provenance(blobs(), FACTS, signer(key))))
    verdict = verify(out, record)
    assert (verdict.changed, verdict.missing, verdict.signature) == ([], [], "valid")
    assert len(base64.b64decode(verdict.public_key or "")) == 32


def test_changes_are_seen(key: Path, out: Path) -> None:
    record = provenance(blobs(), FACTS, signer(key))
    (out / "film/tracks/es.flac").write_bytes(b"another")
    (out / "film/film.mp4").unlink()
    verdict = verify(out, record)
    assert verdict.changed == ["film/tracks/es.flac"]
    assert verdict.missing == ["film/film.mp4"]
    assert verdict.signature == "valid", "the sidecar itself is as it was"
    record["manifests"][0]["assertions"][1]["data"]["hash"] = ""
    assert verify(out, record).signature == "invalid"


def test_another_ones_signature_does_not_fit(key: Path, out: Path) -> None:
    record = provenance(blobs(), FACTS, signer(key))
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    record["signature"]["public_key"] = base64.b64encode(other).decode()
    assert verify(out, record).signature == "invalid"
    record["signature"]["public_key"] = "nothing"
    assert verify(out, record).signature == "invalid"


def test_no_file_outside_the_folder_is_looked_at(out: Path) -> None:
    secret = out.parent / "secret.flac"
    secret.write_bytes(b"mine")
    record = provenance({"../secret.flac": Blob("secret.flac", hashlib.sha256(b"mine").hexdigest(), 4)}, FACTS)
    assert verify(out, record).missing == ["../secret.flac"]


def test_without_a_key_nothing_is_signed(out: Path) -> None:
    assert signer(None) is None
    assert verify(out, provenance(blobs(), FACTS)).signature == "none"


@pytest.mark.parametrize("kind", ["absent", "text", "locked", "other"])
def test_a_key_that_cannot_be_used_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key.pem"
    if kind == "text":
        path.write_text("no key", encoding="utf-8")
    if kind == "locked":
        private = Ed25519PrivateKey.generate()
        path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")))
    if kind == "other":
        curve = generate_private_key(SECP256R1())
        path.write_bytes(curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(UsageError) as refused:
        signer(path)
    assert refused.value.code == "bad_signing_key"
    assert str(tmp_path) not in refused.value.message


def test_what_is_signed_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical({"b": 1, "a": "é", "signature": 3}) == canonical({"a": "é", "b": 1}) == '{"a":"é","b":1}'.encode()
