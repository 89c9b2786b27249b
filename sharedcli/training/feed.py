"""The stream of training batches: what comes at each step, made in the background.

A batch is a function of its place in the run. With a ``pool`` it is a function of its number in the
pool instead, so that what is costly about it (a teacher's reading) can be kept.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from random import Random

from sharedcli.errors import UsageError
from sharedcli.training.batches import Batch, make_batch
from sharedcli.training.cuts import draw_cuts
from sharedcli.training.questions import QuestionSampler
from sharedcli.training.recipe import Phase, Stage
from sharedcli.training.samples import TextSampler
from sharedcli.tree.geometry import TreeGeometry


@dataclass(frozen=True)
class Place:
    """Where in a stage a batch is: optimiser step, forward pass within it, process."""

    step: int
    micro: int = 0
    rank: int = 0
    world: int = 1


class Feed:
    """Makes the batches of one stage."""

    def __init__(
        self,
        stage: Stage,
        name: str,
        geometry: TreeGeometry,
        text: TextSampler | None,
        questions: QuestionSampler | None,
    ) -> None:
        """``name`` seeds all draws: it holds the run's seed, the stage and the data's digests."""
        if stage.questions < 1 and text is None:
            raise UsageError(
                f"stage {stage.name!r} needs long text and the data has none; give documents or "
                "JSON Lines with a text, or set stages.questions=1"
            )
        if stage.questions > 0 and questions is None:
            raise UsageError(
                f"stage {stage.name!r} needs passages with questions and the data has none; give "
                "JSON Lines with a context and its questions, or use the recipe lm"
            )
        self.stage = stage
        self._name = name
        self._geometry = geometry
        self._text = text
        self._questions = questions
        for phase in stage.curriculum:
            if text is not None and stage.questions < 1:
                for running in phase.running_tokens:
                    text.check(running)
            if questions is not None and stage.questions > 0:
                for context in phase.context_tokens:
                    questions.check(context)

    def batch(self, place: Place, progress: float) -> Batch:
        """The batch at ``place``, ``progress`` (0 to 1) of the way through the stage."""
        phase = self.stage.phase(progress)
        number = (place.step * self.stage.accumulate + place.micro) * place.world + place.rank
        if not self.stage.pool:
            return self._draw(f"{self._name}/{number}", phase, "")
        epoch, index = divmod(number, self.stage.pool)
        index = self._order(epoch)[index]
        key = f"{self._name}/pool/{index}/{json.dumps(asdict(phase), sort_keys=True)}"
        return self._draw(key, phase, hashlib.sha256(key.encode()).hexdigest()[:40])

    @lru_cache(maxsize=2)  # noqa: B019  one feed per stage
    def _order(self, epoch: int) -> list[int]:
        order = list(range(self.stage.pool))
        Random(f"{self._name}/order/{epoch}").shuffle(order)
        return order

    def _draw(self, key: str, phase: Phase, digest: str) -> Batch:
        rng = Random(key)
        stage, draw = self.stage, self.stage.draw
        context, running = rng.choice(phase.context_tokens), rng.choice(phase.running_tokens)
        ratio = rng.choice(phase.ratios)
        asked = rng.random() < stage.questions
        chunk = self._geometry.chunk_tokens
        if asked:
            assert self._questions is not None
            samples = [
                self._questions.draw(
                    rng,
                    context,
                    stage.questions_per_context,
                    distractors=draw.distractors,
                    verbatim=draw.verbatim,
                    passages=draw.passages,
                    absent=draw.absent,
                )
                for _ in range(stage.batch)
            ]
        else:
            assert self._text is not None
            samples = [
                self._text.draw_along(rng, context, running, chunk, stage.along)
                if stage.along
                else self._text.draw(rng, context, running, draw.distractors, chunk)
                for _ in range(stage.batch)
            ]
        # an answer that nothing shown can tell would teach to make one up
        bare = rng.random() < draw.no_context and not asked
        spans = [
            [r.evidence for r in sample.running if r.evidence is not None] for sample in samples
        ]
        lengths = [len(sample.context) for sample in samples]
        cuts = draw_cuts(rng, lengths, plan=self._geometry, ratio=ratio, draw=draw, evidence=spans)
        distilled = stage.objective.distillation > 0
        return make_batch(samples, () if bare else cuts, teachers=distilled, digest=digest)


class Prefetch:
    """Calls ``make`` for coming items in a background thread, a few ahead."""

    def __init__(self, make: Callable[[Place, float], Batch], ahead: int = 4) -> None:
        self._make = make
        self._ahead = ahead
        self._pool = ThreadPoolExecutor(1, "prefetch")
        self._coming: deque[tuple[Place, Future[Batch]]] = deque()

    def get(self, wanted: Sequence[tuple[Place, float]]) -> Batch:
        """The batch of the first of ``wanted``; the others are begun."""
        if self._coming and self._coming[0][0] != wanted[0][0]:
            self._drop()
        begun = {place for place, _ in self._coming}
        for place, progress in wanted[: self._ahead]:
            if place not in begun:
                self._coming.append((place, self._pool.submit(self._make, place, progress)))
        return self._coming.popleft()[1].result()

    def _drop(self) -> None:
        for _, future in self._coming:
            future.cancel()
        self._coming.clear()

    def close(self) -> None:
        """End the thread."""
        self._drop()
        self._pool.shutdown(wait=True, cancel_futures=True)
