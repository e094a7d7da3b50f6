"""The engine `local`: processes of this machine, each with its own pipeline, that take the next chunk when free.

Only orders and replies go between the processes. One that dies is started again and does its chunk again. One that
needs too long for a document is killed first. The other engines run the same `Worker` on each of their machines.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import asdict
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Optional

from ..threads import ONE_THREAD_ENV
from .inputs import Chunk
from .worker import Job

Reply = dict[str, Any]
"""What was done of a chunk, see `write_chunk`; or, as "fatal", why no chunk can be done."""
Replies = Generator[Reply, None, None]

_DEATHS = 3
"""So many deaths of a process are taken for chance. After them, its chunk is done one document at a time."""
_LATE_S = 0.05


def run_local(job: Job, chunks: Sequence[Chunk], workers: int, address: Optional[str] = None) -> Replies:
    """Do the chunks of a job with several processes.

    Args:
        job (Job): The job.
        chunks (Sequence[Chunk]): The chunks to do.
        workers (int): The number of processes; 0 for one on each core.
        address (Optional[str]): Not used.

    Yields:
        Reply: A reply for each chunk, in any order.
    """
    to_do, replies = SimpleQueue[Chunk](), SimpleQueue[Reply]()
    for chunk in chunks:
        to_do.put(chunk)
    own = [Worker(job) for _ in range(min(workers or cores(), len(chunks)))]
    threads = [Thread(target=_work, args=(worker, to_do, replies), daemon=True) for worker in own]
    for thread in threads:
        thread.start()
    try:
        for _ in chunks:
            yield replies.get()
    finally:  # After an interrupt too: no process stays behind.
        for worker in own:
            worker.close()
        for thread in threads:
            thread.join()


def _work(worker: "Worker", to_do: SimpleQueue[Chunk], replies: SimpleQueue[Reply]) -> None:
    with suppress(Empty):
        while True:
            replies.put(worker.do(to_do.get_nowait()))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Worker:
    """Does chunks with a process, which it starts again when it dies.

    Args:
        job (Job): The job.
    """

    def __init__(self, job: Job) -> None:
        self._job, self._lock, self._closed, self._late = job, Lock(), False, False
        self._process: Optional[subprocess.Popen[str]] = None
        self._at: Optional[tuple[int, bool]] = None
        self._deadline: Optional[float] = None

    def do(self, chunk: Chunk) -> Reply:
        """Annotate a chunk.

        Args:
            chunk (Chunk): The chunk.

        Returns:
            Reply: What was done.
        """
        care = Care(self._job.timeout)
        try:
            while True:
                process = self._started()
                reply = self._try(process, chunk, care)
                if reply is not None:
                    return reply
                care.learn(self._at, self._late, process.wait())
        except Exception as error:  # It ends the job, where the job is.
            return {"fatal": str(error) if isinstance(error, RuntimeError) else repr(error)}

    def close(self) -> None:
        """End the process. None is started any more."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                _end(self._process)

    def _started(self) -> "subprocess.Popen[str]":
        with self._lock:
            if self._closed:
                raise RuntimeError("stopped")
            if self._process is None or self._process.poll() is not None:
                if self._process is not None:
                    _end(self._process)
                paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
                self._process = subprocess.Popen(
                    [sys.executable, "-m", f"{__package__}.worker"],
                    env={**os.environ, **ONE_THREAD_ENV, "PYTHONPATH": paths},
                    cwd=self._job.folder if os.path.isdir(self._job.folder) else None,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    encoding="utf-8",
                )
                self._deadline = None
                Thread(target=self._kill_if_late, args=(self._process,), daemon=True).start()
                _send(self._process, asdict(self._job))
            return self._process

    def _try(self, process: "subprocess.Popen[str]", chunk: Chunk, care: "Care") -> Optional[Reply]:
        """Give the process a chunk, and note which row it has begun. Returns None if it has died."""
        self._at, self._late = None, False
        _send(process, {"chunk": chunk, "single": None if care.all_alone else sorted(care.single), "skip": care.skip})
        assert process.stdout is not None
        for line in process.stdout:
            reply: Reply = json.loads(line)
            self._deadline = None
            if "fatal" in reply:
                return reply
            if "done" in reply:
                done: Reply = reply["done"]
                return done
            number = reply.get("at")
            self._at = None if number is None else (number, reply["alone"])
            self._deadline = None if number is None else time.monotonic() + self._job.timeout
        return None

    def _kill_if_late(self, process: "subprocess.Popen[str]") -> None:
        while process.poll() is None:
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                self._late = True
                process.kill()
            time.sleep(_LATE_S)


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with suppress(OSError):  # It could not take the last order.
            pipe.close()


def _send(process: "subprocess.Popen[str]", order: Any) -> None:
    assert process.stdin is not None
    with suppress(OSError):  # It is dead, which its output says too.
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()


class Care:
    """What the deaths of processes have shown of a chunk.

    Args:
        timeout (float): The time limit for a document, in seconds.

    Attributes:
        single (set[int]): The first rows of the batches to do one document at a time.
        skip (dict[int, str]): Rows that cannot be done, and why.
        all_alone (bool): Whether to do all batches one document at a time.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout, self.single, self.skip, self.all_alone = timeout, set[int](), dict[int, str](), False
        self._deaths, self._starts, self._blamed = 0, 0, Counter[int]()

    def learn(self, at: Optional[tuple[int, bool]], late: bool, code: int) -> None:
        """Learn from a process that has died.

        Args:
            at (Optional[tuple[int, bool]]): The row that it had begun, and whether alone or with a batch; None if none.
            late (bool): Whether it was killed because this took too long.
            code (int): Its exit code.

        Raises:
            RuntimeError: If processes die again and again while they annotate nothing.
        """
        number, alone = at or (None, False)
        if late and number is not None:
            if alone:
                self.skip[number] = f"out of time: more than {self.timeout:g} s"
            self.single.add(number)
            return
        self._deaths += 1
        self.all_alone = self._deaths >= _DEATHS
        if number is None:
            self._starts += 1
            if self._starts > 2 * _DEATHS:
                raise RuntimeError(f"a worker ended {self._starts} times before it began a document, with code {code}")
        elif alone:
            # A process that is killed from outside twice in the same document is very unlikely.
            self._blamed[number] += 1
            if self._blamed[number] > 1:
                self.skip[number] = f"died: the process that annotated it ended with code {code}"
