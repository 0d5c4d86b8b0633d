"""ironflow: functions in plain Python that survive a crash.

Each public name is imported when it is first asked for, so that `import ironflow`
costs nothing and what a program does not use (the engine, a driver) is not loaded.
`__init__.pyi` tells type checkers and editors the same.
"""

from importlib import import_module

__version__ = "0.1.0"

# Where each public name is defined.
_HOMES = {
    "App": "ironflow.authoring.app",
    "AsyncClient": "ironflow.client.asynchronous.client",
    "Cancelled": "ironflow.errors",
    "ChildRun": "ironflow.authoring.children",
    "Client": "ironflow.client.synchronous.client",
    "CodeError": "ironflow.errors",
    "ConfigurationError": "ironflow.errors",
    "Conflict": "ironflow.errors",
    "Context": "ironflow.authoring.context",
    "CurrentStep": "ironflow.engine.current",
    "Emission": "ironflow.handles",
    "Engine": "ironflow.engine.engine",
    "EngineClosed": "ironflow.errors",
    "EngineError": "ironflow.errors",
    "Event": "ironflow.authoring.event",
    "EventConflict": "ironflow.errors",
    "EventNotFound": "ironflow.errors",
    "ForeignAwaitError": "ironflow.errors",
    "Function": "ironflow.authoring.definition",
    "FunctionNotFound": "ironflow.errors",
    "HistoryLimitExceeded": "ironflow.errors",
    "InvokeError": "ironflow.errors",
    "IronflowError": "ironflow.errors",
    "JournalDamaged": "ironflow.errors",
    "JournalError": "ironflow.errors",
    "JournalFailed": "ironflow.errors",
    "JournalForeign": "ironflow.errors",
    "JournalFull": "ironflow.errors",
    "JournalNewer": "ironflow.errors",
    "JournalOlder": "ironflow.errors",
    "JournalOwned": "ironflow.errors",
    "LeaseLost": "ironflow.errors",
    "MatchPathMissing": "ironflow.errors",
    "MisusedOperation": "ironflow.errors",
    "NoRunCreated": "ironflow.errors",
    "NonRetryableError": "ironflow.errors",
    "NondeterminismError": "ironflow.errors",
    "PayloadRejected": "ironflow.errors",
    "ProtocolError": "ironflow.errors",
    "Receipt": "ironflow.handles",
    "Retry": "ironflow.policy.retry",
    "RetryAfterError": "ironflow.errors",
    "RevisionConflict": "ironflow.errors",
    "Run": "ironflow.handles",
    "RunExists": "ironflow.errors",
    "RunFailure": "ironflow.errors",
    "RunInfo": "ironflow.authoring.context",
    "RunLogger": "ironflow.authoring.logger",
    "RunNotFound": "ironflow.errors",
    "RunTimedOut": "ironflow.errors",
    "RunUnsuccessful": "ironflow.errors",
    "Saga": "ironflow.authoring.saga",
    "ServerError": "ironflow.errors",
    "ServerUnavailable": "ironflow.errors",
    "StepClient": "ironflow.authoring.step",
    "StepError": "ironflow.errors",
    "StepInDoubt": "ironflow.errors",
    "StepOutcome": "ironflow.interpreter.operations",
    "SyncRun": "ironflow.handles",
    "UndeclaredPatch": "ironflow.errors",
    "ValueRejected": "ironflow.errors",
    "WaitTimedOut": "ironflow.errors",
    "asyncio_step": "ironflow.authoring.asyncio_step",
    "current_step": "ironflow.engine.current",
    "function": "ironflow.authoring.function",
    "open_engine": "ironflow.engine.open",
    "serve": "ironflow.worker.asgi",
    "start": "ironflow.engine.start",
}

# Static readers have the stub; a second list here could only disagree with it.
__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604  names, all of them # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ironflow' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value  # the next time Python finds it without asking
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
