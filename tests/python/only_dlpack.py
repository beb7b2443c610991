"""A tensor of a library that PCCL does not know."""


class OnlyDLPack:
    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack__(self, stream=None):
        return self.tensor.__dlpack__()

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


class Versioned(OnlyDLPack):
    """That knows version 1 of the standard, which tells whether memory is read-only."""

    def __dlpack__(self, **options):
        return self.tensor.__dlpack__(**options)
