"""S10: what a hostile script can try, in a real child process and beside people for whom it is harmless."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from notify.script.context import Recipient, context
from notify.script.pool import Limits, ScriptPool, ScriptsUnavailableError
from notify.script.results import Failed, Printed, Result, Why

VICTIM: Final = "if (context.session.UserContext.emailId !== 'p1@example.com') print('fine'); else "
FINE: Final = Printed("fine")


def people(count: int) -> list[dict[str, Any]]:
    """So many recipients, p0, p1, …"""
    found = (Recipient(f"p{number}@example.com", "resolve", user_id=f"u-{number}") for number in range(count))
    return [context("Bot", "st-1", "msteams", recipient) for recipient in found]


@pytest.fixture(name="pool")
async def _pool() -> AsyncIterator[ScriptPool]:
    pool = ScriptPool(workers=1)
    try:
        yield pool
    finally:
        await pool.close()


async def alone(pool: ScriptPool, source: str) -> Result:
    """The result for one recipient."""
    [result] = await pool.begin(source).render(people(1))
    return result


@asynccontextmanager
async def opened(limits: Limits) -> AsyncIterator[ScriptPool]:
    """A pool of one process with limits of its own."""
    pool = ScriptPool(workers=1, limits=limits)
    try:
        yield pool
    finally:
        await pool.close()


async def first(pool: ScriptPool, *, after: int = 0) -> int:
    """The pool's process, as soon as it is there, or the one that comes after another."""
    async with asyncio.timeout(10):
        while pool.pids in ((), (after,)):  # noqa: ASYNC110 - a fact of another process
            await asyncio.sleep(0)
    return pool.pids[0]


