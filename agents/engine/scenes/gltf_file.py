"""A glTF 2.0 file and what it refers to, read into memory: .gltf and .glb, `data:` URIs, and files of its own folder, nothing else.

Source: Khronos, glTF 2.0 specification, sections 2.7 (URIs), 3.6.1 (buffers) and 4 (GLB).
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
import struct
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct

from agents.engine.scenes.errors import BadScene
from agents.engine.scenes.gltf_document import MAX_BYTES, MAX_JSON, Document
from agents.engine.scenes.json_text import parse
from agents.parts.bounded import Unreadable, read_bounded

_MAGIC, _JSON, _BIN = b"glTF", b"JSON", b"BIN\0"
_HEADER = struct.Struct("<4sII")
_CHUNK = struct.Struct("<I4s")
_DATA = "data:"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
"""RFC 3986, section 3.1."""


class Gltf(Struct, frozen=True):
    """The JSON; each buffer's bytes, not yet compared with its length; and those of each image that is not in a buffer."""

    document: Document
    buffers: tuple[bytes, ...]
    images: tuple[bytes | None, ...]


def read_gltf(path: Path) -> Gltf:
    """Read a file and what it refers to, at most MAX_BYTES together. Raises BadScene."""
    folder = _Folder(_resolved(path, path.name, "").parent)
    text, binary = _split(folder.read(path, ""))
    if len(text) > MAX_JSON:
        raise BadScene("", f"its JSON has {len(text)} bytes, of which {MAX_JSON} are parsed at most: put its buffers into a .bin or a .glb")
    document = parse(text, Document)
    buffers = tuple(_buffer(document, number, binary, folder) for number in range(len(document.buffers)))
    images = (folder.resource(image.uri, f"/images/{number}/uri") if image.uri else None for number, image in enumerate(document.images))
    return Gltf(document, buffers, tuple(images))


@dataclass(slots=True)
class _Folder:
    """The one folder that a file may refer to, and how many bytes may still be read."""

    path: Path
    left: int = field(default=MAX_BYTES)

    def resource(self, uri: str, where: str) -> bytes:
        """What a URI stands for. Raises BadScene."""
        if uri.startswith(_DATA):
            return self._take(_embedded(uri, where))
        name = urllib.parse.unquote(uri)
        if _SCHEME.match(uri) or name.startswith("/") or set(name) & set("\\\0") or ".." in name.split("/"):
            raise BadScene(where, f"{uri[:200]!r} is no data: URI and no file in the folder of the scene or below")
        return self.read(self._inside(name, where), where)

    def read(self, path: Path, where: str) -> bytes:
        """A file. Raises BadScene."""
        try:
            return self._take(read_bounded(path, self.left))
        except Unreadable as error:
            raise BadScene(where, str(error)) from error

    def _inside(self, name: str, where: str) -> Path:
        """The file of this name, once every symbolic link is followed."""
        path = _resolved(self.path / name, name, where)
        if not path.is_relative_to(self.path):
            raise BadScene(where, f"{name[:200]!r} leads out of the folder of the scene, by a symbolic link")
        return path

    def _take(self, data: bytes) -> bytes:
        self.left -= len(data)
        return data


def _resolved(path: Path, name: str, where: str) -> Path:
    """The path that is left once every symbolic link is followed. Raises BadScene."""
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links that go round in a circle
        raise BadScene(where, f"{name[:200]!r} cannot be found: {error}") from error


def _split(data: bytes) -> tuple[bytes, bytes | None]:
    """The JSON of a file, and the binary chunk if it is a .glb that has one."""
    if not data.startswith(_MAGIC):
        return data, None
    chunks = list(itertools.islice(_chunks(data), 2))  # what follows them belongs to extensions
    if not chunks or chunks[0][0] != _JSON:
        raise BadScene("", "the .glb does not begin with a JSON chunk")
    return chunks[0][1], next((content for kind, content in chunks if kind == _BIN), None)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk of a .glb."""
    if len(data) < _HEADER.size:
        raise BadScene("", f"the .glb ends after {len(data)} bytes")
    _, version, length = _HEADER.unpack_from(data)
    if version != 2:
        raise BadScene("", f"the .glb says that it is of version {version}: only version 2 is read")
    if length != len(data):
        raise BadScene("", f"the .glb says that it has {length} bytes, and has {len(data)}: it was cut, or something was added")
    at = _HEADER.size
    while at < length:
        size, kind = _CHUNK.unpack_from(data, at) if at + _CHUNK.size <= length else (length, b"")
        end = at + _CHUNK.size + size
        if end > length:
            raise BadScene("", f"a chunk of the .glb, at byte {at}, goes on beyond the file's end")
        yield kind, data[at + _CHUNK.size : end]
        at = end


def _buffer(document: Document, number: int, binary: bytes | None, folder: _Folder) -> bytes:
    uri = document.buffers[number].uri
    if uri is not None:
        return folder.resource(uri, f"/buffers/{number}/uri")
    if number or binary is None:
        raise BadScene(f"/buffers/{number}", "it has no uri, and is not the first buffer of a .glb with a binary chunk")
    return binary


def _embedded(uri: str, where: str) -> bytes:
    head, comma, text = uri.partition(",")
    if not comma or not head.endswith(";base64"):
        raise BadScene(where, "a data: URI has to be in base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadScene(where, f"the data: URI is not in base64: {error}") from error
