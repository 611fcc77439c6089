"""The engine: one database on SQLite or PostgreSQL, a reader's and a writer's transaction.

SQLite: WAL, `synchronous=FULL` on every connection (an answer that was given must survive a power cut), and every
writing transaction begins with BEGIN IMMEDIATE, because a deferred one that reads and then writes fails at once under
contention. Writers of one process queue on a lock in fair order instead of busy-waiting in SQLite.

PostgreSQL: a process that freezes in the middle of a transaction would hold its row locks for as long as it is
frozen; the database ends such a session, so that another process can go on.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from storage import privacy

BUSY_TIMEOUT_MS = 10_000
CHECKPOINT_MS = 200  # writers wait for whoever empties the log, and that one for readers
SQLITE_READERS = 4
POSTGRES_CONNECTIONS = 12  # one of them is the sign of life's
IDLE_IN_TRANSACTION_MS = 10_000
TRANSACTION_MS = 20_000
TURN_SECONDS = 30.0

T = TypeVar("T")

UNAVAILABLE = (OperationalError, InterfaceError, InternalError, PoolTimeout, OSError)
"""What a database that is locked, full, gone or restarting raises; everything else is our own mistake, and repeating
it would not help."""


def describe(error: BaseException) -> str:
    """A database error for the log: the driver's own first line, never the statement's values."""
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {str(cause).splitlines()[0][:200] if str(cause) else ''}"


class DatabaseInUse(RuntimeError):
    """Another Herald process holds this SQLite file; use PostgreSQL to run several."""


def driver_url(url: str) -> URL:
    """The settings' URL with our drivers put in: `sqlite:///…` or `postgresql://…`.

    Raises ValueError for any other database.
    """
    parsed = make_url(url)
    name = parsed.get_backend_name()
    if name == "sqlite":
        return parsed.set(drivername="sqlite+aiosqlite")
    if name in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise ValueError(f"storage.url: {name} is not supported; write sqlite:///file.db or postgresql://…")


class Database:
    """Readers' and writers' transactions on one engine. Open it with `Database.open`, close it with `close`."""

    def __init__(self, engine: AsyncEngine, lock: int | None, patience: float) -> None:
        self.engine = engine
        self._patience = patience
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._writer = asyncio.Lock()
        # The pool serves whoever comes when a connection is free, before those who have waited; a semaphore does not.
        self._turns = asyncio.Semaphore(SQLITE_READERS if self.is_sqlite else POSTGRES_CONNECTIONS - 1)
        self._at_once = _AtOnce(engine.url, self._writer) if self.is_sqlite else None
        self._lock = lock
        self._late: set[asyncio.Task[Any]] = set()

    @classmethod
    def open(cls, url: str, *, exclusive: bool = False, patience: float = TURN_SECONDS) -> Database:
        """Open `url`; with `exclusive` a SQLite file is locked to this process, and kept from other users.

        Whoever has waited `patience` seconds for a connection gets sqlalchemy.exc.TimeoutError, one of UNAVAILABLE.
        Raises DatabaseInUse when another process has it, ValueError for an unknown kind of URL.
        """
        parsed = driver_url(url)
        if parsed.get_backend_name() != "sqlite":
            engine = create_async_engine(
                parsed, pool_size=POSTGRES_CONNECTIONS, max_overflow=0, pool_pre_ping=True, hide_parameters=True
            )
            event.listen(engine.sync_engine, "connect", _prepare_postgres)
            return cls(engine, None, patience)
        path = parsed.database
        if not path or path == ":memory:":
            raise ValueError("storage.url: a SQLite database needs a file, for example sqlite:///herald.db")
        lock = _lock_file(Path(path)) if exclusive else None
        privacy.create(Path(path))
        if exclusive:
            privacy.tighten(Path(path))
        engine = create_async_engine(parsed, pool_size=SQLITE_READERS + 1, max_overflow=0, hide_parameters=True)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        event.listen(engine.sync_engine, "handle_error", _keep_cancelled)
        return cls(engine, lock, patience)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One of the pool's connections is ours; nobody waits for ever behind a database that hangs."""
        try:
            async with asyncio.timeout(self._patience):
                await self._turns.acquire()
        except TimeoutError:
            raise PoolTimeout(f"no connection became free within {self._patience:g} s") from None
        try:
            yield
        finally:
            self._turns.release()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads: one consistent view, however many statements it takes."""
        async with self._turn(), self.engine.connect() as connection:
            if not self.is_sqlite:
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes; committed when the block ends, rolled back when it raises."""
        if not self.is_sqlite:
            async with self._turn(), self.engine.begin() as connection:
                yield connection
            return
        async with self._writer, self.engine.connect() as connection:
            await connection.execution_options(herald_writes=True)
            async with connection.begin():
                yield connection

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """A writing transaction that waits for nothing but its database: `work` does all of it.

        On SQLite it runs as one piece in a thread of its own. `write` hands each step (begin, cursor, statement,
        close, commit, …) to a thread and waits for it: a drain's commit took two dozen turns of the event loop, and
        on a busy machine that was most of its time, while every other writer waited. What waits at the same moment
        shares a transaction, and so a disk flush: many lanes together are not slower than one.

        `work` changes nothing but the database: it is run again, alone, when one that shared its transaction failed.
        """
        if self._at_once is None:
            async with self.write() as tx:
                return await work(tx)
        return await self._at_once.run(work)

    async def empty_log(self) -> bool:
        """Bring SQLite's write-ahead log into the file and cut it off: what was deleted is in neither any more.

        False when somebody reads just now; the log is emptied the next time then. PostgreSQL looks after its own.
        """
        if not self.is_sqlite:
            return True
        async with self._writer, self.engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection  # outside any transaction
            await driver.execute(f"PRAGMA busy_timeout={CHECKPOINT_MS}")
            try:
                async with driver.execute("PRAGMA wal_checkpoint(TRUNCATE)") as cursor:
                    busy, *_ = await cursor.fetchone()
            finally:
                await driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        return not busy

    async def in_time(self, work: Coroutine[Any, Any, T], by: float) -> T:
        """The result of `work` if it is there by that time of the event loop; else `work` is cancelled.

        Raises TimeoutError when it is late. A cancelled transaction can roll back only when its statement came back,
        which a locked file or a slow disk keeps for seconds: `close` waits for that, the caller does not.
        """
        task = asyncio.create_task(work)
        self._late.add(task)
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait({task}, timeout=max(0.0, by - asyncio.get_running_loop().time()))
            if not task.done():
                raise TimeoutError("the database is too slow")
        finally:
            task.cancel()
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # looked at: whoever was answered in time does not wait for it

    async def close(self) -> None:
        """Close every connection and let the file go."""
        if self._late:
            await asyncio.wait(self._late)
        if self._at_once is not None:
            await self._at_once.close()
        await self.engine.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