def causes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of processes that were lost."""
    found = (vars(record) for record in caplog.records)
    return [record["error"] for record in found if record.get("action") == "script.child_failed"]


async def among_others(pool: ScriptPool, hostile: str) -> Failed:
    """The failure of the one for whom the script is hostile; the two beside them get their message."""
    before, result, after = await pool.begin(VICTIM + hostile).render(people(3))
    assert (FINE, FINE) == (before, after)
    assert isinstance(result, Failed)
    return result


class TestTime:
    async def test_endless_loop(self, pool: ScriptPool) -> None:
        """S10: an endless loop ends by its processor time, and the failure says where it was."""
        failed = await among_others(pool, "for(;;);")

        assert (Why.TIME, 1) == (failed.why, failed.line)

    async def test_loop_that_catches(self, pool: ScriptPool) -> None:
        """S10: what ends a loop cannot be caught, nor outlived in a finally."""
        failed = await among_others(pool, "{ for(;;) try { for(;;); } catch { } finally { for(;;); } }")

        assert Why.TIME is failed.why

    async def test_regex_bomb(self, pool: ScriptPool) -> None:
        """S10: a regular expression that backtracks for ever ends too; the archived engine never came back from it."""
        failed = await among_others(pool, "/(a+)+$/.test('a'.repeat(50) + 'b');")

        assert Why.TIME is failed.why

    @pytest.mark.parametrize("call", ["[].concat(Array(1e9))", "new Array(5e7).join('ab')"])
    async def test_deaf_native_call(self, pool: ScriptPool, call: str) -> None:
        """S10: a native call that asks nobody whether it may go on is ended by the kernel, with its process."""
        failed = await among_others(pool, f"{call};")

        assert Why.TIME is failed.why
        assert "SIGPROF" in failed.error

    async def test_endless_promises(self, pool: ScriptPool) -> None:
        """S10: promises that beget promises share the one time of a turn."""
        failed = await among_others(pool, "{ const next = () => Promise.resolve().then(next); next(); }")

        assert Why.TIME is failed.why

    async def test_job_that_loops(self, pool: ScriptPool) -> None:
        """S10: what runs after the script is under its limits."""
        failed = await among_others(pool, "Promise.resolve().then(() => { for(;;); });")

        assert Why.TIME is failed.why

    async def test_loop_in_a_thrown_value(self, pool: ScriptPool) -> None:
        """S10: looking at what was thrown is a part of the turn."""
        failed = await among_others(pool, "throw {toJSON() { for(;;); }};")

        assert Why.TIME is failed.why

    async def test_nothing_is_left_running(self, pool: ScriptPool) -> None:
        """S10: a turn that was ended leaves nothing behind that a later one could feel."""
        await among_others(pool, "for(;;);")

        assert FINE == await alone(pool, "print('fine')")


class TestMemory:
    @pytest.mark.parametrize(
        "bomb",
        [
            "new ArrayBuffer(2e9)",
            "new SharedArrayBuffer(2e9)",
            "{ const all = []; for (;;) all.push(new Uint8Array(1e6)); }",
            "{ globalThis.all = []; for (;;) all.push({}); }",
            "{ const all = []; for (;;) all.push('x'.repeat(1e6) + all.length); }",
            "print('x'.repeat(1e8))",
        ],
    )
    async def test_two_gigabytes(self, pool: ScriptPool, bomb: str) -> None:
        """S10: memory beyond the limit is refused, however it is asked for, also as 100 MB to print."""
        failed = await among_others(pool, f"{bomb};")

        assert Why.MEMORY is failed.why

    async def test_caught(self, pool: ScriptPool) -> None:
        """S10: a script that gets no memory may go on without."""
        source = "try { new ArrayBuffer(2e9) } catch { print('fine') }"

        assert FINE == await alone(pool, source)

    @pytest.mark.parametrize(
        "recursion", ["(function again() { again(); })()", "JSON.parse('['.repeat(1e5))", "eval('('.repeat(1e5))"]
    )
    async def test_deep_recursion(self, pool: ScriptPool, recursion: str) -> None:
        """S10: deep recursion is an error of the script, in JavaScript and in native calls alike."""
        failed = await among_others(pool, f"{recursion};")

        assert Why.THROWN is failed.why
        assert "stack" in failed.error


class TestOutput:
    async def test_print_loop(self, pool: ScriptPool) -> None:
        """S10: printing without end stops at the output's limit, also when the script catches that."""
        failed = await among_others(pool, "for (;;) try { print('x'.repeat(1000)); } catch { }")

        assert Why.OUTPUT is failed.why

    async def test_bytes_count(self, pool: ScriptPool) -> None:
        """S10: the limit counts bytes as they are sent."""
        limit = Limits().output_bytes

        assert isinstance(await alone(pool, f"print('x'.repeat({limit}))"), Printed)
        assert isinstance(await alone(pool, f"print('é'.repeat({limit} / 2))"), Printed)
        assert Why.OUTPUT is why(await alone(pool, f"print('é'.repeat({limit} / 2 + 1))"))

    async def test_print_twice(self, pool: ScriptPool) -> None:
        """S10: several prints are one output, without a separator."""
        assert Printed('a{"b":1}[2]null3') == await alone(pool, "print('a'); print({b: 1}); print([2], null, 3)")

    @pytest.mark.parametrize("source", ["1", "print()", "print(' \\n')", "// nothing", ""])
    async def test_no_print(self, pool: ScriptPool, source: str) -> None:
        """S10: a script that prints nothing gives no message."""
        assert Failed(Why.SILENT, "The script printed nothing") == await alone(pool, source)

    async def test_odd_characters(self, pool: ScriptPool) -> None:
        """S10: NUL, separators and half pairs go through; a half pair is shown as browsers do."""
        result = await alone(pool, r"print('a\0b\u2028\n\ud800|\udc00\ud83d\ude00" "')")

        assert Printed("a\0b\u2028\n\ufffd|\ufffd😀") == result

    async def test_log_is_bounded(self, pool: ScriptPool) -> None:
        """S10: the log is kept in part, and says so."""
        result = await alone(
            pool, "for (let i = 0; i < 1000; i++) koreDebugger.log(i, 'x'.repeat(1000)); print('fine')"
        )

        assert isinstance(result, Printed)
        assert (21, "… and 980 more") == (len(result.log), result.log[-1])
        assert max(map(len, result.log)) <= 501


