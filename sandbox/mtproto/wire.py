"""The bytes of requests and answers where Telethon's classes do not encode them."""

import gzip
import struct
from collections.abc import Iterator
from typing import Any

from telethon.extensions import BinaryReader
from telethon.tl import TLObject

CONTAINER = 0x73F1F8DC
GZIP_PACKED = 0x3072CFA1
VECTOR = 0x1CB5C415
BOOL_TRUE, BOOL_FALSE = 0x997275B5, 0xBC799737
RPC_RESULT = 0xF35C6D01
# Smaller answers are not compressed.
GZIP_FROM_BYTES = 4096
MAX_UNPACKED = 8 * 1024 * 1024


def constructor(body: bytes) -> int:
    return int.from_bytes(body[:4], "little")


def parts(message_id: int, seq_no: int, body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The messages inside one packet: containers are opened and gzip is unpacked.

    Raises ValueError or struct.error on a malformed container.
    """
    body = unpacked(body)
    if constructor(body) != CONTAINER:
        yield message_id, seq_no, body
        return
    (count,) = struct.unpack_from("<i", body, 4)
    position = 8
    for _ in range(count):
        inner_id, inner_seq, length = struct.unpack_from("<qii", body, position)
        position += 16
        inner = body[position : position + length]
        if len(inner) != length:
            raise ValueError("a container is cut short")
        position += length
        yield inner_id, inner_seq, unpacked(inner)


def unpacked(body: bytes) -> bytes:
    if constructor(body) != GZIP_PACKED:
        return body
    packed = BinaryReader(body[4:]).tgread_bytes()
    data = gzip.decompress(packed)
    if len(data) > MAX_UNPACKED:
        raise ValueError("the unpacked data is too large")
    return data


def serialised(result: Any) -> bytes:
    """A TL object, a bool, or a list of TL objects."""
    if isinstance(result, bool):
        return struct.pack("<I", BOOL_TRUE if result else BOOL_FALSE)
    if isinstance(result, list):
        return struct.pack("<Ii", VECTOR, len(result)) + b"".join(bytes(item) for item in result)
    return bytes(result)


def rpc_result(request_id: int, body: bytes) -> bytes:
    """rpc_result#f35c6d01 req_msg_id:long result:Object."""
    if len(body) >= GZIP_FROM_BYTES:
        packed = TLObject.serialize_bytes(gzip.compress(body, compresslevel=1))
        if len(packed) + 4 < len(body):
            body = struct.pack("<I", GZIP_PACKED) + packed
    return struct.pack("<Iq", RPC_RESULT, request_id) + body
