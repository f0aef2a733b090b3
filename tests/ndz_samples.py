"""The sample images: what the C imagezip wrote, and what the C imageunzip made of it."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

SAMPLES = Path(__file__).parent / "samples"


@dataclass(frozen=True)
class Sample:
    """One image, and its expansion to a new file and to a pipe (bytes, sha256)."""

    name: str
    sha256: str
    version: int
    compressed_sizes: tuple[int, ...]
    covered: tuple[tuple[int, int] | None, ...]
    regions: tuple[tuple[tuple[int, int], ...], ...]
    file: tuple[int, str]
    pipe: tuple[int, str]
    decompressed: int
    wrote: int

    def read(self) -> bytes:
        """The image's bytes."""
        data = (SAMPLES / self.name).read_bytes()
        data = gzip.decompress(data) if self.name.endswith(".gz") else data
        assert hashlib.sha256(data).hexdigest() == self.sha256
        return data

    @property
    def chunks(self) -> list[bytes]:
        """The image's chunks."""
        data = self.read()
        return [data[begin : begin + (1 << 20)] for begin in range(0, len(data), 1 << 20)]


RAW = Sample(
    name="raw.ndz",
    sha256="21b867554f674c5975e4768bcd0424e273330eb84e7e5da7d99544c0a0cfd93d",
    version=3,
    compressed_sizes=(812289,),
    covered=((0, 8192),),
    regions=(((0, 8192),),),
    file=(4194304, "1378955162406cd946fd59198c5a3cb9c5f7233b29b39fa10fe1efc5c2c05774"),
    pipe=(4194304, "1378955162406cd946fd59198c5a3cb9c5f7233b29b39fa10fe1efc5c2c05774"),
    decompressed=4194304,
    wrote=4194304,
)
DOS_EXT4 = Sample(
    name="dos-ext4.ndz",
    sha256="f193b605254ca389fe2e09d6330fcee86fea09a5047676ff99da47760c7f490b",
    version=3,
    compressed_sizes=(1043150, 639758),
    covered=((0, 13359), (13359, 129024)),
    regions=(
        ((0, 13359),),
        ((13359, 1237), (34320, 8690), (67088, 498), (99856, 498), (116738, 498)),
    ),
    file=(60024832, "44b19bab19b983674ee612977eb934ff9f9064ff85d365410c5a1449056de3b2"),
    pipe=(66060288, "c36b95ff19e186212a144c4af0c44ca2311da813de44c9a8e89467fad79198d6"),
    decompressed=12687360,
    wrote=66060288,
)
DOS_Z1 = Sample(
    name="dos-z1.ndz",
    sha256="b553b91dca851cb6caeabfa17e047742ff10d2e484917e0fb85b1c88914d4bd4",
    version=3,
    compressed_sizes=(477650,),
    covered=((0, 63488),),
    regions=(((0, 7374), (34576, 2290), (51202, 242)),),
    file=(26339328, "673c4d6b364d4135b645fd40b8e8345d9e1655d179ea0af737c491046e208385"),
    pipe=(32505856, "24fe16268acaf9d6f664df02bfde3cc65fdcd392c33345310c9979ced72dba84"),
    decompressed=5071872,
    wrote=32505856,
)
DOS_Z9 = Sample(
    name="dos-z9.ndz",
    sha256="863847f7399c4ca63ff126c2f7ee21c01cb79cb86fbe8704733652cfaf02a0fd",
    version=3,
    compressed_sizes=(447590,),
    covered=((0, 63488),),
    regions=(((0, 7374), (34576, 2290), (51202, 242)),),
    file=(26339328, "673c4d6b364d4135b645fd40b8e8345d9e1655d179ea0af737c491046e208385"),
    pipe=(32505856, "24fe16268acaf9d6f664df02bfde3cc65fdcd392c33345310c9979ced72dba84"),
    decompressed=5071872,
    wrote=32505856,
)
V3 = Sample(
    name="extra/v3.ndz.gz",
    sha256="2e258c81c9c8519acf14d70f17a232304d5d8402689b81bc87cb75b23e4c6512",
    version=3,
    compressed_sizes=(9830,),
    covered=((0, 32768),),
    regions=(((0, 4056), (18434, 114), (30720, 64)),),
    file=(15761408, "939de1381b3cb8425211149add0d4aaebc046da3a6ecdebd0811a7967580ef13"),
    pipe=(16777216, "0552b4e066bcbb28546f5c59fb68b3a3bb977ebe97a5548a360e591ea8e97a86"),
    decompressed=2167808,
    wrote=16777216,
)
V1 = Sample(
    name="extra/v1.ndz.gz",
    sha256="0b1b0f7ece7d34ce77dcc2cc809b41f7beceaf1b0d2709a0ba2b311ed2fcc64f",
    version=1,
    compressed_sizes=(9830,),
    covered=(None,),
    regions=(((0, 4056), (18434, 114), (30720, 64)),),
    file=(15761408, "939de1381b3cb8425211149add0d4aaebc046da3a6ecdebd0811a7967580ef13"),
    pipe=(15761408, "939de1381b3cb8425211149add0d4aaebc046da3a6ecdebd0811a7967580ef13"),
    decompressed=2167808,
    wrote=15761408,
)
SLICE1 = Sample(
    name="extra/slice1.ndz.gz",
    sha256="51f0fdd12cca93b1c81d8740510c33048b935bbf5377e2d21bf70386353666d9",
    version=3,
    compressed_sizes=(8537,),
    covered=((0, 28672),),
    regions=(((0, 2008), (16386, 114)),),
    file=(8448000, "639fd3b3acc3bece459424e9f5618b73cee08998d378a619b9881fa5f6fa9883"),
    pipe=(14680064, "886c5d686539e40a09c4b2cf2b2d1d1f4bf8201dfcb03f522dfd84e2de5a5d03"),
    decompressed=1086464,
    wrote=14680064,
)
R1 = Sample(
    name="extra/R1.ndz.gz",
    sha256="9cce8c6c5031c6a750dd8d3e15cdc169489197c53493bc4d2bf22d13ede5eb24",
    version=3,
    compressed_sizes=(25112,),
    covered=((0, 32768),),
    regions=(((0, 30784),),),
    file=(15761408, "939de1381b3cb8425211149add0d4aaebc046da3a6ecdebd0811a7967580ef13"),
    pipe=(16777216, "0552b4e066bcbb28546f5c59fb68b3a3bb977ebe97a5548a360e591ea8e97a86"),
    decompressed=15761408,
    wrote=16777216,
)
SHORT_V3 = Sample(
    name="extra/short-v3.ndz.gz",
    sha256="50ac266284e28527931159aae4d105c763c69d29c1bf60ef6ff1c496b2653647",
    version=3,
    compressed_sizes=(1042,),
    covered=((0, 2),),
    regions=(((0, 2),),),
    file=(1024, "05df0319f3a8f3e3f8adf430d815ebb05ab6d00317ad4e10d344b72de07502a2"),
    pipe=(1024, "05df0319f3a8f3e3f8adf430d815ebb05ab6d00317ad4e10d344b72de07502a2"),
    decompressed=1024,
    wrote=1024,
)
ALL = (RAW, DOS_EXT4, DOS_Z1, DOS_Z9, V3, V1, SLICE1, R1, SHORT_V3)


def corrupt() -> bytes:
    """raw.ndz with one damaged byte in its compressed data."""
    data = bytearray(RAW.read())
    data[400000] ^= 0xFF
    assert hashlib.sha256(data).hexdigest().startswith("348ec0f8adfe9ac9a81702730095a4fb")
    return bytes(data)


def truncated() -> bytes:
    """dos-ext4.ndz cut in its second chunk."""
    data = DOS_EXT4.read()[:1300000]
    assert hashlib.sha256(data).hexdigest().startswith("65ccb69614e8ec9faf302e4372388438")
    return data
