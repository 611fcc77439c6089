"""The pool of script processes: what it promises about order, fairness, ends, and what a child cannot reach."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final

import pytest

from notify.script import child as program
from notify.script.pool import Limits, ScriptPool, ScriptsUnavailableError
from notify.script.process import engine
from notify.script.results import Failed, Printed, Result, Why

EXAMPLE_2: Final = (
    "var envMsg = 'John'; var channel = context.session.BotUserSession.lastMessage.channel;"
    " print(JSON.stringify({text: 'Hi ' + envMsg + ' message is from ' + channel + ' channel'}));"
)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def numbers(count: int) -> list[dict[str, Any]]:
    """Contexts of which a script sees its number."""
    return [{"n": number} for number in range(count)]


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[ScriptPool]:
    pool = ScriptPool(**options)
    try:
        yield pool
    finally:
        await pool.close()


@pytest.fixture(name="pool")
async def _pool() -> AsyncIterator[ScriptPool]:
    async with opened() as pool:
        yield pool


async def until(fact: Callable[[], bool]) -> None:
    """Wait for a fact of another process."""
    async with asyncio.timeout(10):
        while not fact():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def errors(results: list[Result]) -> list[str]:
    return [result.error for result in results if isinstance(result, Failed)]


class TestRendering:
    async def test_example_2(self, pool: ScriptPool) -> None:
        """Kore's Example 2 gives the documented sentence."""
        context = {"session": {"BotUserSession": {"lastMessage": {"channel": "msteams", "messagePayload": {}}}}}

        assert [Printed('{"text":"Hi John message is from msteams channel"}')] == await pool.begin(EXAMPLE_2).render(
            [context]
        )

    async def test_order(self, pool: ScriptPool) -> None:
        """Results stand in the order of the contexts, however they were shared out."""
        assert [Printed(str(n)) for n in range(300)] == await pool.begin("print(context.n)").render(numbers(300))

    async def test_concurrent_parts(self, pool: ScriptPool) -> None:
        """Parts of one request and several requests at once each get their own."""
        one, other = pool.begin("print('one', context.n)"), pool.begin("print('other', context.n)")
        found = await asyncio.gather(*(run.render(numbers(50)) for run in (one, other) * 5))

        expected = [[Printed(f"{name}{n}") for n in range(50)] for name in ("one", "other")]
        assert expected * 5 == found

    async def test_modern_language(self, pool: ScriptPool) -> None:
        """Scripts may use ES2020."""
        source = (
            "for (const x of [1, 2]) { let y = context?.z?.q ?? `${x}`; print(y, 2n ** 70n > 1, globalThis === this) }"
        )

        assert [Printed("1truetrue2truetrue")] == await pool.begin(source).render([{}])

    async def test_unusual_context(self, pool: ScriptPool) -> None:
        """Names with any character arrive as they are."""
        name = "é😀\u2028\0\ud800\"'`${1}</script>"
        [result] = await pool.begin("print([...context.name].map(c => c.codePointAt(0)).join())").render(
            [{"name": name}]
        )

        assert Printed(",".join(str(ord(character)) for character in name)) == result

    async def test_nobody(self, pool: ScriptPool) -> None:
        """Nobody to render starts nothing."""
        assert [] == await pool.begin("print(1)").render([])
        assert () == pool.pids


