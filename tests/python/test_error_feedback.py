"""Error feedback: what quantization loses in one round is sent in the next."""

import gc

import pytest

from peers import codes, together
from pccl import DataType, QuantizationOptions, ReduceDescriptor, ReduceOp, ReduceOpDescriptor, ReduceOperandDescriptor
from pccl._pccl import ErrorFeedback

numpy = pytest.importorskip("numpy")

COUNT = 20_000  # tensors of up to 32 KiB may travel exactly
COARSE = QuantizationOptions(DataType.UINT4)


def tensor(rank: int) -> numpy.ndarray:
    return numpy.random.default_rng(rank).uniform(-1, 1, COUNT).astype("float32")


def test_losses_of_many_rounds_cancel(run):
    def total(communicator, rank, feedback, tag):
        total = numpy.zeros(COUNT)
        for _ in range(40):
            in_place = tensor(rank)
            communicator.all_reduce(
                in_place, in_place, op=ReduceOp.AVG, tag=tag, quantization_options=COARSE, error_feedback=feedback
            )
            total += in_place
        return total

    def both(communicator, rank):
        return total(communicator, rank, ErrorFeedback(COUNT), 0), total(communicator, rank, None, 1)

    exact = 40 * (tensor(0).astype("float64") + tensor(1)) / 2
    for compensated, plain in together(run.join(0, 0), both):
        assert numpy.abs(compensated - exact).max() < 1  # what one round loses
        assert numpy.abs(plain - exact).max() > 1  # forty times the same loss


def test_residuals_can_be_seen_saved_and_zeroed(run):
    def reduce(communicator, rank):
        feedback = ErrorFeedback(COUNT)
        residual = numpy.asarray(feedback.residual)
        assert (residual.dtype, residual.shape) == (numpy.dtype("float32"), (COUNT,))
        assert not residual.any()
        in_place = tensor(rank)
        communicator.all_reduce(
            in_place, in_place, op=ReduceOp.SUM, quantization_options=COARSE, error_feedback=feedback
        )
        assert numpy.asarray(feedback.residual).any()
        residual[:] = 0
        assert not numpy.asarray(feedback.residual).any()

    together(run.join(0, 0), reduce)


def test_a_residual_outlives_its_owner():
    residual = ErrorFeedback(100_000).residual
    gc.collect()
    assert not numpy.asarray(residual).any()


@pytest.mark.parametrize("count", [2**62, 2**63])
def test_too_many_elements(count):
    with pytest.raises((ValueError, TypeError)):
        ErrorFeedback(count)


BAD = {
    "another count": dict(error_feedback=COUNT + 1, quantization_options=COARSE, op=ReduceOp.SUM),
    "no quantization": dict(error_feedback=COUNT, quantization_options=None, op=ReduceOp.SUM),
    "another operation": dict(error_feedback=COUNT, quantization_options=COARSE, op=ReduceOp.MAX),
}


@pytest.mark.parametrize("what", BAD)
def test_does_not_fit(run, what):
    def reduce(communicator, rank):
        in_place = tensor(rank)
        arguments = {**BAD[what], "error_feedback": ErrorFeedback(BAD[what]["error_feedback"])}
        communicator.all_reduce(in_place, in_place, **arguments)

    assert codes(run.join(0, 0), reduce) == ["INVALID_ARGUMENT"] * 2


def test_one_op_at_a_time(run):
    def reduce(communicator, rank):
        feedback, first, second = ErrorFeedback(COUNT), tensor(rank), tensor(rank)
        options = dict(op=ReduceOp.SUM, quantization_options=COARSE, error_feedback=feedback)
        handle = communicator.all_reduce_async(first, first, tag=1, **options)
        try:
            communicator.all_reduce_async(second, second, tag=2, **options)
        finally:
            assert handle.wait()[0]

    assert codes(run.join(0, 0), reduce) == ["INVALID_ARGUMENT"] * 2


def test_stays_alive_while_its_op_is_in_flight(run):
    def reduce(communicator, rank):
        in_place = tensor(rank)
        handle = communicator.all_reduce_async(
            in_place, in_place, op=ReduceOp.SUM, quantization_options=COARSE, error_feedback=ErrorFeedback(COUNT)
        )
        gc.collect()
        return handle.wait()[0]

    assert together(run.join(0, 0), reduce) == [True, True]


def test_is_not_shown_while_its_op_is_in_flight(run):
    def reduce(communicator, rank):
        in_place, feedback = tensor(rank), ErrorFeedback(COUNT)
        handle = communicator.all_reduce_async(
            in_place, in_place, op=ReduceOp.SUM, quantization_options=COARSE, error_feedback=feedback
        )
        with pytest.raises(RuntimeError, match="in flight"):
            _ = feedback.residual
        assert handle.wait()[0]
        return numpy.asarray(feedback.residual).any()

    assert together(run.join(0, 0), reduce) == [True, True]


def batch(tensors: list, options: QuantizationOptions) -> list[ReduceOpDescriptor]:
    return [
        ReduceOpDescriptor.from_numpy(
            t, t, ReduceDescriptor(COUNT, ReduceOp.AVG, tag, ReduceOperandDescriptor(DataType.FLOAT), options)
        )
        for tag, t in enumerate(tensors)
    ]


def test_a_batch_with_feedback_for_some(run):
    def reduce(communicator, rank):
        tensors, feedback = [tensor(rank), tensor(rank)], ErrorFeedback(COUNT)
        communicator.all_reduce_multiple_with_retry(batch(tensors, COARSE), error_feedbacks=[None, feedback])
        assert numpy.asarray(feedback.residual).any()
        return tensors[0].tobytes()

    results = together(run.join(0, 0), reduce)
    assert results[0] == results[1]


@pytest.mark.parametrize("style", [ValueError, AssertionError])
def test_a_batch_with_another_number_of_feedbacks(run, style):
    [peer] = run.join(0)
    with pytest.raises(style, match="as many as descriptors"):
        peer.call(
            lambda c: c.all_reduce_multiple_with_retry(batch([tensor(0)] * 2, COARSE), error_feedbacks=[None])
        )
