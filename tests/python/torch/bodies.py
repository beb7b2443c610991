"""What peers do in the tests: functions that a `crew.Peer` is given."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Optional

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import pccl
import pccl.torch
import tasks
from pccl.torch import RoundReport, StepReport

STEPS = 3  # of a round
PACKAGE = os.path.dirname(pccl.__file__)


def prepare(
    me: SimpleNamespace, address: str, connect: bool = False, cohort: Optional[tuple[int, int]] = None
) -> None:
    me.communicator = pccl.Communicator(address)
    if cohort is not None:
        me.communicator.set_cohort(*cohort)
    if connect:
        me.communicator.connect()


def count(me: SimpleNamespace, call: str) -> None:
    """From now on: me.calls[call] of them."""
    function = getattr(me.communicator, call)
    me.calls = {**getattr(me, "calls", {}), call: 0}

    def counted(*arguments: Any) -> Any:
        me.calls[call] += 1
        return function(*arguments)

    setattr(me.communicator, call, counted)


def ambush(me: SimpleNamespace, call: str, nth: int, what: signal.Signals) -> None:
    """From now on: this process gets a signal just before its nth ``call`` of the communicator."""
    function = getattr(me.communicator, call)
    count = 0

    def ambushed(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == nth:
            os.kill(os.getpid(), what)
        return function(*arguments, **options)

    setattr(me.communicator, call, ambushed)


def make_model(
    me: SimpleNamespace, address: str, seed: int, model: Callable, data_seed: Optional[int] = None
) -> None:
    if not hasattr(me, "communicator"):
        prepare(me, address)
    torch.manual_seed(seed)
    me.generator = torch.Generator().manual_seed(seed if data_seed is None else data_seed)
    me.model = model()
    if hasattr(me, "shard"):
        me.shard(me.model)


def fresh_parameters(seed: int, model: Callable = tasks.with_batch_norm) -> list[torch.Tensor]:
    """Those that a peer of this seed begins with."""
    torch.manual_seed(seed)
    return [parameter.detach() for parameter in model().parameters()]


def peers_pending(me: SimpleNamespace) -> bool:
    return me.communicator.are_peers_pending()


def leave(me: SimpleNamespace) -> None:
    me.communicator.renew()


# ---- DiLoCo


def join(
    me: SimpleNamespace,
    address: str,
    seed: int = 0,
    model: Callable = tasks.with_batch_norm,
    inner: Callable = torch.optim.AdamW,
    lr: float = 1e-2,
    data_seed: Optional[int] = None,
    **options: Any,
) -> int:
    """The round that it is in then. ``seed``: of the initial model and, by default, of the data."""
    make_model(me, address, seed, model, data_seed)
    me.inner = inner(me.model.parameters(), lr=lr)
    me.reports = []
    options = {"sync_every": STEPS, **options}
    me.diloco = pccl.torch.DiLoCo(me.model, me.inner, me.communicator, on_round=me.reports.append, **options)
    return me.diloco.round


def inner_step(me: SimpleNamespace) -> Optional[RoundReport]:
    tasks.loss_of(me.model, *tasks.batch(me.generator)).backward()
    me.inner.step()
    me.inner.zero_grad()
    return me.diloco.step()


def train_rounds(me: SimpleNamespace, count: int = 1) -> list[RoundReport]:
    reports = []
    while len(reports) < count:
        if (report := inner_step(me)) is not None:
            reports.append(report)
    return reports


def train_until(me: SimpleNamespace, last: int) -> int:
    while me.diloco.round < last:
        inner_step(me)
    return me.diloco.round


def train_until_world(me: SimpleNamespace, size: int) -> int:
    """All peers see the same after the same round."""
    while me.diloco.world_size != size:
        train_rounds(me)
    return me.diloco.round


def join_and_train(me: SimpleNamespace, address: str, last: int, **options: Any) -> int:
    join(me, address, **options)
    return train_until(me, last)


def join_and_train_until_world(me: SimpleNamespace, address: str, size: int, **options: Any) -> int:
    join(me, address, **options)
    return train_until_world(me, size)


def join_and_come_back(me: SimpleNamespace, address: str, size: int, **options: Any) -> int:
    """Until it has been removed, has joined a second time, and is in so much company."""
    count(me, "connect")
    join(me, address, **options)
    while me.calls["connect"] < 2 or me.diloco.world_size != size:
        train_rounds(me)
    return me.diloco.round


def was_replaced(me: SimpleNamespace) -> bool:
    return any(report.replaced for report in me.reports)


def finish(me: SimpleNamespace) -> None:
    me.diloco.finish()


def shared(me: SimpleNamespace) -> tuple[int, str, str]:
    """Round, hash of the outer parameters, hash of all shared state: equal on all peers."""
    state = me.diloco.state_dict()
    return me.diloco.round, me.diloco.parameter_hash(), hash_of(state["tensors"].values())


def world_size(me: SimpleNamespace) -> int:
    return (me.diloco if hasattr(me, "diloco") else me.average).world_size


def traffic(me: SimpleNamespace) -> tuple[int, int]:
    return me.diloco.traffic.tx_bytes, me.diloco.traffic.rx_bytes


def go_a_constant_way(me: SimpleNamespace, rounds: int) -> float:
    """Each parameter goes by the same each round: how far the outer ones are from there, on average, in such steps."""
    way = [torch.linspace(-1, 1, p.numel()).pow(3).view(p.shape) for p in me.model.parameters()]
    way[0].view(-1)[::1024] = 4.0  # the range of each block's codes
    begun = parameters(me)
    for _ in range(rounds):
        with torch.no_grad():
            for parameter, step in zip(me.model.parameters(), way):
                parameter.sub_(step)
        me.diloco.step()
    me.diloco.finish()
    now = me.diloco.state_dict()["tensors"]
    outer = [now[f"parameter/{name}"] for name, _ in me.model.named_parameters()]
    off = [(b - rounds * w - o).abs() for b, w, o in zip(begun, way, outer)]
    return float(torch.cat([tensor.flatten() for tensor in off]).mean())


def checkpoint(me: SimpleNamespace) -> dict[str, Any]:
    return me.diloco.state_dict()


def data(me: SimpleNamespace) -> torch.Tensor:
    """Where it is in its data."""
    return me.generator.get_state()


def set_data(me: SimpleNamespace, state: torch.Tensor) -> None:
    me.generator.set_state(state)


def buffers(me: SimpleNamespace) -> dict[str, torch.Tensor]:
    return {name: buffer.clone() for name, buffer in me.model.named_buffers()}


def buffers_after_steps(me: SimpleNamespace, count: int) -> dict[str, torch.Tensor]:
    for _ in range(count):
        assert inner_step(me) is None
    return buffers(me)


def parameters(me: SimpleNamespace) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in me.model.parameters()]


# ---- AverageGradients


def join_average(
    me: SimpleNamespace,
    address: str,
    seed: int = 0,
    model: Callable = tasks.without_buffers,
    optimizer: Callable = torch.optim.AdamW,
    settings: Optional[dict[str, Any]] = None,
    trained_before: int = 0,
    **options: Any,
) -> int:
    """The step that it is in then. ``trained_before``: steps by itself."""
    make_model(me, address, seed, model)
    me.optimizer = optimizer(me.model.parameters(), **(settings or {"lr": 1e-2}))
    me.reports = []
    take_steps_of_its_own(me, trained_before)
    me.average = pccl.torch.AverageGradients(
        me.model, me.optimizer, me.communicator, on_step=me.reports.append, **options
    )
    return me.average.step


def take_steps_of_its_own(me: SimpleNamespace, count: int) -> None:
    for _ in range(count):
        tasks.loss_of(me.model, *tasks.batch(me.generator)).backward()
        me.optimizer.step()
        me.optimizer.zero_grad()


def take_steps(me: SimpleNamespace, count: int = 1) -> list[StepReport]:
    take_steps_of_its_own(me, count)
    return me.reports[-count:]


def join_and_step(me: SimpleNamespace, address: str, last: int, **options: Any) -> int:
    join_average(me, address, **options)
    return step_until(me, last)


def join_average_and_come_back(me: SimpleNamespace, address: str, size: int, **options: Any) -> int:
    count(me, "connect")
    join_average(me, address, **options)
    while me.calls["connect"] < 2 or me.average.world_size != size:
        take_steps(me)
    return me.average.step


def remove(me: SimpleNamespace) -> None:
    me.average.remove()


def steps_done(me: SimpleNamespace) -> int:
    return me.average.step


def gradients_around_a_step(me: SimpleNamespace) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    tasks.loss_of(me.model, *tasks.batch(me.generator)).backward()
    before = [parameter.grad.clone() for parameter in me.model.parameters()]
    me.optimizer.step()
    return before, [parameter.grad.clone() for parameter in me.model.parameters()]


def disturb(me: SimpleNamespace) -> None:
    with torch.no_grad():
        next(me.model.parameters()).add_(0.25)


def freeze_first(me: SimpleNamespace) -> None:
    next(me.model.parameters()).requires_grad_(False)


def first_parameter(me: SimpleNamespace) -> torch.Tensor:
    return next(me.model.parameters()).detach().clone()


def set_lr(me: SimpleNamespace, lr: float) -> None:
    me.optimizer.param_groups[0]["lr"] = lr


def lr(me: SimpleNamespace) -> float:
    return me.optimizer.param_groups[0]["lr"]


def optimizer_steps(me: SimpleNamespace) -> set[float]:
    return {float(state["step"]) for state in me.optimizer.state.values()}


def step_until(me: SimpleNamespace, last: int) -> int:
    while me.average.step < last:
        take_steps(me)
    return me.average.step


def train_until_admission(me: SimpleNamespace, number: int = 1) -> int:
    count(me, "update_topology")
    while me.calls["update_topology"] < number:
        train_rounds(me)
    return me.diloco.round


def join_and_train_until_admission(me: SimpleNamespace, address: str, **options: Any) -> int:
    join(me, address, **options)
    return train_until_admission(me)


def step_until_admission(me: SimpleNamespace) -> int:
    count(me, "update_topology")
    while me.calls["update_topology"] == 0:
        take_steps(me)
    return me.average.step


def step_until_world(me: SimpleNamespace, size: int) -> int:
    while me.average.world_size != size:
        take_steps(me)
    return me.average.step


def everything(me: SimpleNamespace) -> tuple[int, str]:
    """Step, and hash of parameters, buffers and the optimizer's state: equal on all peers."""
    state = [me.optimizer.state[p][key] for p in me.model.parameters() for key in sorted(me.optimizer.state[p])]
    tensors = [*me.model.state_dict().values(), *(torch.as_tensor(value) for value in state)]
    return me.average.step, hash_of(tensors)