class TestStopping:
    async def test_syntax_error(self, pool: ScriptPool) -> None:
        """A syntax error answers everybody, and later parts without running."""
        run = pool.begin("let a = 1;\nlet b = ;")
        failed = Failed(Why.SYNTAX, "SyntaxError: unexpected token in expression: ';'", 2, 9)

        assert [failed] * 100 == await run.render(numbers(100))
        await pool.close()
        assert [failed] == await run.render(numbers(1))

    async def test_syntax_error_at_run_time(self, pool: ScriptPool) -> None:
        """A SyntaxError that one recipient's data causes is that one's."""
        source = "if (context.n === 0) JSON.parse('{'); if (context.n === 1) eval('let a = ;'); print(1)"
        first, second, third = await pool.begin(source).render(numbers(3))

        assert isinstance(first, Failed)
        assert isinstance(second, Failed)
        assert (Why.THROWN, Why.THROWN, Printed("1")) == (first.why, second.why, third)

    @pytest.mark.parametrize(
        ("costly", "why"),
        [("print('x'.repeat(3e5))", Why.OUTPUT), ("new ArrayBuffer(2e9)", Why.MEMORY), ("for(;;);", Why.TIME)],
    )
    async def test_costs_much(self, costly: str, why: Why) -> None:
        """What fails at great cost in the same way for the first twenty is not run for the others, who are told so."""
        async with opened(limits=Limits(cpu_seconds=0.02)) as pool:
            run = pool.begin(f"koreDebugger.log(context.n);\n{costly}")
            tried = [result for result in await run.render(numbers(20)) if isinstance(result, Failed)]
            others = await run.render(numbers(80))

        assert [(why, (str(n),)) for n in range(20)] == [(failed.why, failed.log) for failed in tried]
        [says] = {failed.says for failed in tried}
        rest = f"{says}; it failed like this for the first 20 recipients and was not run for the others"
        assert [Failed(why, rest)] * 80 == others

    async def test_costs_much_at_once(self, pool: ScriptPool) -> None:
        """A single large request of such a script stops after twenty, too."""
        results = await pool.begin("print('x'.repeat(3e5))").render(numbers(100))

        assert 80 == len([text for text in errors(results) if "not run" in text])

    @pytest.mark.parametrize(
        ("source", "failed"),
        [
            ("if (context.n >= 24) print('fine')", Failed(Why.SILENT, "The script printed nothing")),
            ("if (context.n < 24) throw 'no days'; print('fine')", Failed(Why.THROWN, "Thrown: no days")),
        ],
    )
    async def test_costs_little(self, pool: ScriptPool, source: str, failed: Failed) -> None:
        """A script that throws or prints nothing for the first twenty is run for everybody, each with their result."""
        assert [failed] * 24 + [Printed("fine")] * 6 == await pool.begin(source).render(numbers(30))

    async def test_few_people(self, pool: ScriptPool) -> None:
        """With fewer than twenty people everybody is run, also in several parts."""
        run = pool.begin("print('x'.repeat(3e5))")
        results = await run.render(numbers(8)) + await run.render(numbers(11))

        assert ["The script printed more than 256 KB"] * 19 == errors(results)

    @pytest.mark.parametrize("other", ["print('fine')", "throw 'another'", "new ArrayBuffer(2e9)"])
    async def test_not_everybody_alike(self, pool: ScriptPool, other: str) -> None:
        """One success or another failure among the first twenty, and all are run."""
        source = f"if (context.n % 16 === 7) {other}; else print('x'.repeat(3e5))"
        results = await pool.begin(source).render(numbers(100))

        assert not [text for text in errors(results) if "not run" in text]

    async def test_budget(self) -> None:
        """When a request has used up its time the rest is not run; another request is not concerned."""
        limits = Limits(cpu_seconds=0.02, total_seconds=0.1)
        async with opened(limits=limits, workers=1) as pool:
            run = pool.begin("if (context.n > 0) for(;;); print('fine')")
            results = await run.render(numbers(100))
            assert [Printed("fine")] == await pool.begin("print('fine')").render([{}])

        assert Printed("fine") == results[0]
        rest = Failed(Why.BUDGET, "The script used up the 0.1 s that one request has; it was not run for the others")
        assert rest == results[-1]
        assert results.count(rest) >= 70


class TestFairness:
    async def test_bombs_hold_up_nobody(self) -> None:
        """A request whose recipients all use up their time shares one process with another in turn."""
        async with opened(workers=1, limits=Limits(cpu_seconds=0.02, trial=1000)) as pool:
            bombs = pool.begin("for(;;);")
            parts = [asyncio.create_task(bombs.render(numbers(1))) for _ in range(100)]
            await asyncio.wait(parts[:1])
            results = await pool.begin("print(context.n)").render(numbers(4))
            done = sum(part.done() for part in parts)
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

        assert [Printed(str(n)) for n in range(4)] == results
        assert done <= 20

    async def test_slices_stay_small(self) -> None:
        """A single large request of bombs is taken in slices, too."""
        async with opened(workers=1, limits=Limits(cpu_seconds=0.02)) as pool:
            large = asyncio.create_task(pool.begin("if (context.n > 0) for(;;); print(1)").render(numbers(200)))
            await until(lambda: bool(pool.pids))
            results = await pool.begin("print(context.n)").render(numbers(1))
            ended = large.done()
            large.cancel()
            await asyncio.gather(large, return_exceptions=True)

        assert ([Printed("0")], False) == (results, ended)