@dataclass(eq=False, slots=True)
class _Waiting(Generic[T]):
    """A transaction that nobody has begun, and who waits for its end."""

    work: Callable[[AsyncConnection], Awaitable[T]]
    answer: asyncio.Future[T]
    wanted: bool = True


class _AtOnce:
    """One connection with one thread, which runs whole transactions; `turn` keeps other writers of the process away."""

    def __init__(self, url: URL, turn: asyncio.Lock) -> None:
        self._turn = turn
        self._thread = ThreadPoolExecutor(1, "herald-writer")
        self._engine: Engine = create_engine(url.set(drivername="sqlite+pysqlite"), pool_size=1, hide_parameters=True)
        event.listen(self._engine, "connect", _prepare_sqlite)
        event.listen(self._engine, "begin", _begin_sqlite)
        self._waiting: list[_Waiting[Any]] = []
        self._at_work: asyncio.Task[None] | None = None

    async def run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run the whole of `work` in the thread, and commit. Cancelled, it is over: never begun, or at its end."""
        waiting = _Waiting(work, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._at_work is None:
            self._at_work = asyncio.create_task(self._work())
        try:
            return cast(T, await asyncio.shield(waiting.answer))
        except asyncio.CancelledError:
            waiting.wanted = False
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:
                await asyncio.wait({waiting.answer})
            if waiting.answer.done() and not waiting.answer.cancelled():
                waiting.answer.exception()  # looked at: nobody else will
            raise

    async def _work(self) -> None:
        """Until nobody waits: everything that waits now, in one transaction if possible."""
        while self._waiting:
            async with self._turn:
                group, self._waiting = self._waiting, []
                if not await self._done(group) and len(group) > 1:
                    for waiting in group:
                        await self._done([waiting])
        self._at_work = None

    async def _done(self, group: Sequence[_Waiting[Any]]) -> bool:
        """Commit a group and answer; whoever was alone also hears of a failure."""
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._thread, self._run, group)
        except Exception as error:  # noqa: BLE001 - told to whoever waits for it
            if len(group) == 1 and not group[0].answer.done():
                group[0].answer.set_exception(error)
            return False
        for waiting, result in zip(group, results, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(result)
        return True

    def _run(self, group: Sequence[_Waiting[Any]]) -> list[Any]:
        """Begin, which may take long while something else writes; then do what is still wanted."""
        with self._engine.connect().execution_options(herald_writes=True) as connection, connection.begin():
            tx = cast(AsyncConnection, _Immediate(connection))
            return [_finish(waiting.work(tx)) if waiting.wanted else None for waiting in group]

    async def close(self) -> None:
        """Wait for the transaction that runs, and close."""
        if self._at_work is not None:
            await asyncio.wait({self._at_work})
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown(wait=False)


class _Immediate:
    """What the storage functions use of an AsyncConnection, answering before it is awaited."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect

    async def execute(self, *arguments: Any, **options: Any) -> Any:
        return self._connection.execute(*arguments, **options)

    async def exec_driver_sql(self, *arguments: Any) -> Any:
        return self._connection.exec_driver_sql(*arguments)


