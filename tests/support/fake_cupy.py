"""A substitute for CuPy without a GPU: NumPy arrays behind an interface as narrow as that of CuPy's arrays.

Like CuPy's arrays, these neither mix with NumPy arrays nor turn into them implicitly. Copies between host and device,
kernel launches and products are counted. g++ compiles the unchanged code of an ElementwiseKernel for the CPU.
"""

import ctypes
import hashlib
import operator
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np

COMPILER = shutil.which("g++")
C_TYPES = {"f": "float", "d": "double"}
# The part of <cmath> that the kernels use. Compiling the header would take longer than compiling a kernel.
DECLARATIONS = """
#define __device__
extern "C" { double tanh(double); float tanhf(float); }
inline float tanh(float x) { return tanhf(x); }
"""


class Array:
    """An array "on the device"; `host` is the NumPy array behind it."""

    def __init__(self, module, host):
        self.module, self.host = module, host

    def get(self):
        self.module.count["to host"] += 1
        return self.host.copy()

    def __array__(self, *args, **kwargs):
        raise TypeError("implicit conversion to a NumPy array is not allowed")

    __array_ufunc__ = None

    def __len__(self):
        return len(self.host)

    def __iter__(self):
        return (Array(self.module, part) for part in self.host)

    def __getattr__(self, name):
        value = getattr(self.host, name)
        if callable(value):
            return lambda *args, **kwargs: self.module.call(name, value, args, kwargs)
        return self.module.wrap(value)

    def _index(self, index):
        parts = index if isinstance(index, tuple) else (index,)
        parts = tuple(self.module.own(part) if isinstance(part, (Array, np.ndarray)) else part for part in parts)
        arrays = [part for part in parts if isinstance(part, np.ndarray)]
        if arrays:
            self.module.count["indexed"] += 1
            # CuPy asks the device for the number of rows that a mask chooses and waits for it.
            self.module.count["to host"] += any(part.dtype == bool for part in arrays)
        return parts

    def __getitem__(self, index):
        return self.module.wrap(self.host[self._index(index)])

    def __setitem__(self, index, value):
        self.module.count["copied"] += 1
        self.host[self._index(index)] = self.module.host_of(value)


def _operator(name):
    function = getattr(operator, name)

    def apply(self, other):
        return self.module.call(name, function, (self, other), {})

    def reflected(self, other):
        return self.module.call(name, lambda a, b: function(b, a), (self, other), {})

    def in_place(self, other):
        self.module.count[name] += 1
        self.host[...] = function(self.host, self.module.host_of(other))
        return self

    return apply, reflected, in_place


for _name in ("add", "sub", "mul", "truediv", "matmul", "eq"):
    _apply, _reflected, _in_place = _operator(_name)
    setattr(Array, f"__{_name}__", _apply)
    if _name != "eq":
        setattr(Array, f"__r{_name}__", _reflected)
        setattr(Array, f"__i{_name}__", _in_place)
Array.__hash__ = None


