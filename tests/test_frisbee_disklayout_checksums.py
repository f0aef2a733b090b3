"""CRCs of many records at once, against one bit at a time."""

from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.disklayout.checksums import CRC16, CRC32C, crc32c, crc_of_each


def slowly(kind: tuple[int, int], data: bytes, register: int) -> int:
    """The definition."""
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (kind[0] if register & 1 else 0)
    return register


def test_the_known_check_values() -> None:
    assert crc32c(b"123456789") ^ 0xFFFFFFFF == 0xE3069283
    assert crc_of_each(CRC16, [b"123456789"], 0xFFFF) == [0x4B37]
    assert crc_of_each(CRC16, [], 0xFFFF) == []
    assert crc_of_each(CRC32C, [b"", b""], 77) == [77, 77]


@given(
    st.sampled_from([CRC16, CRC32C]),
    st.integers(1, 9).flatmap(
        lambda length: st.lists(st.binary(min_size=length, max_size=length), min_size=1)
    ),
    st.integers(0, 0xFFFF),
)
def test_all_at_once_is_one_by_one(kind: tuple[int, int], records: list[bytes], start: int) -> None:
    assert crc_of_each(kind, records, start) == [slowly(kind, each, start) for each in records]