class TestLife:
    async def test_lazy(self, pool: ScriptPool) -> None:
        """A process starts at the first use, and one recipient needs only one."""
        run = pool.begin("print(1)")
        assert () == pool.pids

        await run.render([{}])
        assert 1 == len(pool.pids)

    async def test_idle_end(self) -> None:
        """A process that nobody needs ends, and comes again when it is needed."""
        async with opened(idle_seconds=0.05) as pool:
            run = pool.begin("print(1)")
            await run.render([{}])
            [pid] = pool.pids
            await until(lambda: is_gone(pid))

            assert [Printed("1")] == await run.render([{}])
            assert [pid] != list(pool.pids)

    async def test_replacement(self) -> None:
        """A process serves so many recipients and is replaced."""
        async with opened(workers=1, turns_most=3) as pool:
            run = pool.begin("print(1)")
            seen: list[int] = []
            for _ in range(6):
                await run.render([{}])
                seen += pool.pids

        assert [seen[0]] * 3 + [seen[3]] * 3 == seen
        assert seen[0] != seen[3]

    async def test_killed_while_idle(self) -> None:
        """A process that somebody killed between two requests costs nobody anything."""
        async with opened(workers=1) as pool:
            run = pool.begin("print(1)")
            await run.render([{}])
            [pid] = pool.pids
            os.kill(pid, 9)
            await until(lambda: not pool.pids)

            assert [Printed("1")] == await run.render([{}])

    async def test_cancelled(self) -> None:
        """Who stops waiting takes their recipients along; the pool serves the next one."""
        async with opened(workers=1) as pool:
            bombs = pool.begin("for(;;);")
            rendering = asyncio.create_task(bombs.render(numbers(1000)))
            await until(lambda: bool(pool.pids))
            [pid] = pool.pids
            rendering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await rendering

            assert [Printed("1")] == await pool.begin("print(1)").render([{}])
            assert is_gone(pid)
            assert not bombs.is_waiting

    async def test_trial_after_cancelling(self) -> None:
        """Recipients whose turn was cancelled do not count as tried: the run goes on afterwards."""
        async with opened(workers=1, limits=Limits(cpu_seconds=0.02)) as pool:
            run = pool.begin("if (context.n < 999) for(;;); print(1)")
            for _ in range(8):
                rendering = asyncio.create_task(run.render(numbers(4)))
                await until(lambda: bool(pool.pids))
                rendering.cancel()
                await asyncio.gather(rendering, return_exceptions=True)

            assert [Printed("1")] == await run.render([{"n": 999}])

    async def test_closed(self) -> None:
        """Closing ends every process; who waits, and who comes later, is told that nothing was decided."""
        pool = ScriptPool()
        run = pool.begin("for(;;);")
        rendering = asyncio.create_task(run.render(numbers(100)))
        await until(lambda: bool(pool.pids))
        pids = pool.pids
        await pool.close()

        with pytest.raises(ScriptsUnavailableError):
            await rendering
        with pytest.raises(ScriptsUnavailableError):
            await run.render([{}])
        assert all(map(is_gone, pids))

    async def test_unusable_context(self, pool: ScriptPool) -> None:
        """A context that is no JSON is the caller's defect, raised where it is made."""
        with pytest.raises(ValueError, match="JSON"):
            await pool.begin("print(1)").render([{"n": float("nan")}])

    async def test_loop_stays_free(self) -> None:
        """While scripts use up their time the event loop answers others."""
        async with opened(limits=Limits(cpu_seconds=0.05)) as pool:
            rendering = asyncio.create_task(pool.begin("for(;;);").render(numbers(6)))
            await until(lambda: bool(pool.pids))
            turns = 0
            while not rendering.done():
                await asyncio.sleep(0.001)
                turns += 1

        assert turns > 20


class TestEngine:
    def test_package(self) -> None:
        """The engine is quickjs-ng's by the list of its files; the archived quickjs has the same import name."""
        listed = {Path(str(file.locate())).resolve() for file in distribution("quickjs-ng").files or ()}

        assert engine() in listed
        assert engine().suffix in {".so", ".pyd"}

    @LINUX
    async def test_loaded(self, pool: ScriptPool) -> None:
        """That very file is what a child has loaded, and no other extension of a package."""
        await pool.begin("print(1)").render([{}])
        maps = looked(pool.pids[0], "maps")

        assert maps is None or [str(engine())] == sorted({line.split()[-1] for line in maps if "site-packages" in line})

    async def test_abilities(self, pool: ScriptPool) -> None:
        """The engine can what the archived one cannot: newer language, and this is how a mix-up would be seen."""
        [result] = await pool.begin("print([1, 2].at(-1), Object.groupBy([1], String)[1], 'a'.isWellFormed())").render(
            [{}]
        )

        assert Printed("2[1]true") == result


