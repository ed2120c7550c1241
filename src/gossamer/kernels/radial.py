"""The radial factors of every kernel built in, written once; backends compile these two functions for their numbers.

Half-integer Matern kernels are k(s) = exp(-q) theta_p(q) / theta_p(0),  q = sqrt(2p + 1) s / length,  with the reverse
Bessel polynomials theta_p (docs/theory.md).  From  d/dq [exp(-q) theta_p] = -q exp(-q) theta_{p-1}  all derivatives
follow by going down a step:

    k_n = norm rate^(2n) theta_{p-n}(q) exp(-q),   rate = sqrt(2p + 1) / length,  norm = 1 / theta_p(0)

with k_0 = k and k_{n+1} = -k_n'(s) / s.  The Gaussian, q = s / length, has exp(-q^2/2) in place of exp(-q) and 1 in
place of every polynomial.  Here `order` is p, or GAUSS.  Numbers may be Python's, torch's, numba's scalars or vectors,
or Triton's.
"""

GAUSS = 0


def polynomials(one, q, order):
    """theta_{p-2}, theta_{p-1}, theta_p at q, by theta_n = (2n - 1) theta_{n-1} + q^2 theta_{n-2}; `one`: 1 as such a
    number."""
    if order == 0:
        return one, one, one
    square = q * q
    low, middle = one, one + q
    high = 3 * middle + square * low
    for n in range(3, order + 1):
        low, middle, high = middle, high, (2 * n - 1) * high + square * middle
    return low, middle, high


def exponent(q, order):
    """Logarithm of the factor that the polynomials are multiplied by."""
    if order == 0:
        return -0.5 * (q * q)
    return -1.0 * q
