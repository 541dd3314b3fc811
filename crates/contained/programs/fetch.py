"""Prints the page of a host, or why there is none, with asyncio."""

import asyncio
import sys


async def fetch(host):
    reader, writer = await asyncio.open_connection(host, 80)
    writer.write(f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
    print((await reader.read()).decode())
    writer.close()


try:
    asyncio.run(fetch(sys.argv[1]))
except OSError as error:
    sys.exit(str(error))
