"""What a connection meets whose other end misbehaves, whatever it should speak."""

import random
import socket
import struct

import trio

READ_SIZE = 4096  # bytes
NOISE_PAUSE_S = 0.05
DRIP_PAUSE_S = 0.5
FLOOD_PIECE = b"all work and no play makes jack a dull boy\r\n" * 400
FLOOD_PAUSE_S = 0.005  # endless, but other nodes of this machine want to live too
LOGIN, PASSWORD, INCORRECT = b" login: ", b"Password: ", b"\r\nLogin incorrect\r\n\r\n"


def noise(size: int, seed: int = 0) -> bytes:
    """Binary noise, the same for the same seed."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - noise, not secrets


def reset_at_close(stream: trio.SocketStream) -> None:
    """Have the connection end with an RST."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def say_nothing(stream: trio.SocketStream) -> None:
    """Take all, say nothing, until the other side has enough."""
    while await stream.receive_some(READ_SIZE):
        pass


async def make_noise(stream: trio.SocketStream) -> None:
    """Send noise until the other side has enough."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_closed, stream, nursery.cancel_scope)
        seed = 0
        while True:
            await stream.send_all(noise(READ_SIZE, seed))
            await trio.sleep(NOISE_PAUSE_S)
            seed += 1


async def flood(stream: trio.SocketStream) -> None:
    """Send text until the other side has enough."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_closed, stream, nursery.cancel_scope)
        while True:
            await stream.send_all(FLOOD_PIECE)
            await trio.sleep(FLOOD_PAUSE_S)


async def drip(stream: trio.SocketStream, data: bytes) -> None:
    """Send byte by byte, slowly."""
    for place in range(len(data)):
        await stream.send_all(data[place : place + 1])
        await trio.sleep(DRIP_PAUSE_S)


async def ask_for_login(stream: trio.SocketStream, name: str) -> None:
    """A login program that lets nobody in."""
    prompts = [name.encode() + LOGIN, PASSWORD]
    asked = 0
    await stream.send_all(b"\r\n" + prompts[0])
    while data := await stream.receive_some(READ_SIZE):
        for _ in range(data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")):
            asked += 1
            failed = INCORRECT if asked % 2 == 0 else b"\r\n"
            await stream.send_all(failed + prompts[asked % 2])


async def _until_closed(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    await say_nothing(stream)
    scope.cancel()