LANGUAGE = """
    AggregateError Array ArrayBuffer AsyncDisposableStack Atomics BigInt BigInt64Array BigUint64Array Boolean
    DOMException DataView Date DisposableStack Error EvalError FinalizationRegistry Float16Array Float32Array
    Float64Array Function Infinity Int16Array Int32Array Int8Array InternalError Iterator JSON Map Math NaN
    Number Object Promise Proxy RangeError ReferenceError Reflect RegExp Set SharedArrayBuffer String
    SuppressedError Symbol SyntaxError TypeError URIError Uint16Array Uint32Array Uint8Array Uint8ClampedArray
    WeakMap WeakRef WeakSet atob btoa decodeURI decodeURIComponent encodeURI encodeURIComponent escape eval
    globalThis isFinite isNaN parseFloat parseInt performance queueMicrotask undefined unescape"""


class TestIsolation:
    async def test_prototype_pollution(self, pool: ScriptPool) -> None:
        """S10: what one recipient's turn does to the language is gone for the next."""
        source = """
            if (globalThis.left || ({}).left || [].left || JSON.left || print.left) print('leaked');
            for (const place of [globalThis, Object.prototype, Array.prototype, JSON, print]) place.left = 1;
            JSON.stringify = JSON.parse = String.prototype.slice = Array.prototype.join = () => 'spoilt';
            Object.prototype.toJSON = () => 'spoilt';
            print('fine');"""

        assert [FINE] * 40 == await pool.begin(source).render(people(40))

    async def test_protocol_cannot_be_forged(self, pool: ScriptPool) -> None:
        """S10: a script that spoils everything it can reach still only prints; it writes nothing by itself."""
        source = """
            Array.prototype.join = Array.prototype.toString = () => '["failed","",[],0,false,"forged",""]';
            Object.defineProperty(Array.prototype, 0, {get: () => 'forged', set() { throw 'forged'; }});
            Reflect.apply = Function.prototype.call = Function.prototype.apply = () => 'forged';
            Promise.prototype.then = () => 'forged';
            print('","",["forged"],0,false,"","'); koreDebugger.log('"],'); (async () => {})();"""

        assert Printed('","",["forged"],0,false,"","', ('"],',)) == await alone(pool, source)

    @pytest.mark.parametrize(
        "expression",
        [
            "print.constructor.constructor('return typeof process + typeof require + typeof global')()",
            "koreDebugger.log.constructor('return typeof process + typeof require + typeof global')()",
            "(async () => {}).constructor('return 1') && typeof process + typeof require + typeof global",
            "context.constructor.constructor('return typeof process + typeof require + typeof global')()",
        ],
    )
    async def test_constructors(self, pool: ScriptPool, expression: str) -> None:
        """S10: the constructor of a constructor leads back into the same empty world."""
        assert Printed("undefined" * 3) == await alone(pool, f"print({expression})")

    async def test_globals(self, pool: ScriptPool) -> None:
        """S10: besides the language there is nothing but context, print and koreDebugger.log."""
        result = await alone(pool, "print(Object.getOwnPropertyNames(globalThis).join(' '))")

        assert isinstance(result, Printed)
        assert {"context", "print", "koreDebugger"} == set(result.output.split()) - set(LANGUAGE.split())

    @pytest.mark.parametrize(
        "name",
        [
            *("require", "process", "fetch", "XMLHttpRequest", "WebSocket", "std", "os", "setTimeout", "setInterval"),
            *("Worker", "koreUtil", "env", "channelUtil", "console", "WebAssembly", "document"),
        ],
    )
    async def test_host_objects(self, pool: ScriptPool, name: str) -> None:
        """S10: network, files, environment, timers, and what Kore has and Herald has not, fail with their names."""
        result = await alone(pool, f"{name}.anything()")

        assert Failed(Why.THROWN, f"ReferenceError: {name} is not defined", 1, 1) == result

    @pytest.mark.parametrize(
        "called",
        ["context.get", "context.put", "context.session.UserContext.get", "context.session.BotUserSession.put"],
    )
    async def test_kores_methods(self, pool: ScriptPool, called: str) -> None:
        """S10: a method of Kore's context that is not here fails with its name."""
        result = await alone(pool, f"var a = 1;\nprint({called}('name'));")

        assert isinstance(result, Failed)
        assert (f"TypeError: {called} is not a function", 2) == (result.error, result.line)

    async def test_import(self, pool: ScriptPool) -> None:
        """S10: there is nothing to import, neither at once nor later."""
        assert Why.SYNTAX is why(await alone(pool, "import fs from 'fs'; print(1)"))
        assert Why.THROWN is why(await alone(pool, "import('fs').then(() => print('got it'))"))
        assert Why.THROWN is why(await alone(pool, "import('/etc/passwd').then(() => print('got it'))"))


