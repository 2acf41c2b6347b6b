"""A hub over real controls, with an executor that is run by hand."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from functools import partial

import pytest
import torch

from streamgen.controls import Controls
from streamgen.errors import ConfigError, ModelError
from streamgen.hub import ControlHub
from streamgen.prompts import PromptBook
from streamgen.revise import Abilities, Reviser
from streamgen.schedule import NoiseSchedule

SECOND = 1_000_000_000


class ManualExecutor(Executor):
    """Keeps what is submitted until it is told to run it."""

    def __init__(self):
        self.waiting = []

    def submit(self, work, /, *args, **kwargs):
        future = Future()
        self.waiting.append((future, partial(work, *args, **kwargs)))
        return future

    def run_next(self):
        future, work = self.waiting.pop(0)
        future.set_running_or_notify_cancel()
        try:
            future.set_result(work())
        except (ConfigError, ModelError) as error:
            future.set_exception(error)

    def run_all(self):
        while self.waiting:
            self.run_next()


class Reading:
    """Stands for the text network: notes what it reads; `meanwhile` happens as it does."""

    def __init__(self):
        self.read = []
        self.meanwhile = {}

    def __call__(self, sentence):
        self.read.append(sentence)
        self.meanwhile.pop(sentence, lambda: None)()
        if sentence == "unreadable":
            raise ModelError("the text network is out of memory: free some")
        return torch.zeros(2, 4)


@pytest.fixture
def reading():
    return Reading()


@pytest.fixture
def executor():
    return ManualExecutor()


@pytest.fixture
def hub_of(reading):
    """Open a hub; of these models, one that predicts noise refuses strength 1."""

    def open_hub(executor=None, *, prediction="epsilon", **controls):
        schedule = NoiseSchedule(
            alphas_cumprod=tuple(1 - k / 999 for k in range(1000)),
            prediction=prediction,
            has_boundary=True,
        )
        reviser = Reviser(
            schedule=schedule,
            prompts=PromptBook(reading),
            abilities=Abilities(reads_picture=False, works_blind=False),
        )
        first = reviser.revise(Controls(**{"prompts": "first", **controls}))
        return ControlHub(first, revise=reviser.revise, check=reviser.check, executor=executor)

    return open_hub
