"""asyncio inside trio, on whichever Python this is: what imaging/_aio.py mends for 3.14."""

import asyncio
import subprocess
import sys

import trio

from imaging._aio import from_aio, open_aio


async def test_tasks_and_sockets_of_asyncio_work() -> None:
    """With tasks that wait for each other, as asyncssh's and telnetlib3's do."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    async def talk() -> tuple[bytes, bool]:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello\n")
        answer = await asyncio.create_task(asyncio.wait_for(reader.readline(), 5))
        writer.close()
        server.close()
        inside = asyncio.get_running_loop() is asyncio.get_event_loop()
        return answer, inside and asyncio.current_task() is not None

    async with open_aio():
        assert await from_aio(talk) == (b"hello\n", True)


async def test_trio_is_not_taken_for_asyncio_between_its_callbacks() -> None:
    """A loop that stayed set in the thread would be, by libraries that serve both."""
    import sniffio

    async def asyncios() -> str:
        await asyncio.sleep(0)
        return sniffio.current_async_library()

    async with open_aio():
        assert await from_aio(asyncios) == "asyncio"
        assert sniffio.current_async_library() == "trio"
        with trio.fail_after(5):
            await trio.sleep(0.01)
        assert sys.modules["_asyncio"]._get_running_loop() is None


async def test_a_turn_runs_all_callbacks_that_wait() -> None:
    """And not one each: with a thousand nodes at work, a turn is long."""
    turns, count = 0, 100

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async def wait_for_callbacks() -> int:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        begun = turns
        for _ in range(count):
            loop.call_soon(int)
        loop.call_soon(done.set_result, None)
        await done
        return turns - begun

    async with open_aio(), trio.open_nursery() as nursery:
        nursery.start_soon(take_turns)
        await trio.sleep(0.01)
        assert await from_aio(wait_for_callbacks) < count / 10
        nursery.cancel_scope.cancel()


async def test_callbacks_that_never_end_leave_trio_its_turns() -> None:
    over = False

    async def go_on() -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            if not over:
                loop.call_soon(again)

        again()

    async with open_aio():
        await from_aio(go_on)
        await trio.sleep(0.05)
        over = True


def test_its_import_warns_of_nothing() -> None:
    """Whatever the user has asked of Python."""
    words = [sys.executable, "-W", "error", "-c", "import imaging._aio"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
