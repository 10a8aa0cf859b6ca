"""A GPU for tests where there is none: values on the CPU that say they lie on `cuda`, and refuse to meet others.

FakeTensorMode does the same without values, and so cannot follow code that looks at them (a rasterizer, `nonzero`).
"""

from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

from mimaface.mimaface_core import host

CUDA = torch.device("cuda", 0)
CROSSING = {"_to_copy", "copy_", "_local_scalar_dense", "lift_fresh", "set_"}  # operators that may join devices
INDEXING = {"index", "index_put_", "index_put", "_index_put_impl_", "_unsafe_index"}  # indices may lie on the CPU


class OnGpu(torch.Tensor):
    """A tensor on the pretended GPU; `held` holds its values."""

    @staticmethod
    def __new__(cls, real):
        return torch.Tensor._make_wrapper_subclass(
            cls, real.size(), real.stride(), real.storage_offset(), dtype=real.dtype, device=CUDA, layout=real.layout
        )

    def __init__(self, real):
        self.held = real

    def __repr__(self):
        return f"OnGpu({self.held})"

    # what PyTorch's bindings do with a guard of the device, which a build without CUDA lacks (gradients need it, too)

    def item(self):
        return self.held.item()

    def tolist(self):
        return self.held.tolist()

    def numpy(self):
        raise TypeError("can't convert cuda:0 device type tensor to numpy; use Tensor.cpu() first")

    __array__ = numpy

    def __bool__(self):
        return bool(self.held)

    def __float__(self):
        return float(self.held)

    def __int__(self):
        return int(self.held)

    __index__ = __int__

    def contiguous(self, memory_format=torch.contiguous_format):
        return self if self.is_contiguous(memory_format=memory_format) else self.clone(memory_format=memory_format)

    def nonzero(self):
        return OnGpu(self.held.nonzero())

    def __invert__(self):
        return OnGpu(~self.held)

    def new_tensor(self, data, **options):
        return OnGpu(self.held.new_tensor(data, **options))

    def __iter__(self):
        return iter(self.unbind(0))

    def __getitem__(self, index):
        return OnGpu(self.held[_held(index)])

    def __setitem__(self, index, value):
        picks = any(isinstance(i, (list, torch.Tensor)) for i in (index if isinstance(index, tuple) else (index,)))
        if picks and not _joins(self, value):
            raise RuntimeError(f"index_put_: tensors on cuda and on the CPU meet: {_shown(self)}, {_shown(value)}")
        self.held[_held(index)] = _held(value)

    @classmethod
    def __torch_dispatch__(cls, operator, types, args=(), kwargs=None):
        return _run(operator, args, kwargs or {})


class _Mode(TorchDispatchMode):
    # the place of FakeTensorMode, in which PyTorch does not look for a GPU
    _mode_key = torch._C._TorchDispatchModeKey.FAKE

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        return _run(operator, args, kwargs or {})


@contextmanager
def pretend_gpu(**options):
    """A host whose device is the pretended GPU; whatever is made or moved there is an `OnGpu`. Without gradients."""
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor makes on the CPU what it then moves
    cudnn = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False  # a build with CUDA would choose its operators, which have no CPU
    try:
        with host.use(host.Host(device=CUDA, dtype=torch.float32, **options)), _Mode(), torch.no_grad():
            yield CUDA
    finally:
        torch.backends.cudnn.enabled = cudnn
        torch._C._set_only_lift_cpu_tensors(False)
        torch.__future__.set_overwrite_module_params_on_conversion(False)


def _run(operator, args, kwargs):
    """Do an operator on the values, and give the results to the device where they would lie."""
    name = operator.overloadpacket.__name__
    flat = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.Tensor)]
    here = {_place(value) for value in flat if value.ndim or isinstance(value, OnGpu)}
    asked = kwargs.get("device")
    if name not in CROSSING and len(here) > 1:
        only_indices = name in INDEXING and isinstance(args[0], OnGpu) and (len(args) < 3 or _joins(args[0], args[2]))
        if not only_indices:
            raise RuntimeError(f"{operator}: tensors on cuda and on the CPU meet: {[_shown(value) for value in flat]}")
    if isinstance(kwargs.get("generator"), torch.Generator) and (asked == CUDA or "cuda" in here):
        raise RuntimeError(f"{operator}: a generator of the CPU draws on cuda")
    there = "cuda" in here if asked is None else torch.device(asked).type == "cuda"
    if name == "copy_":
        there = isinstance(args[0], OnGpu)
    plain, named = _held((args, kwargs))
    if asked is not None:
        named["device"] = torch.device("cpu")
    result = operator(*plain, **named)
    if name == "copy_" or (name.endswith("_") and not name.startswith("_")):
        return args[0]
    originals = {id(value.held): value for value in flat if isinstance(value, OnGpu)}
    if not there:
        return result
    return tree_map_only(
        torch.Tensor, lambda value: originals[id(value)] if id(value) in originals else OnGpu(value), result
    )


def _held(tree):
    return tree_map_only(OnGpu, lambda value: value.held, tree)


def _place(value):
    return "cuda" if isinstance(value, OnGpu) else "cpu"


def _joins(target, values):
    return not isinstance(values, torch.Tensor) or not values.ndim or _place(values) == _place(target)


def _shown(value):
    return f"{_place(value)} {list(value.shape)}"
