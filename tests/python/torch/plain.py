"""DiLoCo as a plain loop over all workers, in one process."""

import copy

import tasks
import torch


class Worker:
    """One worker of the plain loop, with the model and the data that a peer of this seed has."""

    def __init__(self, model, seed, inner, lr):
        self.model = copy.deepcopy(model)
        self.generator = torch.Generator().manual_seed(seed)
        self.inner = inner(self.model.parameters(), lr=lr)

    def begin(self, parameters):
        with torch.no_grad():
            for own, outer in zip(self.model.parameters(), parameters):
                own.copy_(outer)

    def steps(self, count):
        for _ in range(count):
            tasks.loss_of(self.model, *tasks.batch(self.generator)).backward()
            self.inner.step()
            self.inner.zero_grad()


def begun(seeds, inner, lr):
    """The model of the first peer, which all the others take over."""
    torch.manual_seed(seeds[0])
    model = tasks.without_buffers()
    return model, [Worker(model, seed, inner, lr) for seed in seeds]


def average(tensors_of_workers):
    return [torch.stack(tensors).mean(0) for tensors in zip(*tensors_of_workers)]


def minus(left, right):
    return [a.detach() - b.detach() for a, b in zip(left, right)]


def plain_diloco(seeds, steps, inner, outer_options, rounds, lr=1e-2):
    """Algorithm 1 of arXiv 2311.08105."""
    model, workers = begun(seeds, inner, lr)
    outer = torch.optim.SGD(model.parameters(), **outer_options)
    for _ in range(rounds):
        for worker, count in zip(workers, steps):
            worker.begin(model.parameters())
            worker.steps(count)
        pseudo = average([minus(model.parameters(), worker.model.parameters()) for worker in workers])
        for parameter, gradient in zip(model.parameters(), pseudo):
            parameter.grad = gradient
        outer.step()
    return list(model.parameters())


def plain_overlapping_diloco(seeds, steps, inner, outer_options, rounds, lr=1e-2):
    """Each round takes the outer step of the one before, and each worker goes on ahead by its own pseudo-gradient."""
    model, workers = begun(seeds, inner, lr)
    outer = torch.optim.SGD(model.parameters(), **outer_options)
    in_flight = None
    starts = [[p.detach().clone() for p in model.parameters()] for _ in workers]
    for round_ in range(rounds + 1):
        changes = []
        for worker, count, start in zip(workers, steps, starts):
            worker.begin(start)
            worker.steps(count if round_ < rounds else 0)  # the last outer step is that of finish()
            changes.append(minus(start, worker.model.parameters()))
        if in_flight is not None:
            for parameter, gradient in zip(model.parameters(), average(in_flight)):
                parameter.grad = gradient
            outer.step()
        starts = [minus(model.parameters(), change) for change in changes]
        in_flight = changes
    return list(model.parameters())
