"""A browser without a screen: requests of the page with a cookie, as a form of it sends them."""

from __future__ import annotations

import asyncio
import re
from html import unescape

import httpx

from drystone.testing.cluster.client import OPERATOR, Client

HOST = "http://api"


class Visitor:
    """Somebody who looks at the page. :param token: in the cookie; "" for none."""

    def __init__(self, client: Client, token: str = OPERATOR) -> None:
        self.client = client
        self.cookies = {"drystone-cluster-token": token} if token else {}

    def send(
        self, method: str, path: str, form: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send one request as it is."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.client.application)
            async with httpx.AsyncClient(transport=transport, base_url=HOST, cookies=self.cookies) as client:
                return await client.request(method, path, data=form, headers=headers)

        return asyncio.run(ask())

    def look(self, path: str, status: int = 200) -> str:
        """The text of a page."""
        answer = self.send("GET", path)
        assert answer.status_code == status, answer.text
        return answer.text

    def post(self, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        """Send a form from the page itself."""
        return self.send("POST", path, form, {"Origin": HOST, **headers})

    def sure(self, path: str) -> httpx.Response:
        """Look at a preview, and press its button."""
        text = self.look(path)
        form = text[text.index('class="sure"') :]
        fields = re.findall(r'name="([^"]*)" value="([^"]*)"', form)
        return self.post(path.partition("?")[0], {name: unescape(value) for name, value in fields})
