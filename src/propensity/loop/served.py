"""The code that a registered model holds: MLflow runs this file to load the model.

It is logged as it stands, beside the bundle; nothing in a registered model is pickled.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from propensity.errors import PropensityError
from propensity.loop.serving import score_request
from propensity.predict import Predictor


class Scorer(PythonModel):
    """Answers a request with scores, tiers and reasons."""

    def load_context(self, context: PythonModelContext) -> None:
        """Verify the bundle and load it, with all that a first request would wait for."""
        self.predictor = Predictor.load(context.artifacts["bundle"])
        self.predictor.warm()

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Score the leads of a request; what is wrong with it is the answer's message, status 400."""
        del context
        try:
            return score_request(self.predictor, model_input, params)
        except PropensityError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None


set_model(Scorer())
