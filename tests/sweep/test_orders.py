"""What is handed out to workers: data before what needs it, and nothing twice."""

from __future__ import annotations

from sen_bench.sweep import select_runs
from sen_bench.sweep.orders import DataOrder, Queue, RunOrder
from tests.support.sweeps import selection


class TestQueue:
    def test_data_comes_before_what_needs_it_and_nothing_twice(self) -> None:
        runs = select_runs(selection(tasks=("2d-shapes", "rush-hour"), models=("sen", "none")))
        queue = Queue(runs, workers=8, jobs=3, log_to=(), again=False)
        made, asked, done = set(), [], []
        waiting: list[DataOrder] = []
        while (order := queue.next()) or waiting:
            if order is None:
                path = waiting.pop(0).path
                made.add(path)
                queue.made(path)
            elif isinstance(order, DataOrder):
                asked.append(order.path)
                waiting.append(order)
                assert order.workers == 3, "a third of eight, rounded up"
            else:
                assert isinstance(order, RunOrder)
                assert made.issuperset(map(order.run.data.path, order.run.splits))
                done.append(order.run)
        assert sorted(run.name for run in done) == sorted(run.name for run in runs)
        assert len(asked) == len(set(asked)) == 5

    def test_what_needs_data_that_cannot_be_made_is_given_up(self) -> None:
        runs = select_runs(selection(tasks=("2d-shapes",), models=("sen",)))
        queue = Queue(runs, workers=1, jobs=1, log_to=(), again=False)
        first = queue.next()
        assert isinstance(first, DataOrder)
        assert first.path.name == "train.zarr"
        assert [run.config.train_split for run in queue.unmade(first.path)] == ["train"]
        rest = [queue.next(), queue.next(), queue.next()]
        assert [order.path.name for order in rest if isinstance(order, DataOrder)] == [
            "train-limited.zarr",
            "eval.zarr",
        ]
        assert rest[2] is None