def hash_of(tensors: Any) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        own = tensor.to_local() if hasattr(tensor, "to_local") else tensor
        digest.update(own.detach().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


# ---- FSDP2


def be_a_rank(me: SimpleNamespace, address: str, rank: int, ranks: int, meeting_point: str) -> None:
    """Of a replica: a job of torch.distributed, whose models are sharded from now on."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", f"file://{meeting_point}", rank=rank, world_size=ranks)
    mesh = init_device_mesh("cpu", (ranks,))

    def shard(model: torch.nn.Module) -> None:
        for module in model:
            if isinstance(module, torch.nn.Linear):
                fully_shard(module, mesh=mesh)
        fully_shard(model, mesh=mesh)

    me.shard = shard
    me.communicator = pccl.torch.shard_communicator(address)


def full_parameters(me: SimpleNamespace) -> list[torch.Tensor]:
    """All ranks of the replica call it."""
    return [parameter.full_tensor().detach() for parameter in me.model.parameters()]


def peer_group_sizes(me: SimpleNamespace) -> tuple[int, int]:
    """Peers of the run, and of this one's group."""
    attribute = me.communicator.get_attribute
    return attribute(pccl.Attribute.GLOBAL_WORLD_SIZE), attribute(pccl.Attribute.LOCAL_WORLD_SIZE)


# ---- Ctrl-C


def interrupt_when_inside(me: SimpleNamespace, function: str) -> None:
    """A SIGINT for this process, once its main thread is inside this function of pccl."""
    main = threading.main_thread().ident

    def interrupt() -> None:
        wait_until_inside(main, function)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()


def wait_until_inside(thread: int, function: str) -> None:
    """And all that it calls of Python's is the standard library's, for two looks."""
    looks = 0
    while looks < 2:
        time.sleep(0.01)
        frame = sys._current_frames()[thread]
        while frame is not None and PACKAGE not in frame.f_code.co_filename:
            frame = frame.f_back
        looks = looks + 1 if frame is not None and frame.f_code.co_name == function else 0


def hold_back_averages(me: SimpleNamespace, address: str) -> None:
    """Its part in all-reduces never comes; others wait for it."""
    prepare(me, address, connect=True)
    me.communicator.all_reduce = lambda *_, **__: threading.Event().wait()


def fail_in_a_step(me: SimpleNamespace) -> None:
    def fail(*_: Any) -> None:
        hook.remove()
        raise MemoryError("out of memory")

    hook = me.optimizer.register_step_pre_hook(fail)  # after that of AverageGradients
    with contextlib.suppress(MemoryError):
        take_steps(me)
