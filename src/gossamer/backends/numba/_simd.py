"""Vectors of four doubles for compiled code: numba vectorises simple loops only, and calls exp one value at a time.

LLVM lowers every operation to what the machine has (one AVX register, two of NEON), so nothing here names a processor.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.extending import models, overload, register_model

WIDTH = 4

DOUBLE, WORD, INDEX = ir.DoubleType(), ir.IntType(64), ir.IntType(32)
DOUBLES, WORDS = ir.VectorType(DOUBLE, WIDTH), ir.VectorType(WORD, WIDTH)
CONTRACT = ("contract",)  # a product and a sum may become one operation

# exp(r) for |r| <= log(2)/2: its Taylor beginning, the rest interpolated in Chebyshev nodes; relative error 2e-17
EXP = (
    1.0, 1.0, 0.5000000000000001, 0.16666666666666669, 0.04166666666662399, 0.008333333333330051, 0.0013888888917281794,
    0.00019841269863105968, 2.480152119021773e-05, 2.7557268378684192e-06, 2.7620138719733994e-07,
    2.5100424157005067e-08,
)  # fmt: skip
LOG2_E, LN2_HIGH, LN2_LOW = 1.4426950408889634, 0.6931471803691238, 1.9082149292705877e-10  # high part: 32 bits
ROUND = 1.5 * 2.0**52 + 1023  # adding it leaves n + 1023, the exponent field of 2^n, in the lowest bits
SMALLEST = -708.0  # below it exp is no normal number; it is taken as exp(-708) = 3e-308


class VectorType(types.Type):
    """numba's type of a vector of WIDTH doubles."""

    def __init__(self) -> None:
        super().__init__(name=f"Vector{WIDTH}")


vector = VectorType()


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):
    def __init__(self, manager, numba_type) -> None:
        super().__init__(manager, numba_type, DOUBLES)


def intrinsic(function: Callable) -> Any:
    """A function that compiled code calls without its first argument; the function returns its type and its code."""
    return extending.intrinsic(function)


def _constant(value: float) -> ir.Constant:
    return ir.Constant(DOUBLES, [value] * WIDTH)


def _call(builder, name: str, result, *arguments):
    function = ir.FunctionType(result, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), arguments)


def _fma(builder, a, b, c):
    return _call(builder, f"llvm.fmuladd.v{WIDTH}f64", DOUBLES, a, b, c)


def _address(context, builder, signature, args):
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [context.cast(builder, args[1], signature.args[1], types.intp)])


@intrinsic
def load(typing, array, at):
    """array[at : at + WIDTH] of a flat float64 or float32 array, as doubles."""

    def code(context, builder, signature, args):
        single = signature.args[0].dtype == types.float32
        kind = ir.VectorType(ir.FloatType(), WIDTH) if single else DOUBLES
        address = builder.bitcast(_address(context, builder, signature, args), kind.as_pointer())
        value = builder.load(address, align=4 if single else 8)
        return builder.fpext(value, DOUBLES) if single else value

    return vector(array, at), code


@intrinsic
def store(typing, array, at, value):
    """array[at : at + WIDTH] = value, array flat float64."""

    def code(context, builder, signature, args):
        address = builder.bitcast(_address(context, builder, signature, args), DOUBLES.as_pointer())
        builder.store(args[2], address, align=8)
        return context.get_dummy_value()

    return types.void(array, at, value), code


@intrinsic
def splat(typing, number):
    """The vector of WIDTH equal numbers."""

    def code(context, builder, signature, args):
        first = builder.insert_element(ir.Constant(DOUBLES, ir.Undefined), args[0], ir.Constant(INDEX, 0))
        every = ir.Constant(ir.VectorType(INDEX, WIDTH), [0] * WIDTH)
        return builder.shuffle_vector(first, ir.Constant(DOUBLES, ir.Undefined), every)

    return vector(types.float64), code


@intrinsic
def lane(typing, value, k):
    """The k-th number of a vector."""

    def code(context, builder, signature, args):
        return builder.extract_element(args[0], builder.trunc(args[1], INDEX) if args[1].type != INDEX else args[1])

    return types.float64(vector, types.int64), code


@intrinsic
def total(typing, value):
    """Sum of a vector's numbers."""

    def code(context, builder, signature, args):
        name = f"llvm.vector.reduce.fadd.v{WIDTH}f64"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(DOUBLE, [DOUBLE, DOUBLES]), name)
        return builder.call(function, [ir.Constant(DOUBLE, -0.0), args[0]], fastmath=("reassoc",))

    return types.float64(vector), code


@intrinsic
def totals(typing, a, b, c, d):
    """The vector of four vectors' sums."""

    def code(context, builder, signature, args):
        def pick(left, right, order):
            return builder.shuffle_vector(left, right, ir.Constant(ir.VectorType(INDEX, WIDTH), order))

        def halves(left, right):  # l0+l1, r0+r1, l2+l3, r2+r3
            return builder.fadd(pick(left, right, [0, 4, 2, 6]), pick(left, right, [1, 5, 3, 7]))

        low, high = halves(args[0], args[1]), halves(args[2], args[3])
        return builder.fadd(pick(low, high, [0, 1, 4, 5]), pick(low, high, [2, 3, 6, 7]))

    return vector(vector, vector, vector, vector), code


@intrinsic
def fma(typing, a, b, c):
    """a * b + c."""

    def code(context, builder, signature, args):
        return _fma(builder, *args)

    return vector(vector, vector, vector), code


@intrinsic
def root(typing, value):
    """Square root, of zero where the number is negative."""

    def code(context, builder, signature, args):
        clamped = _call(builder, f"llvm.maxnum.v{WIDTH}f64", DOUBLES, args[0], _constant(0.0))
        return _call(builder, f"llvm.sqrt.v{WIDTH}f64", DOUBLES, clamped)

    return vector(vector), code


@intrinsic
def exp(typing, value):
    """exp of numbers up to 700, to 2 units in the last place: 2^n exp(r), r = x - n log 2 (Cody & Waite)."""

    def code(context, builder, signature, args):
        x = _call(builder, f"llvm.maxnum.v{WIDTH}f64", DOUBLES, args[0], _constant(SMALLEST))
        shifted = _fma(builder, x, _constant(LOG2_E), _constant(ROUND))
        n = builder.fsub(shifted, _constant(ROUND))
        r = _fma(builder, n, _constant(-LN2_HIGH), x)
        r = _fma(builder, n, _constant(-LN2_LOW), r)
        parts, power = [_constant(c) for c in EXP], r
        while len(parts) > 1:  # neighbours joined, with r, r^2, r^4 ...: a short chain of dependent operations (Estrin)
            pairs = [_fma(builder, power, high, low) for low, high in zip(parts[::2], parts[1::2], strict=False)]
            parts = pairs + parts[2 * len(pairs) :]
            power = builder.fmul(power, power)
        scale = builder.shl(builder.bitcast(shifted, WORDS), ir.Constant(WORDS, [52] * WIDTH))
        return builder.fmul(parts[0], builder.bitcast(scale, DOUBLES))

    return vector(vector), code


def _operator(python: Callable, name: str) -> None:
    @intrinsic
    def apply(typing, a, b):
        def code(context, builder, signature, args):
            return getattr(builder, name)(*args, flags=CONTRACT)

        return vector(vector, vector), code

    @overload(python)
    def overloaded(a, b):
        if a is vector and b is vector:
            return lambda a, b: apply(a, b)
        if b is vector and isinstance(a, types.Number):
            return lambda a, b: apply(splat(float(a)), b)
        return None


for python, name in ((operator.add, "fadd"), (operator.iadd, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _operator(python, name)
