"""Small glTF files, as Python values to be spoilt: a square with a picture, a strip, a camera, lights, a turned and a mirrored node."""

from __future__ import annotations

import base64
import copy
import json
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Json = dict[str, Any]

SQUARE = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]], np.float32)
CORNERS = np.array([0, 1, 2, 0, 2, 3], np.uint16)
PLACES = np.array([[0, 65535], [65535, 65535], [65535, 0], [0, 0]], np.uint16)
MOVED = np.array([[3, 1, 0]], np.float32)

PICTURE: bytes = cv2.imencode(".png", np.full((5, 6, 3), (0, 0, 255), np.uint8))[1].tobytes()
BINARY = b"".join([SQUARE.tobytes(), CORNERS.tobytes(), PLACES.tobytes(), b"\2\0\0\0", MOVED.tobytes(), PICTURE])

_DOCUMENT: Json = {
    "asset": {"version": "2.0"},
    "extensionsUsed": ["KHR_lights_punctual"],
    "extensions": {
        "KHR_lights_punctual": {"lights": [{"type": "spot", "intensity": 50, "color": [1, 0.5, 0]}, {"type": "point", "intensity": 25}]}
    },
    "scene": 0,
    "scenes": [{"nodes": [0]}],
    "nodes": [
        {"name": "top", "children": [1, 2, 3, 4], "translation": [0, 1, 0]},
        {"name": "square", "mesh": 0, "rotation": [0, 0, 0.70710678, 0.70710678], "scale": [2, 1, 1]},
        {"name": "strip", "mesh": 1, "matrix": [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 5, 0, 0, 1]},
        {"name": "eye", "camera": 0, "translation": [0, 0, 4], "extensions": {"KHR_lights_punctual": {"light": 0}}},
        {"name": "square", "mesh": 0, "extensions": {"KHR_lights_punctual": {"light": 1}}},
    ],
    "cameras": [{"type": "perspective", "perspective": {"yfov": 0.7, "aspectRatio": 2.0, "znear": 0.1}}],
    "meshes": [
        {
            "name": "A square!",
            "primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 2}, "indices": 1, "material": 0}],
        },
        {"primitives": [{"attributes": {"POSITION": 3}, "mode": 5}]},
    ],
    "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [0.5, 1, 1, 1], "baseColorTexture": {"index": 0}}, "alphaMode": "MASK"}],
    "textures": [{"source": 0}],
    "images": [{"bufferView": 5, "mimeType": "image/png"}],
    "accessors": [
        {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3", "min": [0, 0, 0], "max": [2, 1, 0]},
        {"bufferView": 1, "componentType": 5123, "count": 6, "type": "SCALAR"},
        {"bufferView": 2, "componentType": 5123, "normalized": True, "count": 4, "type": "VEC2"},
        {
            "bufferView": 0,
            "componentType": 5126,
            "count": 4,
            "type": "VEC3",
            "min": [0, 0, 0],
            "max": [3, 1, 0],
            "sparse": {"count": 1, "indices": {"bufferView": 3, "componentType": 5121}, "values": {"bufferView": 4}},
        },
    ],
    "bufferViews": [
        {"buffer": 0, "byteOffset": 0, "byteLength": 48},
        {"buffer": 0, "byteOffset": 48, "byteLength": 12},
        {"buffer": 0, "byteOffset": 60, "byteLength": 16},
        {"buffer": 0, "byteOffset": 76, "byteLength": 1},
        {"buffer": 0, "byteOffset": 80, "byteLength": 12},
        {"buffer": 0, "byteOffset": 92, "byteLength": len(PICTURE)},
    ],
    "buffers": [{"byteLength": len(BINARY)}],
}


def sample() -> Json:
    """The JSON of a .glb that has everything which is read, for a test to change."""
    return copy.deepcopy(_DOCUMENT)


def glb(document: Json | bytes, binary: bytes = BINARY) -> bytes:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = binary + bytes(-len(binary) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(body), b"BIN\0") + body
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def write(path: Path, document: Json | bytes, binary: bytes = BINARY) -> Path:
    path.write_bytes(glb(document, binary))
    return path


def with_uri(uri: str) -> Json:
    """The sample as a .gltf that has its buffer elsewhere."""
    document = sample()
    document["buffers"][0]["uri"] = uri
    return document


def data_uri(data: bytes = BINARY) -> str:
    return "data:application/octet-stream;base64," + base64.b64encode(data).decode()
