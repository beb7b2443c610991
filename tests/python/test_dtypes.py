"""Element types of numpy and torch, there and back."""

import importlib.util

import pytest

from pccl import DataType

numpy = pytest.importorskip("numpy")

from values import DTYPES, NUMPY_DTYPES


@pytest.mark.parametrize("name", DTYPES)
def test_torch(name):
    torch = pytest.importorskip("torch")
    dtype = getattr(torch, name)
    assert DataType.from_torch_dtype(dtype) is DTYPES[name]
    assert DTYPES[name].to_torch_dtype() is dtype


@pytest.mark.parametrize("name", NUMPY_DTYPES)
def test_numpy(name):
    dtype = numpy.dtype(name)
    assert DataType.from_numpy_dtype(dtype) is DTYPES[name]
    assert DTYPES[name].to_numpy_dtype() == dtype
    assert isinstance(DTYPES[name].to_numpy_dtype(), numpy.dtype)


def test_numpy_bfloat16_with_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="numpy has no bfloat16; ml_dtypes is not installed")
    dtype = numpy.dtype(ml_dtypes.bfloat16)
    assert DataType.from_numpy_dtype(dtype) is DataType.BFLOAT16
    assert DataType.BFLOAT16.to_numpy_dtype() == dtype


def test_numpy_bfloat16_without_ml_dtypes_says_what_adds_it():
    if importlib.util.find_spec("ml_dtypes"):
        pytest.skip("ml_dtypes is installed")
    with pytest.raises(ValueError, match="ml_dtypes"):
        DataType.BFLOAT16.to_numpy_dtype()


@pytest.mark.parametrize("name", ["bool", "complex64", "float8_e4m3fn"])
def test_torch_types_that_are_not_reduced(name):
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match=f"Unsupported dtype: torch.{name}"):
        DataType.from_torch_dtype(getattr(torch, name))


@pytest.mark.parametrize("name", ["bool", "complex128", "datetime64[s]", "S4", "O", ">f4", "i4,f4"])
@pytest.mark.parametrize("style", [AssertionError, ValueError])
def test_numpy_types_that_are_not_reduced(name, style):
    with pytest.raises(style, match="Unsupported dtype"):
        DataType.from_numpy_dtype(numpy.dtype(name))


def test_a_numpy_type_is_given_as_dtype_instance():
    with pytest.raises(AssertionError):
        DataType.from_numpy_dtype(numpy.float32)


@pytest.mark.parametrize("conversion", [DataType.from_torch_dtype, DataType.from_numpy_dtype])
@pytest.mark.parametrize("value", [None, "float32", 7])
def test_what_is_no_type_at_all(conversion, value):
    with pytest.raises(ValueError, match="Unsupported dtype"):
        conversion(value)