class Module:
    """The modules `cupy` and `cupyx`. count: how often each operation was called."""

    VIEWS = ("reshape", "transpose", "swapaxes", "view", "ravel")

    def __init__(self, folder):
        self.folder = Path(folder)
        self.count = Counter()

    def wrap(self, value):
        return Array(self, value) if isinstance(value, (np.ndarray, np.floating)) else value

    def host_of(self, value):
        """The NumPy array behind one of ours. NumPy's own arrays are refused, as CuPy does."""
        if isinstance(value, np.ndarray):
            raise TypeError("CuPy takes no NumPy arrays here")
        return value.host if isinstance(value, Array) else value

    def own(self, value):
        """Like `host_of`, for operations where CuPy copies NumPy's arrays to the device."""
        if isinstance(value, np.ndarray):
            self.count["to device"] += 1
            return value
        return self.host_of(value)

    def call(self, name, function, args, kwargs):
        self.count["views" if name in self.VIEWS else name] += 1
        args = [[self.host_of(part) for part in arg] if isinstance(arg, list) else self.host_of(arg) for arg in args]
        return self.wrap(function(*args, **{key: self.host_of(value) for key, value in kwargs.items()}))

    def __getattr__(self, name):
        value = getattr(np, name)
        if not callable(value) or isinstance(value, type):
            return value
        return lambda *args, **kwargs: self.call(name, value, args, kwargs)

    def asarray(self, value, dtype=None):
        if isinstance(value, Array):
            return value if dtype in (None, value.host.dtype) else Array(self, value.host.astype(dtype))
        self.count["to device"] += 1
        return Array(self, np.array(value, dtype=dtype))

    def dot(self, left, right, out):
        """CuPy copies operands that are neither C- nor F-contiguous, and an overlapping `out`; ours never are."""
        for array in (left.host, right.host):
            assert array.ndim == 2 and (array.flags.c_contiguous or array.flags.f_contiguous)
            assert not np.may_share_memory(array, out.host)
        if not out.host.flags.c_contiguous:
            raise ValueError("Output array must be C-contiguous")
        self.count["dot"] += 1
        np.dot(left.host, right.host, out=out.host)

    def scatter_add(self, table, rows, values):
        self.count["scatter_add"] += 1
        np.add.at(table.host, self.own(rows), self.host_of(values))

    def scatter_max(self, table, rows, values):
        self.count["scatter_max"] += 1
        np.maximum.at(table.host, self.own(rows), self.host_of(values))

    def ElementwiseKernel(self, in_params, out_params, operation, name, preamble="", no_return=False):
        return Kernel(self, in_params, out_params, operation, name, preamble)


class Kernel:
    """An ElementwiseKernel with raw arrays and int32 parameters only."""

    def __init__(self, module, in_params, out_params, operation, name, preamble):
        self.module, self.name = module, name
        self.params = [param.split() for param in f"{in_params}, {out_params}".split(", ")]
        self.n_in = len(in_params.split(", "))
        self.code = (operation, preamble)
        self.compiled = {}

    def __call__(self, *args, size):
        assert len(args) == len(self.params)
        values, dtype = [], None
        for param, value in zip(self.params, args, strict=True):
            if param[0] == "raw":
                assert isinstance(value, Array) and value.host.flags.c_contiguous and param[1] == "T"
                dtype = dtype or value.host.dtype
                assert value.host.dtype == dtype
                values.append(ctypes.c_void_p(value.host.ctypes.data))
            else:
                assert type(value) is int and param[0] == "int32" and abs(value) < 2**31
                values.append(ctypes.c_int32(value))
        self.module.count[self.name] += 1
        self._function(dtype.char)(*values, ctypes.c_ssize_t(size))

    def _function(self, char):
        if char not in self.compiled:
            self.compiled[char] = self._compile(C_TYPES[char])
        return self.compiled[char]

    def _compile(self, c_type):
        operation, preamble = self.code
        declared = []
        for k, param in enumerate(self.params):
            kind = f"{'const ' if k < self.n_in else ''}T *__restrict__" if param[0] == "raw" else "const int"
            declared.append(f"{kind} {param[-1]}")
        source = (
            f"{DECLARATIONS}typedef {c_type} T;\n{preamble}\n"
            f'extern "C" void {self.name}({", ".join(declared)}, __PTRDIFF_TYPE__ _size) {{\n'
            f"for (__PTRDIFF_TYPE__ i = 0; i < _size; ++i) {{\n{operation};\n}}\n}}\n"
        )
        library = self.module.folder / f"{hashlib.sha1(source.encode()).hexdigest()}.so"
        if not library.exists():
            path = library.with_suffix(".cpp")
            path.write_text(source)
            flags = ["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-Wno-unused-variable"]
            subprocess.run([COMPILER, *flags, str(path), "-o", str(library)], check=True, capture_output=True)
        function = ctypes.CDLL(str(library))[self.name]
        function.restype = None
        return function
