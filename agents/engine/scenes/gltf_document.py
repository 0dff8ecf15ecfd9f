"""A glTF 2.0 file's JSON, as far as scenes are read from it (Khronos, glTF 2.0 specification, section 5). Indices are not checked here.

What is not here is not read: animations, skins and morph targets (meshes stay as they were modelled), and what materials have beyond
the base colour.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

MAX_BYTES = 256 << 20
"""A file together with all that it refers to."""
MAX_JSON = 32 << 20
MAX_ELEMENTS = 4_000_000
"""In an accessor."""
MAX_NODES = 100_000
READ_EXTENSIONS = frozenset({"KHR_lights_punctual", "KHR_mesh_quantization"})
"""Those that a file may require."""

Index = Annotated[int, Meta(ge=0, le=2**31)]
Bytes = Annotated[int, Meta(ge=1, le=MAX_BYTES)]
Offset = Annotated[int, Meta(ge=0, le=MAX_BYTES)]
Count = Annotated[int, Meta(ge=1, le=MAX_ELEMENTS)]
Number = Annotated[float, Meta(ge=-1e30, le=1e30)]
Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(max_length=10_000)]
Three = tuple[Number, Number, Number]
Four = tuple[Number, Number, Number, Number]


class _Object(Struct, frozen=True, kw_only=True, rename="camel"):
    """An object of the file; what it has beyond these fields is passed over, as the specification asks."""


class Asset(_Object, frozen=True, kw_only=True):
    version: Name
    min_version: Name | None = None


class Buffer(_Object, frozen=True, kw_only=True):
    byte_length: Bytes
    uri: str | None = None


class BufferView(_Object, frozen=True, kw_only=True):
    buffer: Index
    byte_length: Bytes
    byte_offset: Offset = 0
    byte_stride: Annotated[int, Meta(ge=4, le=252, multiple_of=4)] | None = None


class SparseIndices(_Object, frozen=True, kw_only=True):
    buffer_view: Index
    component_type: Literal[5121, 5123, 5125]
    byte_offset: Offset = 0


class SparseValues(_Object, frozen=True, kw_only=True):
    buffer_view: Index
    byte_offset: Offset = 0


class Sparse(_Object, frozen=True, kw_only=True):
    count: Count
    indices: SparseIndices
    values: SparseValues


class Accessor(_Object, frozen=True, kw_only=True):
    component_type: Literal[5120, 5121, 5122, 5123, 5125, 5126]
    count: Count
    type: Literal["SCALAR", "VEC2", "VEC3", "VEC4", "MAT2", "MAT3", "MAT4"]
    buffer_view: Index | None = None
    byte_offset: Offset = 0
    normalized: bool = False
    sparse: Sparse | None = None


class Image(_Object, frozen=True, kw_only=True):
    uri: str | None = None
    buffer_view: Index | None = None


class Texture(_Object, frozen=True, kw_only=True):
    source: Index | None = None


class TextureInfo(_Object, frozen=True, kw_only=True):
    index: Index
    tex_coord: Index = 0


class Surface(_Object, frozen=True, kw_only=True):
    base_color_factor: tuple[Share, Share, Share, Share] = (1.0, 1.0, 1.0, 1.0)
    base_color_texture: TextureInfo | None = None


class Material(_Object, frozen=True, kw_only=True):
    pbr_metallic_roughness: Surface = Surface()
    alpha_mode: Literal["OPAQUE", "MASK", "BLEND"] = "OPAQUE"
    alpha_cutoff: Annotated[float, Meta(ge=0, le=1e6)] = 0.5
    double_sided: bool = False


class Primitive(_Object, frozen=True, kw_only=True):
    """`mode` as in OpenGL: 4 to 6 are triangles, a strip and a fan of them."""

    attributes: Annotated[dict[Name, Index], Meta(min_length=1, max_length=64)]
    indices: Index | None = None
    material: Index | None = None
    mode: Annotated[int, Meta(ge=0, le=6)] = 4


class Mesh(_Object, frozen=True, kw_only=True):
    primitives: Annotated[list[Primitive], Meta(min_length=1, max_length=10_000)]
    name: Name = ""


class Perspective(_Object, frozen=True, kw_only=True):
    yfov: Annotated[float, Meta(gt=0, lt=math.pi)]
    aspect_ratio: Annotated[float, Meta(gt=0.01, le=100)] = 16 / 9


class Camera(_Object, frozen=True, kw_only=True):
    """`perspective` null: it is orthographic."""

    perspective: Perspective | None = None


class Light(_Object, frozen=True, kw_only=True):
    """`intensity` in lux for a directional light, else in candelas."""

    type: Literal["directional", "point", "spot"]
    intensity: Annotated[float, Meta(ge=0, le=1e30)] = 1.0
    color: tuple[Share, Share, Share] = (1.0, 1.0, 1.0)


class Lights(_Object, frozen=True, kw_only=True):
    lights: Annotated[list[Light], Meta(max_length=10_000)] = []


class LightOfNode(_Object, frozen=True, kw_only=True):
    light: Index


class NodeExtensions(_Object, frozen=True, kw_only=True):
    lights: LightOfNode | None = field(default=None, name="KHR_lights_punctual")


class Extensions(_Object, frozen=True, kw_only=True):
    lights: Lights = field(default=Lights(), name="KHR_lights_punctual")


class Node(_Object, frozen=True, kw_only=True):
    """`matrix` is column by column, and instead of the other three."""

    name: Name = ""
    children: list[Index] = []
    mesh: Index | None = None
    camera: Index | None = None
    matrix: Annotated[list[Number], Meta(min_length=16, max_length=16)] | None = None
    translation: Three = (0.0, 0.0, 0.0)
    rotation: Four = (0.0, 0.0, 0.0, 1.0)
    scale: Three = (1.0, 1.0, 1.0)
    extensions: NodeExtensions = NodeExtensions()


class Scene(_Object, frozen=True, kw_only=True):
    nodes: list[Index] = []


class Document(_Object, frozen=True, kw_only=True):
    asset: Asset
    scene: Index = 0
    extensions_required: list[Name] = []
    accessors: Annotated[list[Accessor], Meta(max_length=100_000)] = []
    buffer_views: Annotated[list[BufferView], Meta(max_length=100_000)] = []
    buffers: Annotated[list[Buffer], Meta(max_length=1_000)] = []
    images: Annotated[list[Image], Meta(max_length=1_000)] = []
    textures: Annotated[list[Texture], Meta(max_length=1_000)] = []
    materials: Annotated[list[Material], Meta(max_length=10_000)] = []
    meshes: Annotated[list[Mesh], Meta(max_length=10_000)] = []
    cameras: Annotated[list[Camera], Meta(max_length=1_000)] = []
    nodes: Annotated[list[Node], Meta(max_length=MAX_NODES)] = []
    scenes: Annotated[list[Scene], Meta(max_length=1_000)] = []
    extensions: Extensions = Extensions()
