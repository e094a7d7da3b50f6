"""The engine `local`: processes of this machine, each with its own pipeline, that take the next chunk when free.

Only orders and replies go between the processes. One that dies is started again and does its chunk again. One that
needs too long for a document is killed first.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from threading import Lock, Thread
from typing import Any, Optional

from ..threads import ONE_THREAD_ENV
from .inputs import Chunk
from .worker import Job

_DEATHS = 3
"""So many deaths of a worker are taken for chance. After them, its chunk is done one document at a time."""
_LATE_S = 0.05


class Worker:
    """A process that annotates chunks.

    Args:
        job (Job): The job.

    Attributes:
        at (Optional[tuple[int, bool]]): The row that it has begun, and whether alone or with a batch; None if none.
        late (bool): Whether it was killed because this took too long.
    """

    def __init__(self, job: Job) -> None:
        self.timeout, self.late = job.timeout, False
        self.at: Optional[tuple[int, bool]] = None
        self._deadline: Optional[float] = None
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        env = {**os.environ, **ONE_THREAD_ENV, "PYTHONPATH": paths}
        command = [sys.executable, "-m", f"{__package__}.worker"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True, encoding="utf-8")
        self._send(asdict(job))

    def do(self, chunk: Chunk, care: "Care") -> Optional[dict[str, Any]]:
        """Annotate a chunk.

        Args:
            chunk (Chunk): The chunk.
            care (Care): What is known of its rows.

        Returns:
            Optional[dict[str, Any]]: What was done, see `write_chunk`; None if the process has died.

        Raises:
            RuntimeError: If the process says why no chunk can be done.
        """
        self.at = None
        single = None if care.all_alone else sorted(care.single)
        self._send({"chunk": chunk, "single": single, "skip": care.skip})
        assert self.process.stdout is not None
        for line in self.process.stdout:
            reply = json.loads(line)
            self._deadline = None
            if "fatal" in reply:
                raise RuntimeError(reply["fatal"])
            if "done" in reply:
                return reply["done"]
            number = reply.get("at")
            self.at = None if number is None else (number, reply["alone"])
            self._deadline = None if number is None else time.monotonic() + self.timeout
        self.process.wait()
        return None

    def kill_if_late(self) -> None:
        """Kill the process if a document or a batch takes too long."""
        deadline = self._deadline
        if deadline is not None and time.monotonic() > deadline:
            self.late = True
            self.process.kill()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:  # It could not take the last order.
                continue

    def _send(self, order: Any) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        except OSError:  # It is dead, which its output says too.
            return


class Care:
    """What the deaths of workers have shown of a chunk.

    Attributes:
        single (set[int]): The first rows of the batches to do one document at a time.
        skip (dict[int, str]): Rows that cannot be done, and why.
        all_alone (bool): Whether to do all batches one document at a time.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout, self.single, self.skip, self.all_alone = timeout, set[int](), dict[int, str](), False
        self._deaths, self._starts, self._blamed = 0, 0, Counter[int]()

    def learn(self, worker: Worker) -> None:
        """Learn from a worker that has died.

        Args:
            worker (Worker): The worker.

        Raises:
            RuntimeError: If workers die again and again while they annotate nothing.
        """
        number, alone = worker.at or (None, False)
        if worker.late and number is not None:
            if alone:
                self.skip[number] = f"out of time: more than {self.timeout:g} s"
            self.single.add(number)
            return
        self._deaths += 1
        self.all_alone = self._deaths >= _DEATHS
        code = worker.process.returncode
        if number is None:
            self._starts += 1
            if self._starts > 2 * _DEATHS:
                raise RuntimeError(f"a worker ended {self._starts} times before it began a document, with code {code}")
        elif alone:
            # A worker that is killed from outside twice in the same document is very unlikely.
            self._blamed[number] += 1
            if self._blamed[number] > 1:
                self.skip[number] = f"died: the process that annotated it ended with code {code}"


class LocalEngine:
    """Does the chunks of a job with several processes.

    Args:
        job (Job): The job.
        chunks (Iterable[Chunk]): The chunks to do.
        workers (int): The number of processes.
        on_done (Callable[[Chunk, dict[str, Any]], None]): Called with what was done of each chunk, see `write_chunk`,
            by one thread at a time.
    """

    def __init__(
        self, job: Job, chunks: Iterable[Chunk], workers: int, on_done: Callable[[Chunk, dict[str, Any]], None]
    ) -> None:
        self._job, self._on_done = job, on_done
        self._chunks: Iterator[Chunk] = iter(chunks)
        self._lock, self._workers, self._error = Lock(), set[Worker](), list[BaseException]()
        self._threads = [Thread(target=self._work, daemon=True) for _ in range(workers)]

    def run(self, wait: Callable[[], None] = lambda: None) -> None:
        """Do all chunks.

        Args:
            wait (Callable[[], None]): Called now and then.

        Raises:
            RuntimeError: If the job cannot go on.
        """
        for thread in self._threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in self._threads) and not self._error:
                time.sleep(_LATE_S)
                with self._lock:
                    workers = list(self._workers)
                for worker in workers:
                    worker.kill_if_late()
                wait()
        except BaseException as error:  # KeyboardInterrupt too: no process stays behind.
            self._error.append(error)
        if self._error:
            with self._lock:
                for worker in self._workers:
                    worker.process.kill()
        for thread in self._threads:
            thread.join()
        if self._error:
            raise self._error[0]

    def _next(self) -> Optional[Chunk]:
        with self._lock:
            return None if self._error else next(self._chunks, None)

    def _start(self) -> Worker:
        # Under the lock, so that none is started after all were killed.
        with self._lock:
            if self._error:
                raise RuntimeError("stopped")
            worker = Worker(self._job)
            self._workers.add(worker)
        return worker

    def _end(self, worker: Optional[Worker]) -> None:
        if worker is not None:
            worker.close()
            with self._lock:
                self._workers.discard(worker)

    def _work(self) -> None:
        worker: Optional[Worker] = None
        try:
            while (chunk := self._next()) is not None:
                care, done = Care(self._job.timeout), None
                while done is None and not self._error:
                    worker = worker or self._start()
                    done = worker.do(chunk, care)
                    if done is None:
                        care.learn(worker)
                        self._end(worker)
                        worker = None
                if done is not None:
                    with self._lock:
                        self._on_done(chunk, done)
        except Exception as error:  # It ends the job in the thread that has started it.
            self._error.append(error)
        finally:
            self._end(worker)