class TestPromises:
    async def test_async(self, pool: ScriptPool) -> None:
        """S10: an async main function is waited for."""
        assert FINE == await alone(pool, "async function main() { await null; print('fine'); }\nmain();")

    async def test_rejected(self, pool: ScriptPool) -> None:
        """S10: an async main function that throws is a script that throws, at the same place."""
        result = await alone(pool, "async function main() {\n  print('half'); await null;\n  null.x; }\nmain();")

        assert Failed(Why.THROWN, "TypeError: cannot read property 'x' of null", 3, 3) == result

    async def test_never_settles(self, pool: ScriptPool) -> None:
        """S10: what waits for ever is no message, though half of it was printed."""
        result = await alone(pool, "(async () => { print('half'); await new Promise(() => {}); print('rest'); })()")

        assert "The script ended while it waited for a promise that can never settle" == error(result)


class TestThrows:
    @pytest.mark.parametrize(
        ("thrown", "said"),
        [
            ("'no address'", "Thrown: no address"),
            ("{a: 1}", 'Thrown: {"a":1}'),
            ("undefined", "Thrown: undefined"),
            ("Symbol('x')", "Thrown: Symbol(x)"),
            ("1n", "Thrown: 1"),
            ("null", "null was thrown: by the script, or because its memory was used up"),
            ("Object.create(null)", "Thrown: {}"),
            ("{toJSON() { throw 1; }}", "The script threw a value that cannot be shown"),
            ("new Proxy({}, {get() { throw 2; }})", "The script threw a value that cannot be shown"),
            ("new Proxy({}, {getPrototypeOf() { throw 3; }})", "The script threw a value that cannot be shown"),
            ("Object.assign(new Error, {toString() { throw 4; }})", "The script threw a value that cannot be shown"),
            ("Object.defineProperty(new Error('a\\0b\\ud800'), 'stack', {value: 5})", "Error: a\0b\ufffd"),
        ],
    )
    async def test_exotic(self, pool: ScriptPool, thrown: str, said: str) -> None:
        """S10: whatever is thrown becomes one sentence."""
        assert said == error(await alone(pool, f"throw {thrown}"))

    async def test_long(self, pool: ScriptPool) -> None:
        """S10: the sentence is bounded."""
        assert len(error(await alone(pool, "throw new Error('x'.repeat(1e6))"))) == 500

    async def test_place_is_the_callers(self, pool: ScriptPool) -> None:
        """S10: line and column are those of the caller's own source, also when print is what throws."""
        assert ("TypeError: circular reference", 2) == placed(await alone(pool, "let o = {};\no.o = o; print(o)"))
        assert ("ReferenceError: y is not defined", 3) == placed(await alone(pool, "\n\n  y"))


BUSY: Final = "{ const end = Date.now() + 200; while (Date.now() < end); } print('fine')"
AT_WORK: Final = Limits(cpu_seconds=20.0, answer_seconds=30.0)


