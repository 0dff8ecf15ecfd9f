"""A peer of the engine's server, as a script would have it: the library `websockets` and Python's own json, and no scene behind it.

    python -m benchmarks.bridges.websockets_server

says the address as a JSON line, and answers each message with what Remote Control answers to a move.
"""

from __future__ import annotations

import asyncio
import json
import sys

from websockets.asyncio.server import ServerConnection, serve


async def answer(connection: ServerConnection) -> None:
    async for message in connection:
        parameters = json.loads(message)["Parameters"]
        place = parameters["Body"]["parameters"]["NewTransform"]["Translation"]
        answered = {"RequestId": parameters["RequestId"], "ResponseCode": 200, "ResponseBody": {"ReturnValue": "X" in place}}
        await connection.send(json.dumps(answered))


async def main() -> None:
    async with serve(answer, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        sys.stdout.write(json.dumps(f"ws://127.0.0.1:{port}") + "\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until whoever started it is gone


if __name__ == "__main__":
    asyncio.run(main())
