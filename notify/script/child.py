"""The process in which scripts run: started by its path, alone, without anything of Herald.

    stdin    L limits · S a script · C a context, each as JSON of ASCII characters
    stdout   R ready · then for each context: a verdict, the engine's words, NUL, what the prelude tells

A frame is its length in four bytes and its content. Each context gets an engine of its own, which is thrown away. The
engine stops a script by itself; some of its native calls do not listen, so the kernel ends the whole process a little
later, by its processor time and with nobody's help.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from time import process_time
from typing import Any, Final

NOBODY: Final = 65534
GUARD: Final = 2  # times the engine's own limit, before the kernel ends the process
HEADROOM_BYTES: Final = 64 * 1024**2  # for Python, and for an answer's copies on their way out
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
CAPABILITY_VERSION_3: Final = 0x20080522
WORDS_MOST: Final = 2000
DONE, TIME, MEMORY, OTHER = b"=", b"T", b"M", b"X"

# What a script can spoil of its own engine is captured first. Strings alone leave a turn, each as JSON, so that neither
# NUL nor a lone surrogate meets a C string. The names in brackets tell our frames from the caller's in a stack.
PRELUDE: Final = r"""
(function (recipient, outputMost, linesMost, lineMost) {
  "use strict";
  const { apply } = Reflect, { parse, stringify } = JSON, text = String, indirect = globalThis.eval;
  const { join } = Array.prototype, { slice } = String.prototype, { then } = Promise.prototype;
  const AnyError = Error, TooMuch = RangeError;
  let state = "idle", output = "", log = "", kept = 0, dropped = 0, over = false, error = "", stack = "";

  const shown = {"(shown)": (value) =>
    typeof value === "string" ? value
    : typeof value === "object" && value !== null ? stringify(value) ?? text(value)
    : text(value)}["(shown)"];

  const all = {"(all)": (values) => {
    let joined = "";
    for (let i = 0; i < values.length; i++) joined += shown(values[i]);
    return joined;
  }}["(all)"];

  const print = {"(print)": (...values) => {
    const piece = all(values);
    if (over || output.length + piece.length > outputMost) {
      over = true;
      throw new TooMuch("print: too much output");
    }
    output += piece;
  }}["(print)"];

  const note = {"(log)": (...values) => {
    if (kept >= linesMost) { dropped++; return; }
    const line = all(values);
    const cut = line.length > lineMost ? apply(slice, line, [0, lineMost]) + "…" : line;
    log += (kept++ ? "," : "") + stringify(cut);
  }}["(log)"];

  const fail = {"(fail)": (thrown) => {
    state = thrown === null ? "null" : "failed";
    try {
      if (thrown instanceof AnyError) {
        error = apply(slice, text(thrown), [0, 600]);
        stack = apply(slice, text(thrown.stack), [0, 2000]);
      } else {
        error = apply(slice, "Thrown: " + shown(thrown), [0, 600]);
      }
    } catch {}
  }}["(fail)"];

  const run = {"(run)": (source) => {
    try {
      const value = indirect(parse(source));
      state = "done";
      if (typeof value !== "object" || value === null) return;
      try {
        apply(then, value, [() => { state = "done"; }, fail]);
        state = "pending";
      } catch {}
    } catch (thrown) { fail(thrown); }
  }}["(run)"];

  const tell = {"(tell)": () => apply(join, [
    '["', state, '",', state === "done" && !over ? stringify(output) : '""', ",[", log, "],", text(dropped), ",",
    over ? "true" : "false", ",", stringify(error), ",", stringify(stack), "]",
  ], [""])}["(tell)"];

  globalThis.context = parse(recipient);
  globalThis.print = print;
  globalThis.koreDebugger = { log: note };
  return (source) => source === undefined ? tell() : run(source);
})
"""


def main() -> None:
    """Load the engine, give everything else away, and serve until the other side closes."""
    _outlive_stops()
    engine = _engine(sys.argv[1])
    frame = _read()
    if frame is None:
        return
    bounds = [float(number) for number in frame[1:].split()]
    room = Room(engine, bounds)
    room.turn('""', "{}")  # whatever is loaded at the first use is loaded now
    confine(int(bounds[1]), int(bounds[6]))
    _write(b"R")
    _serve(room)


def _serve(room: Room) -> None:
    source = '""'
    while (frame := _read()) is not None:
        if frame[:1] == b"S":
            source = frame[1:].decode("ascii")
        else:
            _write(room.guarded(source, frame[1:].decode("ascii")))


class Room:
    """An engine and the limits of a turn."""

    def __init__(self, engine: Any, bounds: list[float]) -> None:
        self._engine = engine
        self._seconds = bounds[0]
        self._memory, self._stack, *self._kept = (int(number) for number in bounds[1:6])

    def guarded(self, source: str, context: str) -> bytes:
        """One turn under the kernel's clock, which stops what the engine cannot."""
        signal.setitimer(signal.ITIMER_PROF, GUARD * self._seconds)
        try:
            return self.turn(source, context)
        except MemoryError:
            return MEMORY + b"\0"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def turn(self, source: str, context: str) -> bytes:
        """Run a script for one recipient in an engine of its own."""
        engine = self._engine.Context()
        engine.set_memory_limit(self._memory)
        engine.set_max_stack_size(self._stack)
        engine.set_time_limit(self._seconds)
        until = process_time() + self._seconds
        tell = None
        verdict, words = DONE, ""
        try:
            tell = engine.eval(PRELUDE)(context, *self._kept)
            tell(source)
            if not _settle(engine, until):
                verdict, words = TIME, "InternalError: interrupted"
        except self._engine.JSException as error:
            words = str(error)[:WORDS_MOST]  # functions choose their names
            verdict = _verdict(words)
        except UnicodeDecodeError:  # a function's name with a lone surrogate, in the stack of what stopped it
            verdict = TIME if process_time() >= until else OTHER
        told = self._told(engine, tell)
        if verdict == DONE and not told:
            verdict = MEMORY  # what the script keeps leaves not even the room to tell of it
        return verdict + words.encode("utf-8", "replace") + b"\0" + told

    def _told(self, engine: Any, tell: Any) -> bytes:
        if tell is None:
            return b""
        engine.set_time_limit(self._seconds)
        try:
            told: str = tell()
            return told.encode()
        except self._engine.JSException:
            return b""


