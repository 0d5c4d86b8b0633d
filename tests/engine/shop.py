"""A shop whose steps note each call, and fail while they are told to."""

from typing import Any

import ironflow
from ironflow import Context, NonRetryableError


class Shop:
    """Steps that note each call, and fail while they are told to."""

    def __init__(self, *failing: str) -> None:
        self.calls: list[str] = []
        self.failing = set(failing)
        self.price_now = 7

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise NonRetryableError(f"{name} does not work")

    async def price(self) -> int:
        self._called("price")
        return self.price_now

    async def charge(self, price: int) -> str:
        self._called("charge")
        return f"charged {price}"

    async def mail(self) -> None:
        self._called("mail")


def order(shop: Shop) -> ironflow.Function[Any, Any]:
    @ironflow.function(id="order", triggers=["go"])
    async def flow(ctx: Context[Any]) -> str:
        price = await ctx.step.run("price", shop.price)
        charged = await ctx.step.run("charge", shop.charge, price)
        await ctx.step.run("mail", shop.mail)
        return charged

    return flow


async def failed(engine: ironflow.Engine) -> str:
    [run] = await engine.emit_sync("go")
    assert run.status == "failed", run
    return run.id
