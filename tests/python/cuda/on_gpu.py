"""What tests on a GPU need of torch."""

import torch


def octets(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()


def busy(stream: torch.cuda.Stream) -> None:
    """Keeps the GPU at work in this stream for some milliseconds, after which what was launched later comes."""
    with torch.cuda.stream(stream):
        a = torch.randn(4096, 4096, device="cuda")
        for _ in range(20):
            a = (a @ a).clamp_(-1, 1)
