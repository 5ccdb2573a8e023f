"""Event streams as Python's HTTP clients read them: aiohttp and httpx, at the sse example whose URL is given."""

import asyncio
import json
import sys

import aiohttp
import httpx

DEADLINE = 15
TEXT = "two\nlines, \U0001f600"


class Parser:
    """Events out of the lines of a stream (WHATWG HTML, 9.2.6)."""

    def __init__(self):
        self.fields = {}

    def line(self, line):
        if line == "":
            fields, self.fields = self.fields, {}
            return fields if "data" in fields else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        self.fields[name] = self.fields["data"] + "\n" + value if name == "data" and "data" in self.fields else value
        return None


async def aiohttp_client(url):
    async with aiohttp.ClientSession() as session:
        async with session.get(url + "/?swio=stream", headers={"Accept": "text/event-stream"}) as stream:
            assert stream.content_type == "text/event-stream", stream.headers

            async def events():
                parser = Parser()
                async for line in stream.content:
                    if event := parser.line(line.decode().rstrip("\n")):
                        yield event

            told = events()
            token = json.loads((await anext(told))["data"])["session"]
            send = {"swio": "send", "session": token}
            async with session.post(url, params=send, data=TEXT) as answer:
                assert answer.status == 204, answer.status
            said = await anext(told)
            assert said["data"].endswith(": " + TEXT), said
            async with session.post(url, params=send, json={}) as answer:
                assert answer.status == 415, answer.status
            return said["id"], send


def httpx_client(url, last_id, send):
    headers = {"Accept": "text/event-stream", "Last-Event-ID": last_id}
    with httpx.Client(timeout=DEADLINE) as client:
        # The other client's stream is over, and so is its session.
        gone = client.post(url, params=send, content="late")
        assert (gone.status_code, gone.json()) == (404, {"error": "unknown session"}), gone
        with client.stream("GET", url + "/?swio=stream", headers=headers) as stream:
            parser = Parser()
            told = filter(None, map(parser.line, stream.iter_lines()))
            token = json.loads(next(told)["data"])["session"]
            answer = client.post(url, params={"swio": "send", "session": token}, content="from httpx")
            assert answer.status_code == 204, answer
            said = next(told)
            assert said["data"].endswith(": from httpx"), said


def main():
    url = sys.argv[1]
    last_id, send = asyncio.run(asyncio.wait_for(aiohttp_client(url), DEADLINE))
    httpx_client(url, last_id, send)


main()
