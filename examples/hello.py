"""The smallest program: a function of two steps with a sleep between them.

    python examples/hello.py

`ironflow.start` runs an engine in a thread, so a plain program can use it. The journal
`memory:` forgets everything at the end; `lmdb:some/directory` would remember it, and a
run that was killed half-way would go on at the next start.
"""

import ironflow


def compose(name: str) -> str:
    """Do the work of a step: any plain function, which runs in a thread."""
    return f"hello, {name}"


async def shout(text: str) -> str:
    """Do the work of another: an async function, which runs on Trio."""
    return text.upper() + "!"


@ironflow.function(id="hello", triggers=["hello.asked"])
async def hello(ctx: ironflow.Context[dict[str, str]]) -> str:
    """Greet. Whatever reaches outside is a step; the rest only connects them."""
    greeting = await ctx.step.run("compose", compose, ctx.event.data["name"])
    await ctx.step.sleep("hesitate", "50ms")
    return await ctx.step.run("shout", shout, greeting)


app = ironflow.App(functions=[hello])


def main() -> None:
    """Emit one event and print what the run that it starts comes to."""
    with ironflow.start(app, "memory:") as engine:
        [run] = engine.emit_sync("hello.asked", {"name": "Ada"})
        print(f"run {run.id} of {run.function_id!r} is {run.status}")
        print(run.unwrap())


if __name__ == "__main__":
    main()
