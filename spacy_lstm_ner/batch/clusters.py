"""The engines `ray` and `spark`, which run the workers of the engine `local` on the machines of a cluster.

A cluster reads the input and writes the output through a file system that all its machines have at the same place. Its
own means start a worker again if its machine is lost. Everything else is as in the engine `local`.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from itertools import islice
from typing import Any, Optional

from ..ray_cluster import check_address, connected
from ..threads import ONE_THREAD_ENV
from .inputs import Chunk
from .local import Replies, Reply, Worker, cores
from .worker import Annotator, Job

_LOOPBACK = "127.0.0.1"
_MASTER = re.compile(r"local(\[.*\])?$|yarn$|spark://|k8s://")
_RETRIES = 4
"""How often a chunk is done again because its machine or its actor was lost."""
_CHUNKS_OF_CORE = 32
"""So many chunks a core are in one job of Spark. After each job, the progress is shown."""
_ROWS = 2000
"""Rows that Ray Data gives to an actor at once."""


def run_ray(job: Job, chunks: Sequence[Chunk], workers: int, address: Optional[str] = None) -> Replies:
    """Do the chunks of a job with actors of Ray.

    Args:
        job (Job): The job.
        chunks (Sequence[Chunk]): The chunks to do.
        workers (int): The number of actors; 0 for one on each core.
        address (Optional[str]): The address of a cluster. None for the one that this process is connected to, or else
            for a new one, which only this machine can reach and which ends with the job.

    Yields:
        Reply: A reply for each chunk, in any order.

    Raises:
        ConnectionError: If there is no cluster with this address.
        RuntimeError: If Ray cannot go on.
        ValueError: If the cluster has not so many cores.
    """
    with connected(address, workers or cores()):
        import ray
        from ray.util import ActorPool

        try:
            found = int(ray.cluster_resources().get("CPU", 0))
            if max(workers, 1) > found:
                raise ValueError(
                    f"expected at most {found} workers, as many as the cluster has cores, found {max(workers, 1)}"
                )
            actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=_RETRIES)(Worker)
            pool = ActorPool([actor.remote(job) for _ in range(min(workers or found, len(chunks)))])
            yield from pool.map_unordered(lambda worker, chunk: worker.do.remote(chunk), chunks)
        except ray.exceptions.RayError as error:
            raise RuntimeError(f"Ray: {error}") from error


def run_spark(job: Job, chunks: Sequence[Chunk], workers: int, address: Optional[str] = None) -> Replies:
    """Do the chunks of a job with executors of Spark.

    Args:
        job (Job): The job.
        chunks (Sequence[Chunk]): The chunks to do.
        workers (int): The number of cores of this machine to use, if there is no address; 0 for all.
        address (Optional[str]): The master of a cluster. None for the session that is active, or else for one on this
            machine that ends with the job.

    Yields:
        Reply: A reply for each chunk, in any order.

    Raises:
        ConnectionError: If no master answers at this address.
        RuntimeError: If Spark cannot go on.
        ValueError: If the address is none of a master, or if there is a session with another one.
    """
    if address is not None:
        # Spark says this with the stack of its virtual machine.
        if not _MASTER.match(address):
            raise ValueError(f"expected a master of Spark such as spark://HOST:7077, found {address!r}")
        check_address(address.removeprefix("spark://"), "a master of Spark")
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    theirs = _session()
    try:
        session = theirs or _new_session(address, workers)
        context = session.sparkContext
        if address not in (None, context.master):
            raise ValueError(f"expected {address}, found a session with the master {context.master}. Stop it first")
        to_do = iter(chunks)
        while some := list(islice(to_do, context.defaultParallelism * _CHUNKS_OF_CORE)):
            yield from context.parallelize(some, len(some)).map(partial(_do_in_process, job)).collect()
    except (PySparkException, Py4JError) as error:
        # Without the stack of the virtual machine, which the log has.
        raise RuntimeError(f"Spark: {' '.join(str(error).splitlines()[:2])}"[:500]) from error
    finally:
        session = _session()
        if theirs is None and session is not None:
            session.stop()


def _session() -> Any:
    """The session of this process, whichever of its threads has started it; None if there is none."""
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    try:
        return SparkSession.active()
    except PySparkException:
        return None


def _new_session(master: Optional[str], workers: int) -> Any:
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if master is None:
        os.environ.setdefault("SPARK_LOCAL_IP", _LOOPBACK)
    quiet = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
    builder = SparkSession.builder.appName("spacy-lstm-ner").config(map=quiet)
    return builder.master(master or f"local[{workers or cores()},{_RETRIES}]").getOrCreate()


_WORKERS: dict[Job, Worker] = {}
"""The worker of a process of an executor."""


def _do_in_process(job: Job, chunk: Chunk) -> Reply:
    if job not in _WORKERS:
        for worker in _WORKERS.values():
            worker.close()
        _WORKERS.clear()
        _WORKERS[job] = Worker(job)
    return _WORKERS[job].do(chunk)


def annotate_dataset(data: Any, job: Job, workers: int = 0) -> Any:
    """Add columns with entities to a data set of Ray Data, or a data frame of Spark. It is done when it is used.

    Args:
        data (Any): The data set or the data frame.
        job (Job): The job.
        workers (int): The number of actors of Ray; 0 for what Ray finds right. Spark decides this by itself.

    Returns:
        Any: The same with the columns of `Annotator.annotate_arrow`.

    Raises:
        TypeError: If it is neither.
    """
    module = type(data).__module__.partition(".")[0]
    if module == "ray":
        from ray.data import ActorPoolStrategy

        return data.map_batches(
            _Actor,
            fn_constructor_args=(job,),
            batch_format="pyarrow",
            batch_size=_ROWS,
            compute=ActorPoolStrategy(size=workers) if workers else ActorPoolStrategy(),
            runtime_env={"env_vars": ONE_THREAD_ENV},
        )
    if module == "pyspark":
        added = data.sparkSession.createDataFrame([], _in_sql(job)).schema
        return data.mapInArrow(partial(_annotate_partition, job), type(added)([*data.schema.fields, *added.fields]))
    raise TypeError(
        f"expected a data set of Ray or a data frame of Spark, found {type(data).__name__}. For files, give an output"
    )


def _in_sql(job: Job) -> str:
    """The columns of `Annotator.annotate_arrow` as Spark writes types."""
    place = "start: int, end: int, label: string"
    analysis = f"entities: array<struct<{place}>>, probability: double"
    alternatives = f"alternatives array<struct<{analysis}>>, " if job.n_best else ""
    doubt = "doubt double, " if job.doubt else ""
    return f"entities array<struct<{place}, score: double>>, {doubt}{alternatives}model string, problem string"


class _Actor:
    def __init__(self, job: Job) -> None:
        self.annotator = Annotator(job)

    def __call__(self, table: Any) -> Any:
        return self.annotator.annotate_arrow(table)


_annotator = lru_cache(1)(Annotator)


def _annotate_partition(job: Job, batches: Iterator[Any]) -> Iterator[Any]:
    annotator = _annotator(job)
    for batch in batches:
        yield annotator.annotate_arrow(batch)
