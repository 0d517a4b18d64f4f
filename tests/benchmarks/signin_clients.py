"""Clients that post wrong passwords as fast as the server answers, until their input ends.

They speak bare HTTP: on one machine, what they compute themselves is taken from the server's time too."""

import asyncio
import json
import secrets
import sys
from collections import Counter
from urllib.parse import urlsplit

CLIENTS = 8
TOKEN = secrets.token_hex(16)


async def post(url: str, address: str, answers: Counter[str]) -> None:
    while True:  # on one connection as long as the server keeps it
        where = urlsplit(url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port, local_addr=(address, 0))
        try:
            while await tried(where.netloc, reader, writer, answers):
                pass
        finally:
            writer.close()


async def tried(
    host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: Counter[str]
) -> bool:
    """Try once, count the answer by its status, and tell whether the connection is still there."""
    form = f"username=name-{secrets.token_hex(4)}&password={secrets.token_hex(8)}&csrfmiddlewaretoken={TOKEN}"
    lines = [
        "POST /sign-in HTTP/1.1",
        f"Host: {host}",
        f"Cookie: csrftoken={TOKEN}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(form)}",
    ]
    writer.write(("\r\n".join(lines) + "\r\n\r\n" + form).encode())
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = head.partition("content-length: ")[2].partition("\r\n")[0]
        await (reader.readexactly(int(length)) if length else reader.read())
    except (asyncio.IncompleteReadError, ConnectionError):
        return False
    answers[head.split(" ", 2)[1]] += 1
    return bool(length) and "connection: close" not in head


async def main(url: str, addresses: int) -> Counter[str]:
    """Attack from several addresses: loopback has as many as one likes."""
    answers: Counter[str] = Counter()
    tasks = [
        asyncio.create_task(post(url, f"127.0.0.{1 + number % addresses}", answers))
        for number in range(CLIENTS)
    ]
    print("trying", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in tasks:
        if not task.cancel():
            task.result()  # it ended before it was asked to: whatever it raised is raised here
    await asyncio.gather(*tasks, return_exceptions=True)
    return answers


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2])))))
