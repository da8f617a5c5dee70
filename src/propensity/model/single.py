"""LightGBM's contributions of one row at a time, through that part of its C interface which is made for it.

`Booster.predict` sets up its parameters and working memory at every call, which takes as long as a third of
the trees' own work on one row. Here that is done once; the numbers are the same.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from lightgbm import basic

Matrix = npt.NDArray[np.float64]

_CONTRIBUTIONS, _FLOAT64 = 3, 1  # as C_API_PREDICT_CONTRIB and C_API_DTYPE_FLOAT64
_PARAMETERS = b"num_threads=1"
_LIBRARY: Any = vars(basic)["_LIB"]


class RowContributions:
    """Explains single rows with a booster.

    Parameters
    ----------
    booster : lightgbm.Booster
        Of one output.
    """

    def __init__(self, booster: lgb.Booster) -> None:
        self._booster = booster  # its trees are read here, and must not go before
        self._width = booster.num_feature() + 1
        settings = ctypes.c_void_p()
        _check(
            _LIBRARY.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster._handle,
                ctypes.c_int(_CONTRIBUTIONS),
                ctypes.c_int(0),
                ctypes.c_int(booster.best_iteration),
                ctypes.c_int(_FLOAT64),
                ctypes.c_int32(self._width - 1),
                ctypes.c_char_p(_PARAMETERS),
                ctypes.byref(settings),
            )
        )
        self._settings = settings
        weakref.finalize(self, _LIBRARY.LGBM_FastConfigFree, settings)

    def explain(self, matrix: Matrix) -> Matrix:
        """Return the contributions of each column of each row and, last, the base, as ``pred_contrib`` does.

        Parameters
        ----------
        matrix : array of shape (n_rows, n_columns)

        Raises
        ------
        ValueError
            It has other columns than the booster reads.
        """
        if matrix.shape[1] != self._width - 1:
            raise ValueError(f"expected {self._width - 1} columns, the matrix has {matrix.shape[1]}")
        given = np.ascontiguousarray(matrix, dtype=np.float64)
        found, n = np.empty((len(given), self._width)), ctypes.c_int64()
        first, free = given.ctypes.data, found.ctypes.data
        for i in range(len(given)):
            row, written = first + i * given.strides[0], free + i * found.strides[0]
            _check(
                _LIBRARY.LGBM_BoosterPredictForMatSingleRowFast(
                    self._settings, ctypes.c_void_p(row), ctypes.byref(n), ctypes.c_void_p(written)
                )
            )
        return found


def _check(code: int) -> None:
    if code != 0:
        raise lgb.basic.LightGBMError(_LIBRARY.LGBM_GetLastError().decode())