def looked(pid: int, name: str) -> list[str] | None:
    """Lines of a file below /proc/<pid>, or None: not even its own user may look into it, only root may."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text().splitlines()
    except PermissionError:
        assert os.getuid() != 0
        return None


@pytest.fixture(name="leaks")
def _leaks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a careless parent would pass on: an inheritable pipe and a secret in the environment."""
    ends = os.pipe()
    for end in ends:
        os.set_inheritable(end, True)
    monkeypatch.setenv("HERALD_TEST_SECRET", "do-not-pass-on")
    yield
    for end in ends:
        os.close(end)


@LINUX
class TestConfinement:
    async def test_nothing_inherited(self, leaks: None, pool: ScriptPool) -> None:
        """A child has three descriptors, no environment, and sessions and folders of its own."""
        await pool.begin("print(1)").render([{}])
        [pid] = pool.pids

        assert os.getsid(pid) == pid
        assert looked(pid, "environ") in (None, [])
        try:
            assert {"0", "1", "2"} == set(os.listdir(f"/proc/{pid}/fd"))
            assert "/dev/null" == os.readlink(f"/proc/{pid}/fd/2")
            assert "/" == os.readlink(f"/proc/{pid}/cwd")
        except PermissionError:
            assert os.getuid() != 0

    async def test_limits(self, pool: ScriptPool) -> None:
        """A child may open nothing, start nothing, write no file, leave no core, and has bounded memory and time."""
        await pool.begin("print(1)").render([{}])
        limits = {line[:26].strip(): line[26:].split()[:2] for line in looked(pool.pids[0], "limits") or ()}

        none = ("Max open files", "Max processes", "Max file size", "Max core file size")
        assert {name: ["0", "0"] for name in none} == {name: limits[name] for name in none}
        assert limits["Max address space"][1] != "unlimited"
        assert int(limits["Max address space"][1]) < 400 * 1024**2
        assert "4010" == limits["Max cpu time"][1]

    async def test_rights(self, pool: ScriptPool) -> None:
        """A child has no capability, can gain none, and is not root."""
        await pool.begin("print(1)").render([{}])
        status = dict(line.split(":", 1) for line in looked(pool.pids[0], "status") or ())

        assert {"0" * 16} == {status[name].strip() for name in ("CapEff", "CapPrm", "CapInh")}
        assert "1" == status["NoNewPrivs"].strip()
        assert "0" not in status["Uid"].split()

    async def test_network(self, pool: ScriptPool) -> None:
        """Where the kernel permits it, a child has a network of its own, which is empty."""
        await pool.begin("print(1)").render([{}])
        try:
            shared = os.readlink(f"/proc/{pool.pids[0]}/ns/net") == os.readlink("/proc/self/ns/net")
        except PermissionError:
            assert os.getuid() != 0
            return

        assert shared is not separable()

    async def test_dies_with_its_parent(self) -> None:
        """A server that is killed leaves no child behind, not even one in an endless loop."""
        source = (
            "import asyncio\nfrom notify.script.pool import Limits, ScriptPool\n"
            "async def main():\n"
            "    pool = ScriptPool(workers=1, limits=Limits(cpu_seconds=60.0, answer_seconds=60.0))\n"
            "    rendering = asyncio.create_task(pool.begin('for(;;);').render([{}]))\n"
            "    while not pool.pids: await asyncio.sleep(0)\n"
            "    print(pool.pids[0], flush=True)\n"
            "    await rendering\n"
            "asyncio.run(main())\n"
        )
        root = Path(__file__).parents[3]
        parent = await asyncio.create_subprocess_exec(
            sys.executable, "-c", source, stdout=asyncio.subprocess.PIPE, cwd=root
        )
        assert parent.stdout is not None
        pid = int(await parent.stdout.readline())
        assert not is_gone(pid)
        parent.kill()
        await parent.wait()
        await until(lambda: is_gone(pid) or is_zombie(pid))


def is_zombie(pid: int) -> bool:
    """Whether it is dead and only nobody has asked for its exit code: here its new parent may be one who never does."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return True


def separable() -> bool:
    """Whether the kernel gives a process of ours a network of its own; asked in a process of its own."""
    question = (
        "import ctypes, os\nlibc = ctypes.CDLL(None)\n"
        f"if libc.unshare({program.CLONE_NEWNET}) == 0: raise SystemExit(0)\n"
        "if os.getuid() == 0:\n    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"raise SystemExit(libc.unshare({program.CLONE_NEWUSER | program.CLONE_NEWNET}) != 0)"
    )
    return subprocess.run([sys.executable, "-I", "-c", question], check=False).returncode == 0
