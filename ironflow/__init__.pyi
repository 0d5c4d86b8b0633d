# The public names of ironflow, as type checkers and editors see them.

from typing import Final

from ironflow.authoring.app import App as App
from ironflow.authoring.asyncio_step import asyncio_step as asyncio_step
from ironflow.authoring.children import ChildRun as ChildRun
from ironflow.authoring.context import Context as Context
from ironflow.authoring.context import RunInfo as RunInfo
from ironflow.authoring.definition import Function as Function
from ironflow.authoring.event import Event as Event
from ironflow.authoring.function import function as function
from ironflow.authoring.logger import RunLogger as RunLogger
from ironflow.authoring.saga import Saga as Saga
from ironflow.authoring.step import StepClient as StepClient
from ironflow.client.asynchronous.client import AsyncClient as AsyncClient
from ironflow.client.synchronous.client import Client as Client
from ironflow.engine.current import CurrentStep as CurrentStep
from ironflow.engine.current import current_step as current_step
from ironflow.engine.engine import Engine as Engine
from ironflow.engine.open import open_engine as open_engine
from ironflow.engine.start import start as start
from ironflow.errors import Cancelled as Cancelled
from ironflow.errors import CodeError as CodeError
from ironflow.errors import ConfigurationError as ConfigurationError
from ironflow.errors import Conflict as Conflict
from ironflow.errors import EngineClosed as EngineClosed
from ironflow.errors import EngineError as EngineError
from ironflow.errors import EventConflict as EventConflict
from ironflow.errors import EventNotFound as EventNotFound
from ironflow.errors import ForeignAwaitError as ForeignAwaitError
from ironflow.errors import FunctionNotFound as FunctionNotFound
from ironflow.errors import HistoryLimitExceeded as HistoryLimitExceeded
from ironflow.errors import InvokeError as InvokeError
from ironflow.errors import IronflowError as IronflowError
from ironflow.errors import JournalDamaged as JournalDamaged
from ironflow.errors import JournalError as JournalError
from ironflow.errors import JournalFailed as JournalFailed
from ironflow.errors import JournalForeign as JournalForeign
from ironflow.errors import JournalFull as JournalFull
from ironflow.errors import JournalNewer as JournalNewer
from ironflow.errors import JournalOlder as JournalOlder
from ironflow.errors import JournalOwned as JournalOwned
from ironflow.errors import LeaseLost as LeaseLost
from ironflow.errors import MatchPathMissing as MatchPathMissing
from ironflow.errors import MisusedOperation as MisusedOperation
from ironflow.errors import NondeterminismError as NondeterminismError
from ironflow.errors import NonRetryableError as NonRetryableError
from ironflow.errors import NoRunCreated as NoRunCreated
from ironflow.errors import PayloadRejected as PayloadRejected
from ironflow.errors import ProtocolError as ProtocolError
from ironflow.errors import RetryAfterError as RetryAfterError
from ironflow.errors import RevisionConflict as RevisionConflict
from ironflow.errors import RunExists as RunExists
from ironflow.errors import RunFailure as RunFailure
from ironflow.errors import RunNotFound as RunNotFound
from ironflow.errors import RunTimedOut as RunTimedOut
from ironflow.errors import RunUnsuccessful as RunUnsuccessful
from ironflow.errors import ServerError as ServerError
from ironflow.errors import ServerUnavailable as ServerUnavailable
from ironflow.errors import StepError as StepError
from ironflow.errors import StepInDoubt as StepInDoubt
from ironflow.errors import UndeclaredPatch as UndeclaredPatch
from ironflow.errors import ValueRejected as ValueRejected
from ironflow.errors import WaitTimedOut as WaitTimedOut
from ironflow.handles import Emission as Emission
from ironflow.handles import Receipt as Receipt
from ironflow.handles import Run as Run
from ironflow.handles import SyncRun as SyncRun
from ironflow.interpreter.operations import StepOutcome as StepOutcome
from ironflow.policy.retry import Retry as Retry
from ironflow.worker.asgi import serve as serve

__version__: Final[str]
__all__ = [
    "App",
    "AsyncClient",
    "Cancelled",
    "ChildRun",
    "Client",
    "CodeError",
    "ConfigurationError",
    "Conflict",
    "Context",
    "CurrentStep",
    "Emission",
    "Engine",
    "EngineClosed",
    "EngineError",
    "Event",
    "EventConflict",
    "EventNotFound",
    "ForeignAwaitError",
    "Function",
    "FunctionNotFound",
    "HistoryLimitExceeded",
    "InvokeError",
    "IronflowError",
    "JournalDamaged",
    "JournalError",
    "JournalFailed",
    "JournalForeign",
    "JournalFull",
    "JournalNewer",
    "JournalOlder",
    "JournalOwned",
    "LeaseLost",
    "MatchPathMissing",
    "MisusedOperation",
    "NoRunCreated",
    "NonRetryableError",
    "NondeterminismError",
    "PayloadRejected",
    "ProtocolError",
    "Receipt",
    "Retry",
    "RetryAfterError",
    "RevisionConflict",
    "Run",
    "RunExists",
    "RunFailure",
    "RunInfo",
    "RunLogger",
    "RunNotFound",
    "RunTimedOut",
    "RunUnsuccessful",
    "Saga",
    "ServerError",
    "ServerUnavailable",
    "StepClient",
    "StepError",
    "StepInDoubt",
    "StepOutcome",
    "SyncRun",
    "UndeclaredPatch",
    "ValueRejected",
    "WaitTimedOut",
    "__version__",
    "asyncio_step",
    "current_step",
    "function",
    "open_engine",
    "serve",
    "start",
]