def _settle(engine: Any, until: float) -> bool:
    """Run what promises have left to do; false when the time is over."""
    while (left := until - process_time()) > 0:
        engine.set_time_limit(left)
        if not engine.execute_pending_job():
            return True
    return False


def _verdict(words: str) -> bytes:
    if words.startswith("InternalError: interrupted"):
        return TIME
    # without the memory for an error the engine throws null
    return MEMORY if words.startswith(("InternalError: out of memory", "null")) else OTHER


def confine(memory: int, turns_seconds: int) -> None:
    """Give away every right that a script does not need; where the kernel knows no such right, go on without."""
    space = _address_space()
    linux = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    alone = linux is not None and linux.unshare(CLONE_NEWNET) == 0  # root may
    _stop_being_root()
    if linux is not None:
        if not alone:
            linux.unshare(CLONE_NEWUSER | CLONE_NEWNET)
        linux.capset((ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)())
        linux.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        linux.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        linux.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # last: a change of rights forgets it
    if space:
        _limit("RLIMIT_AS", space + memory + HEADROOM_BYTES)
    _limit("RLIMIT_CPU", turns_seconds)
    for name in ("RLIMIT_FSIZE", "RLIMIT_CORE", "RLIMIT_NPROC", "RLIMIT_NOFILE"):
        _limit(name, 0)


def _address_space() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _outlive_stops() -> None:
    """A signal to the whole group is the server's to obey: it ends its children by SIGKILL in its own time."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _stop_being_root() -> None:
    if os.getuid() != 0:
        return
    with contextlib.suppress(OSError):  # a container without that user
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def _limit(name: str, most: int) -> None:
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not known here, or already less
        resource.setrlimit(getattr(resource, name), (most, most))


def _engine(path: str) -> Any:
    """The engine of exactly this file: an archived package has the same import name."""
    loader = ExtensionFileLoader("_quickjs", path)
    module = loader.create_module(ModuleSpec("_quickjs", loader, origin=path))
    loader.exec_module(module)
    return module


def _read() -> bytes | None:
    head = sys.stdin.buffer.read(4)
    if len(head) < 4:
        return None
    return sys.stdin.buffer.read(int.from_bytes(head, "big"))


def _write(content: bytes) -> None:
    sys.stdout.buffer.write(len(content).to_bytes(4, "big") + content)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
