"""What is held while prompts are read once, beside what was sized."""

import weakref
from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.models import CORPUS, build_model, build_processor
from tests.runners.vipllava.asking import ask, pictures
from vipbench.run.share import room_for
from vipbench.runfolder.plan import BatchLimit, plan_batches
from vipbench.runfolder.sharing import Beginnings
from vipbench.runners.spec import Shared
from vipbench.runners.vipllava.model_sizes import sizes_of
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.runners.vipllava.sizing import bytes_per_token, cache_bytes


class Held(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that are made and not yet given back; remembers the most."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._users: Counter[int] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        given = {id_of(tensor) for tensor in tree_leaves((args, kwargs)) if is_tensor(tensor)}
        for tensor in filter(is_tensor, tree_leaves(made)):
            storage = id_of(tensor)
            if storage in self._users or storage not in given:  # else a view of a weight
                if not self._users[storage]:
                    self.now += tensor.untyped_storage().nbytes()
                self._users[storage] += 1
                weakref.finalize(
                    tensor, self._give_back, storage, tensor.untyped_storage().nbytes()
                )
        self.most = max(self.most, self.now)
        return made

    def _give_back(self, storage: int, n_bytes: int) -> None:
        self._users[storage] -= 1
        if not self._users[storage]:
            del self._users[storage]
            self.now -= n_bytes


def id_of(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def is_tensor(leaf: object) -> bool:
    return isinstance(leaf, torch.Tensor)


@pytest.mark.parametrize("n_tokens", [512, 1024])
def test_what_is_held_is_within_what_was_sized(
    n_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model()
    runner = VipLlavaRunner(model, build_processor())
    runner.shares = True
    words = CORPUS[0].split()
    asked = [ask(f"{' '.join(words[:40])} {i}", new=2, name=str(i)) for i in range(40)]
    prompts = [runner.encode(each) for each in asked]
    beginnings = Beginnings()
    numbers = [beginnings.add(b"one", str(i).encode(), ids, 100) for i, ids in enumerate(prompts)]
    # As of a device whose memory sets the limit; the answers are short.
    monkeypatch.setattr("vipbench.runners.vipllava.sizing.ANSWER_TOKENS", 2)
    monkeypatch.setattr("vipbench.runners.vipllava.sizing._memory", lambda device: 2**30)
    sizes = sizes_of(model.config)
    shared = Shared(lambda request: None, sizes, cache_bytes(model.device))
    limit = BatchLimit(tokens=n_tokens)
    plan = plan_batches(
        list(map(len, prompts)),
        limit,
        groups=beginnings.groups(numbers),
        room=room_for(limit, shared),
    )
    for batch in plan:
        with Held() as held:
            runner.generate([asked[i] for i in batch], pictures(1) * len(batch))
        assert 0 < held.most <= n_tokens * bytes_per_token(sizes, 4)
    assert len(plan) > 1
    assert runner.readings.read.tokens < 0.6 * runner.readings.asked.tokens