class TestCrash:
    @pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
    async def test_engine(self, number: signal.Signals, caplog: pytest.LogCaptureFixture) -> None:
        """S10: an engine that crashes takes one recipient with it; the others and the pool go on."""
        async with opened(AT_WORK) as pool:
            source = "if (context.session.UserContext.emailId === 'p0@example.com') for(;;); print('fine')"
            rendering = asyncio.create_task(pool.begin(source).render(people(5)))
            os.kill(await first(pool), number)  # its first turn is an endless loop, so it is in it or about to begin it
            failed, *others = await rendering

        assert Failed(Why.ENGINE, f"The engine crashed while it ran the script ({number.name})") == failed
        assert [FINE] * 4 == others
        assert [number.name] == causes(caplog)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    async def test_stop_of_the_group(self, number: signal.Signals) -> None:
        """S10: a signal that stops the server does not end its children, who finish what they are at."""
        async with opened(AT_WORK) as pool:
            rendering = asyncio.create_task(pool.begin(BUSY).render(people(1)))
            pid = await first(pool)
            os.kill(pid, number)

            assert [FINE] == await rendering
            assert (pid,) == pool.pids

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1])
    async def test_killed_once(self, number: signal.Signals, caplog: pytest.LogCaptureFixture) -> None:
        """S10: a process that somebody kills costs nobody their message, and the log says what killed it."""
        async with opened(AT_WORK) as pool:
            rendering = asyncio.create_task(pool.begin(BUSY).render(people(5)))
            os.kill(await first(pool), number)

            assert [FINE] * 5 == await rendering
        assert [number.name] == causes(caplog)

    async def test_killed_twice(self) -> None:
        """S10: where processes are killed again and again nothing is decided about anybody; later it may go well."""
        async with opened(AT_WORK) as pool:
            run = pool.begin("if (context.session.UserContext.emailId === 'p0@example.com') for(;;); print('fine')")
            rendering = asyncio.create_task(run.render(people(5)))
            pid = await first(pool)
            os.kill(pid, signal.SIGKILL)
            os.kill(await first(pool, after=pid), signal.SIGKILL)
            with pytest.raises(ScriptsUnavailableError, match="SIGKILL"):
                await rendering

            assert [FINE] * 4 == await run.render(people(5)[1:])

    async def test_silent_once(self) -> None:
        """S10: a process that stands still is replaced, and its recipient gets the message."""
        async with opened(Limits(cpu_seconds=20.0, answer_seconds=2.0)) as pool:
            rendering = asyncio.create_task(pool.begin(BUSY).render(people(2)))
            os.kill(await first(pool), signal.SIGSTOP)

            assert [FINE] * 2 == await rendering

    async def test_silent_twice(self, caplog: pytest.LogCaptureFixture) -> None:
        """S10: who twice gets no answer has a script that does not stop; it is ended by the clock."""
        async with opened(Limits(cpu_seconds=20.0, answer_seconds=0.3)) as pool:
            result = await alone(pool, "for(;;);")

        assert Failed(Why.TIME, "The script did not stop when its time was over (no answer within 0.3 s)") == result
        assert ["no answer within 0.3 s"] * 2 == causes(caplog)

    @pytest.mark.parametrize("timeout", ["", ", 1e6"])
    async def test_waits_for_nobody(self, pool: ScriptPool, timeout: str) -> None:
        """S10: a script cannot stand still without using its time: there is nothing that blocks."""
        result = await alone(pool, f"Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0{timeout})")

        assert "TypeError: cannot block in this thread" == error(result)


def why(result: Result) -> Why | None:
    return result.why if isinstance(result, Failed) else None


def error(result: Result) -> str:
    return result.error if isinstance(result, Failed) else ""


def placed(result: Result) -> tuple[str, int | None]:
    assert isinstance(result, Failed)
    return result.error, result.line