def _finish(work: Awaitable[T]) -> T:
    """The result of a coroutine that never has to wait."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return cast(T, end.value)
    raise RuntimeError("a transaction waited for something else than its database")


def _lock_file(path: Path) -> int:
    """Take the advisory lock beside the database; the kernel drops it when the process dies."""
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise DatabaseInUse(
            f"{path} is in use by another Herald process; stop it, or use PostgreSQL to run several"
        ) from error
    return handle


def _prepare_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """Own the transactions ourselves (the driver would begin deferred ones) and make commits durable."""
    raw: Any = connection  # aiosqlite's adapter has no public type
    raw.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "temp_store=MEMORY",
        "secure_delete=ON",  # what is deleted is overwritten; some builds of SQLite do so by themselves
        "cache_size=-16000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_postgres(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """A process that freezes in the middle of a transaction must not keep its locks from its successor.

    The limit on idling does not count in the middle of a pipeline, which is how the driver sends many rows; from
    PostgreSQL 17 on there is one on the whole transaction.
    """
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS}")
    cursor.execute(
        "SELECT set_config(name, %s, false) FROM pg_settings WHERE name = 'transaction_timeout'", (str(TRANSACTION_MS),)
    )
    cursor.close()
    connection.commit()  # a setting made in a transaction that is rolled back is gone


async def without_limit(tx: AsyncConnection) -> None:
    """Let this one transaction take as long as it needs: a migration of a large table."""
    if tx.dialect.name == "postgresql":
        await tx.execute(text("SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout'"))


def _keep_cancelled(context: ExceptionContext) -> None:
    """A cancelled statement does not spoil its connection: the driver's thread ends it, and then rolls back.

    SQLAlchemy would close the connection instead. SQLite keeps a closed connection alive while a cursor on it is not
    read to its end, and with it the transaction: nobody could write until the garbage collector found that cursor.
    https://www.sqlite.org/c3ref/close.html
    """
    if isinstance(context.original_exception, asyncio.CancelledError):
        context.is_disconnect = False


def _begin_sqlite(connection: Any) -> None:  # SQLAlchemy's event hands an untyped Connection
    """BEGIN IMMEDIATE for writers, plain BEGIN for readers."""
    writes = connection.get_execution_options().get("herald_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
