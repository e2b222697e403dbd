"""Stands between one gateway and its Redis: relay.py SOCKET TARGET, both paths of UNIX sockets.

A process of its own, so that a test can cut that gateway off by killing it, or let all that is under
way hang by stopping it, while other gateways go on.
"""

import asyncio
import sys


async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(target, reader, writer):
    try:
        there = await asyncio.open_unix_connection(target)
    except OSError:
        writer.close()
        return
    await asyncio.gather(copy(reader, there[1]), copy(there[0], writer))


async def main():
    path, target = sys.argv[1:]
    server = await asyncio.start_unix_server(lambda *ends: serve(target, *ends), path)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
